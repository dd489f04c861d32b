"""The operations of `benches/ops` in PyTorch: a line of JSON for each, with the names and shapes of there.

    python torch_ops.py [FILTER] [--threads 2] [--seconds 0.5]

Eager and f32. All arguments get gradients and the output's is made of ones, as there.
"""
import argparse
import json
import statistics
import time

import harness

parser = argparse.ArgumentParser()
parser.add_argument("filter", nargs="?", default="")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=0.5)
args = parser.parse_args()
harness.limit_threads(args.threads)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

torch.set_num_threads(args.threads)
WARM_UP, AT_LEAST, AT_MOST = 2, 5, 2000
BATCH, TOKENS, HIDDEN, HEADS, CLASSES, SIZE = 2, 256, 768, 4, 3, 256
MLP = 4 * HIDDEN
EPS, SLOPE = 1e-6, 0.01


def measure(op, shape, run):
    """Repeats `run`, which gives the seconds of its two halves, and prints its medians."""
    if args.filter not in f"{op} {shape}":
        return
    for _ in range(WARM_UP):
        run()
    began, times = time.perf_counter(), []
    while len(times) < AT_LEAST or (len(times) < AT_MOST and time.perf_counter() - began < args.seconds):
        times.append(run())
    forward, backward = (None if None in half else 1e3 * statistics.median(half) for half in zip(*times))
    versions = {"torch": torch.__version__.split("+")[0]}
    line = {"op": op, "shape": shape, "forward_ms": forward, "backward_ms": backward, "versions": versions}
    print(json.dumps(line), flush=True)


def differentiable(op, shape, arguments, function):
    """Measures `function` on variables of the given shapes."""
    if args.filter not in f"{op} {shape}":
        return
    xs = [torch.randn(*dims, requires_grad=True) for dims in arguments]

    def run():
        for x in xs:
            x.grad = None
        start = time.perf_counter()
        ys = function(*xs)
        middle = time.perf_counter()
        ys.backward(torch.ones_like(ys))
        del ys
        return middle - start, time.perf_counter() - middle

    measure(op, shape, run)


def text(*dims):
    return "[" + ",".join(map(str, dims)) + "]"


def attention(packed, heads):
    """Of queries, keys and values beside each other."""
    batch, tokens, width = packed.shape
    q, k, v = packed.view(batch, tokens, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width // 3)


def encoder_block(xs, norm1, bias1, norm2, bias2, qkv, qkv_bias, out, out_bias, up, up_bias, down, down_bias):
    hidden = xs.shape[2:]
    packed = F.linear(F.layer_norm(xs, hidden, norm1, bias1, EPS), qkv, qkv_bias)
    xs = xs + F.linear(attention(packed, HEADS), out, out_bias)
    wide = F.linear(F.layer_norm(xs, hidden, norm2, bias2, EPS), up, up_bias)
    return xs + F.linear(F.gelu(wide, approximate="tanh"), down, down_bias)


def conv_norm(xs, weight, scale, shift):
    ys = F.conv2d(xs, weight, padding=weight.shape[-1] // 2)
    return F.instance_norm(ys, weight=scale, bias=shift, eps=EPS)


def residual_block(xs, *parameters):
    first, second, shortcut = parameters[:3], parameters[3:6], parameters[6:]
    ys = F.leaky_relu(conv_norm(xs, *first), SLOPE)
    return F.leaky_relu(conv_norm(ys, *second) + conv_norm(xs, *shortcut), SLOPE)


def soft_jaccard(logits, labels):
    p = torch.softmax(logits, dim=1)
    y = F.one_hot(labels, CLASSES).permute(0, 3, 1, 2).to(p.dtype)
    intersection = p * y
    return 1 - intersection.sum() / (p + y - intersection + 1e-8).sum()


def weighted_cross_entropy(logits, labels):
    weights = torch.tensor([0.5, 2.0, 1.0])
    return F.cross_entropy(logits, labels, weights, ignore_index=255, label_smoothing=0.1)


def focal(logits, labels):
    log_p = torch.log_softmax(logits, dim=1).gather(1, labels[:, None])
    return -((1 - log_p.exp()) ** 2 * log_p).mean()


def soft_counts(logits, labels):
    p = torch.softmax(logits, dim=1)
    y = F.one_hot(labels, CLASSES).permute(0, 3, 1, 2).to(p.dtype)
    return torch.stack([(p * y).sum((2, 3)), p.sum((2, 3)), y.sum((2, 3))])


def lovasz_softmax(logits, labels):
    """As Berman's, of classes that are all present."""
    p, losses = torch.softmax(logits, dim=1), []
    for c in range(CLASSES):
        y = (labels == c).to(p.dtype).flatten()
        errors, order = torch.sort((y - p[:, c].flatten()).abs(), descending=True)
        y = y[order]
        jaccard = 1 - (y.sum() - y.cumsum(0)) / (y.sum() + (1 - y).cumsum(0))
        jaccard[1:] = jaccard[1:] - jaccard[:-1]
        losses.append(torch.dot(errors, jaccard))
    return torch.stack(losses).mean()


for kernel, inputs, size, outputs in [
    (3, 16, 256, 16),
    (3, 32, 256, 16),
    (3, 32, 128, 32),
    (3, 64, 64, 32),
    (3, 256, 32, 128),
    (1, 32, 256, 16),
]:
    dims = (BATCH, inputs, size, size)
    differentiable(
        f"conv2d {kernel}x{kernel}",
        f"{text(*dims)} -> {outputs}",
        [dims, (outputs, inputs, kernel, kernel)],
        lambda xs, weight: F.conv2d(xs, weight, padding=weight.shape[-1] // 2),
    )
dims = (BATCH, 32, 128, 128)
differentiable(
    "conv_transpose2d 2x2, stride 2",
    f"{text(*dims)} -> 16",
    [dims, (32, 16, 2, 2), (16,)],
    lambda xs, weight, bias: F.conv_transpose2d(xs, weight, bias, stride=2),
)

dims = (BATCH, 16, SIZE, SIZE)
differentiable(
    "instance_norm + leaky_relu",
    text(*dims),
    [dims, (16,), (16,)],
    lambda xs, scale, shift: F.leaky_relu(F.instance_norm(xs, weight=scale, bias=shift, eps=EPS), SLOPE),
)

tokens = (BATCH, TOKENS, HIDDEN)
differentiable(
    "layer_norm",
    text(*tokens),
    [tokens, (HIDDEN,), (HIDDEN,)],
    lambda xs, scale, shift: F.layer_norm(xs, (HIDDEN,), scale, shift, EPS),
)
wide = (BATCH, TOKENS, MLP)
differentiable("gelu", text(*wide), [wide], lambda xs: F.gelu(xs, approximate="tanh"))
differentiable("linear", f"{text(*tokens)} -> {MLP}", [tokens, (MLP, HIDDEN), (MLP,)], F.linear)
packed = (BATCH, TOKENS, 3 * HIDDEN)
differentiable("attention", f"{text(*tokens)}, {HEADS} heads", [packed], lambda xs: attention(xs, HEADS))

for dims in [tokens, (8, 64, 192)]:
    hidden = dims[-1]
    mlp = 4 * hidden
    layers = [(3 * hidden, hidden), (hidden, hidden), (mlp, hidden), (hidden, mlp)]
    shapes = [dims] + 4 * [(hidden,)] + [part for layer in layers for part in (layer, layer[:1])]
    differentiable("encoder_block", f"{text(*dims)}, {HEADS} heads", shapes, encoder_block)
dims, outputs = (BATCH, 32, SIZE, SIZE), 16
weights = [(outputs, 32, 3, 3), (outputs, outputs, 3, 3), (outputs, 32, 1, 1)]
shapes = [dims] + [part for weight in weights for part in (weight, (outputs,), (outputs,))]
differentiable("residual_block", f"{text(*dims)} -> {outputs}", shapes, residual_block)

dims = (BATCH, CLASSES, SIZE, SIZE)
labels = torch.arange(BATCH * SIZE * SIZE).remainder(CLASSES).view(BATCH, SIZE, SIZE)
differentiable("cross_entropy", text(*dims), [dims], lambda logits: F.cross_entropy(logits, labels))
for name, loss in [
    ("cross_entropy, weighted", weighted_cross_entropy),
    ("focal", focal),
    ("soft_jaccard", soft_jaccard),
    ("soft_counts", soft_counts),
    ("lovasz_softmax", lovasz_softmax),
]:
    differentiable(name, text(*dims), [dims], lambda logits: loss(logits, labels))

parameter = torch.randn(12, HIDDEN, HIDDEN, requires_grad=True)
parameter.grad = torch.randn_like(parameter)
optimizer = torch.optim.Adam([parameter], lr=harness.LEARNING_RATE, fused=True)


def adam():
    start = time.perf_counter()
    optimizer.step()
    return time.perf_counter() - start, None


measure("adam", text(*parameter.shape), adam)
