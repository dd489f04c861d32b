"""JAX's cases of `gpu.py`: the network, the tutorial's losses and Adam in plain JAX, the whole step compiled by `jit`.

    python gpu_jax.py --precision bf16

Images are [batch, height, width, channels]. Convolutions whose kernels do not overlap are matrix products. bf16 is the
type of the layers' arithmetic; parameters, norms and losses stay f32.
"""
import os

import gpu_case
import harness

args = gpu_case.flags()
os.environ["JAX_PLATFORMS"] = args.device
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

SIZE = gpu_case.SIZES[args.size]
GRID = SIZE["image_size"] // gpu_case.PATCH
DTYPE = jnp.bfloat16 if args.precision == "bf16" else jnp.float32


def product(equation, xs, p, name, bias=True):
    """An Einstein sum of `xs` and a weight, and a bias of the last axis."""
    ys = jnp.einsum(equation, xs.astype(DTYPE), p[f"{name}.weight"].astype(DTYPE))
    return ys + p[f"{name}.bias"].astype(DTYPE) if bias else ys


def normalize(xs, p, name, axes):
    """A norm over `axes`, its statistics in f32."""
    wide = xs.astype(jnp.float32)
    mean = wide.mean(axes, keepdims=True)
    variance = jnp.maximum((wide * wide).mean(axes, keepdims=True) - mean * mean, 0)
    ys = (wide - mean) * (lax.rsqrt(variance + gpu_case.EPS) * p[f"{name}.weight"]) + p[f"{name}.bias"]
    return ys.astype(DTYPE)


def linear(xs, p, name):
    return product("bni,oi->bno", xs, p, name)


def attention(xs, p, name):
    batch, tokens, hidden = xs.shape
    qkv = linear(xs, p, f"{name}.qkv").reshape(batch, tokens, 3, SIZE["heads"], -1)
    ys = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
    return linear(ys.reshape(batch, tokens, hidden), p, f"{name}.out")


def encoder_block(xs, p, name):
    """Attention and a perceptron, each after a norm and beside a shortcut."""
    xs = xs + attention(normalize(xs, p, f"{name}.norm1", -1), p, name)
    ys = linear(normalize(xs, p, f"{name}.norm2", -1), p, f"{name}.linear1")
    return xs + linear(jax.nn.gelu(ys, approximate=True), p, f"{name}.linear2")


def conv_norm(xs, p, name, number):
    """A convolution and an instance norm."""
    weight = p[f"{name}.conv{number}.weight"].astype(DTYPE)
    layouts = ("NHWC", "OIHW", "NHWC")
    ys = lax.conv_general_dilated(xs.astype(DTYPE), weight, (1, 1), "SAME", dimension_numbers=layouts)
    return normalize(ys, p, f"{name}.norm{number}", (1, 2))


def residual_block(xs, p, name):
    """Two convolutions beside a shortcut, which is a convolution where the number of channels changes."""
    ys = conv_norm(jax.nn.leaky_relu(conv_norm(xs, p, name, 1), gpu_case.SLOPE), p, name, 2)
    shortcut = conv_norm(xs, p, name, 3) if f"{name}.conv3.weight" in p else xs
    return jax.nn.leaky_relu(ys + shortcut, gpu_case.SLOPE)


def double_size(xs, p, name):
    """A transposed convolution with a kernel and strides of 2."""
    batch, height, width, _ = xs.shape
    weight = p[f"{name}.weight"].astype(DTYPE)
    ys = jnp.einsum("bhwi,ioyx->bhywxo", xs.astype(DTYPE), weight) + p[f"{name}.bias"].astype(DTYPE)
    return ys.reshape(batch, 2 * height, 2 * width, -1)


def upsample(xs, p, name, repeats):
    """Tokens to a map of twice the size, and so many times twice that."""
    xs = double_size(xs, p, f"{name}.up")
    for i in range(repeats):
        xs = residual_block(double_size(xs, p, f"{name}.ups.{i}"), p, f"{name}.blocks.{i}")
    return xs


def decoder(xs, skip, p, name):
    """Doubles a map's size and joins it with the encoder's of that size."""
    xs = jnp.concatenate([double_size(xs, p, f"{name}.up"), skip], axis=-1)
    return residual_block(xs, p, f"{name}.block")


def logits_of(p, images):
    """Normalises images, [batch, height, width, 3] of u8, and runs the network."""
    images = (images.astype(jnp.float32) - gpu_case.SHIFT) * gpu_case.SCALE
    batch, patch = images.shape[0], gpu_case.PATCH
    patches = images.reshape(batch, GRID, patch, GRID, patch, 3)
    tokens = product("bhiwjc,ocij->bhwo", patches, p, "patches").reshape(batch, GRID**2, -1) + p["positions"]
    states = []
    for i in range(gpu_case.LAYERS):
        tokens = encoder_block(tokens, p, f"blocks.{i}")
        states.append(tokens)

    def as_map(xs):
        return xs.reshape(batch, GRID, GRID, -1)

    xs = as_map(normalize(tokens, p, "norm", -1))
    xs = decoder(xs, upsample(as_map(states[9]), p, "encoder4", 0), p, "decoder5")
    xs = decoder(xs, upsample(as_map(states[6]), p, "encoder3", 1), p, "decoder4")
    xs = decoder(xs, upsample(as_map(states[3]), p, "encoder2", 2), p, "decoder3")
    xs = decoder(xs, residual_block(images, p, "encoder1"), p, "decoder2")
    return product("bhwi,oiyx->bhwo", xs, p, "out")


def loss_of(p, images, masks):
    """Cross entropy plus soft Jaccard, one ratio for the whole batch."""
    log_p = jax.nn.log_softmax(logits_of(p, images).astype(jnp.float32))
    y = jax.nn.one_hot(masks, harness.CLASSES)
    intersection = jnp.exp(log_p) * y
    union = jnp.exp(log_p) + y - intersection + 1e-8
    return 1 - intersection.sum() / union.sum() - (log_p * y).sum() / masks.size


def start(p):
    """Adam's moments and count for these parameters."""
    zeros = jax.tree.map(jnp.zeros_like, p)
    return p, zeros, jax.tree.map(jnp.copy, zeros), jnp.float32(0)


def update(state, images, masks):
    """One step: the new state and the loss before it."""
    p, first, second, count = state
    loss, gradients = jax.value_and_grad(loss_of)(p, images, masks)
    count, (b1, b2) = count + 1, gpu_case.BETAS
    first = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, first, gradients)
    second = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, second, gradients)
    scale1, scale2 = 1 / (1 - b1**count), 1 / (1 - b2**count)

    def moved(x, m, v):
        return x - harness.LEARNING_RATE * (m * scale1) / (jnp.sqrt(v * scale2) + gpu_case.ADAM_EPS)

    return (jax.tree.map(moved, p, first, second), first, second, count), loss


def train():
    global state, last
    state, loss = compiled(state, images, masks)
    last = state
    return loss


def infer():
    global last
    last = predict(state[0], images)


def memory():
    """Of the allocator, and of the step as it was compiled."""
    stats = jax.local_devices()[0].memory_stats() or {}
    planned = compiled.memory_analysis()
    sizes = [("argument", 1), ("output", 1), ("temp", 1), ("alias", -1)]
    whole = sum(sign * getattr(planned, f"{name}_size_in_bytes") for name, sign in sizes) if planned else None
    found = {
        "train_held_gib": stats.get("peak_bytes_in_use"),
        "train_reserved_gib": stats.get("peak_pool_bytes") or stats.get("peak_bytes_reserved"),
        "train_planned_gib": whole,
    }
    return {name: size / gpu_case.GIB for name, size in found.items() if size}


if args.precision == "tf32":
    jax.config.update("jax_default_matmul_precision", "tensorfloat32")
state = last = jax.jit(start, donate_argnums=0)(jax.device_put(gpu_case.parameters(args.size)))
images, masks = jax.device_put(gpu_case.images_and_masks(args.size, args.batch))
compiled = jax.jit(update, donate_argnums=0).lower(state, images, masks).compile()
predict = jax.jit(logits_of)
gpu_case.measure(
    args,
    {
        "versions": {"jax": jax.__version__},
        "device_name": jax.devices()[0].device_kind,
        "params": sum(parameter.size for parameter in state[0].values()),
    },
    train,
    infer,
    lambda: jax.block_until_ready(last),
    lambda: None,
    memory,
)
