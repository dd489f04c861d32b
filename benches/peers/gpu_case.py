"""What the cases of `gpu.py` share: flags, first parameters, images and masks, timing and the lines of JSON."""
import argparse
import json
import statistics
import time

import harness  # first: it notes when the program started
import networks
import numpy as np

SIZES = {"small": networks.SMALL, "full": networks.FULL}
FULL_PARAMETERS = 87_739_235
PATCH, LAYERS, FEATURE = 16, 12, 16
EPS, SLOPE = 1e-6, 0.01
BETAS, ADAM_EPS = (0.9, 0.999), 1e-8
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHIFT = np.float32(MEAN) * 255
SCALE = 1 / (np.float32(STD) * 255)
WARM_UP = 3
GIB = 2**30
FLAGS = ["size", "batch", "steps", "device"]


def add_flags(parser):
    """Those of `gpu.py` and of each case."""
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--batch", type=int, default=72)
    parser.add_argument("--steps", type=int, default=20, help="of each measurement")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")


def flags(switches=()):
    """A case's command line."""
    parser = argparse.ArgumentParser()
    add_flags(parser)
    parser.add_argument("--precision", choices=["bf16", "tf32"], required=True)
    for switch in switches:
        parser.add_argument(switch, action="store_true")
    return parser.parse_args()


def shapes(image_size, hidden, mlp, heads):
    """The parameters' names and shapes, as in PyTorch: [out, in, ..], of transposed convolutions [in, out, ..]."""
    found = {
        "patches.weight": (hidden, 3, PATCH, PATCH),
        "patches.bias": (hidden,),
        "positions": (1, (image_size // PATCH) ** 2, hidden),
    }

    def layer(name, weight, bias):
        found.update({f"{name}.weight": weight, f"{name}.bias": (bias,)})

    def conv_norm(name, number, inputs, outputs, kernel):
        found[f"{name}.conv{number}.weight"] = (outputs, inputs, kernel, kernel)
        layer(f"{name}.norm{number}", (outputs,), outputs)

    def residual(name, inputs, outputs):
        conv_norm(name, 1, inputs, outputs, 3)
        conv_norm(name, 2, outputs, outputs, 3)
        if inputs != outputs:
            conv_norm(name, 3, inputs, outputs, 1)

    def double(name, inputs, outputs):
        layer(name, (inputs, outputs, 2, 2), outputs)

    for i in range(LAYERS):
        layer(f"blocks.{i}.norm1", (hidden,), hidden)
        layer(f"blocks.{i}.qkv", (3 * hidden, hidden), 3 * hidden)
        layer(f"blocks.{i}.out", (hidden, hidden), hidden)
        layer(f"blocks.{i}.norm2", (hidden,), hidden)
        layer(f"blocks.{i}.linear1", (mlp, hidden), mlp)
        layer(f"blocks.{i}.linear2", (hidden, mlp), hidden)
    layer("norm", (hidden,), hidden)
    residual("encoder1", 3, FEATURE)
    for stage, repeats in [(2, 2), (3, 1), (4, 0)]:
        outputs = FEATURE * 2 ** (stage - 1)
        double(f"encoder{stage}.up", hidden, outputs)
        for i in range(repeats):
            double(f"encoder{stage}.ups.{i}", outputs, outputs)
            residual(f"encoder{stage}.blocks.{i}", outputs, outputs)
    for stage in (5, 4, 3, 2):
        outputs = FEATURE * 2 ** (stage - 2)
        double(f"decoder{stage}.up", hidden if stage == 5 else 2 * outputs, outputs)
        residual(f"decoder{stage}.block", 2 * outputs, outputs)
    layer("out", (harness.CLASSES, FEATURE, 1, 1), harness.CLASSES)
    return found


def parameters(size):
    """Random ones as arrays: kernels of variance 1 / inputs, no biases, norms that only normalise."""
    random, found = np.random.default_rng(0), {}
    for name, shape in shapes(**SIZES[size]).items():
        if len(shape) == 1:
            found[name] = np.full(shape, "norm" in name and name.endswith("weight"), np.float32)
            continue
        transposed = name.endswith(".up.weight") or ".ups." in name
        fan_in = np.prod(shape[2:]) * shape[0] if transposed else np.prod(shape[1:])
        deviation = 0.02 if name == "positions" else fan_in**-0.5
        found[name] = random.standard_normal(shape, np.float32) * np.float32(deviation)
    count = sum(array.size for array in found.values())
    assert size != "full" or count == FULL_PARAMETERS, count
    return found


def images_and_masks(size, batch):
    """A blob in each image as in a photo of a pet, which is class 0, the background 1 and the border between them 2.

    Both are u8: [batch, height, width, 3] and [batch, height, width].
    """
    random, pixels = np.random.default_rng(1), SIZES[size]["image_size"]
    across = np.linspace(-1, 1, pixels, dtype=np.float32)
    y, x = across[:, None], across[None, :]
    images = random.integers(0, 96, (batch, pixels, pixels, 3), np.uint8)
    masks = np.empty((batch, pixels, pixels), np.uint8)
    for image, mask in zip(images, masks):
        cy, cx = random.uniform(-0.2, 0.2, 2)
        ry, rx = random.uniform(0.45, 0.8, 2)
        lobes, turn = random.integers(2, 6), random.uniform(0, 2 * np.pi)
        angle = np.arctan2(y - cy, x - cx)
        radius = np.hypot((y - cy) / ry, (x - cx) / rx) / (1 + 0.15 * np.sin(lobes * angle + turn))
        mask[:] = np.select([radius < 0.9, radius > 1.1], [0, 1], 2)
        image += random.integers(0, 160, (harness.CLASSES, 3), np.uint8)[mask]
    return images, masks


def speed(name, step, wait, batch, steps):
    """Seconds and images per second of `step`, whose work is done when `wait` returns."""
    walls = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        wait()
        walls.append(time.perf_counter() - start)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    in_a_row = (time.perf_counter() - start) / steps
    return {
        f"{name}_median_s": statistics.median(walls),
        f"{name}_min_s": min(walls),
        f"{name}_max_s": max(walls),
        f"{name}_in_a_row_s": in_a_row,
        f"{name}_images_per_s": batch / statistics.median(walls),
        f"{name}_in_a_row_images_per_s": batch / in_a_row,
    }


def measure(args, about, train, infer, wait, warmed_up, memory):
    """Trains, then infers, and prints a line after each.

    `train` gives a loss, which `float` takes from the device; `warmed_up` is called before the measurement and
    `memory`, which gives fields of the line, after it.
    """
    first = float(train())
    wait()
    first_step = time.perf_counter() - harness.STARTED
    for _ in range(WARM_UP - 1):
        train()
    wait()
    warmed_up()
    line = speed("train", train, wait, args.batch, args.steps) | memory()
    line |= {"first_step_s": first_step, "loss_first": first, "loss_last": float(train())}
    print(json.dumps(vars(args) | about | line), flush=True)
    for _ in range(WARM_UP):
        infer()
        wait()
    print(json.dumps(speed("infer", infer, wait, args.batch, args.steps)), flush=True)
