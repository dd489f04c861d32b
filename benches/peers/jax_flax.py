"""The work of `measure` in JAX: the tutorial's network in Flax NNX, its losses and Adam, compiled as a whole by
`jit`. Prints one line of JSON.

    python jax_flax.py train --image-size 128 --hidden 192 --mlp 768 --heads 4 --batch 8

Images are [batch, height, width, channels]. bf16 is the type of the layers' arithmetic; parameters stay f32.
"""
import os
from functools import partial

import harness

args = harness.flags()
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads={args.threads}"

import flax  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
from flax import nnx  # noqa: E402

PATCH = 16
LAYERS = 12
DTYPE = jnp.bfloat16 if args.precision == "bf16" else None
Linear = partial(nnx.Linear, dtype=DTYPE)
LayerNorm = partial(nnx.LayerNorm, dtype=DTYPE)
Conv = partial(nnx.Conv, dtype=DTYPE)
DoubleSize = partial(nnx.ConvTranspose, kernel_size=(2, 2), strides=(2, 2), padding="VALID", dtype=DTYPE)


class EncoderBlock(nnx.Module):
    """Attention and a perceptron, each after a norm and beside a shortcut."""

    def __init__(self, hidden, mlp, heads, rngs):
        self.norm1, self.norm2 = LayerNorm(hidden, rngs=rngs), LayerNorm(hidden, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads, hidden, decode=False, dtype=DTYPE, rngs=rngs)
        self.mlp = nnx.Sequential(Linear(hidden, mlp, rngs=rngs), nnx.gelu, Linear(mlp, hidden, rngs=rngs))

    def __call__(self, xs):
        xs = xs + self.attention(self.norm1(xs))
        return xs + self.mlp(self.norm2(xs))


def conv_norm(inputs, outputs, kernel, rngs):
    """A convolution and an instance norm: a group norm whose groups are channels."""
    conv = Conv(inputs, outputs, (kernel, kernel), use_bias=False, rngs=rngs)
    return nnx.Sequential(conv, nnx.GroupNorm(outputs, num_groups=outputs, dtype=DTYPE, rngs=rngs))


class ResidualBlock(nnx.Module):
    """Two convolutions beside a shortcut, which is a convolution where the number of channels changes."""

    def __init__(self, inputs, outputs, rngs):
        self.first = conv_norm(inputs, outputs, 3, rngs)
        self.second = conv_norm(outputs, outputs, 3, rngs)
        self.shortcut = conv_norm(inputs, outputs, 1, rngs) if inputs != outputs else nnx.identity

    def __call__(self, xs):
        ys = self.second(nnx.leaky_relu(self.first(xs)))
        return nnx.leaky_relu(ys + self.shortcut(xs))


def upsample(inputs, outputs, repeats, rngs):
    """Tokens to a map of twice the size, and so many times twice that."""
    layers = [DoubleSize(inputs, outputs, rngs=rngs)]
    for _ in range(repeats):
        layers += [DoubleSize(outputs, outputs, rngs=rngs), ResidualBlock(outputs, outputs, rngs)]
    return nnx.Sequential(*layers)


class Decoder(nnx.Module):
    """Doubles a map's size and joins it with the encoder's of that size."""

    def __init__(self, inputs, outputs, rngs):
        self.up = DoubleSize(inputs, outputs, rngs=rngs)
        self.block = ResidualBlock(2 * outputs, outputs, rngs)

    def __call__(self, xs, skip):
        return self.block(jnp.concatenate([self.up(xs), skip], axis=-1))


class Unetr(nnx.Module):
    """The network, with the names of the paper's figure."""

    def __init__(self, size, hidden, mlp, heads, feature, rngs):
        self.grid = size // PATCH
        self.patches = Conv(3, hidden, (PATCH, PATCH), strides=(PATCH, PATCH), padding="VALID", rngs=rngs)
        positions = jax.nn.initializers.truncated_normal(0.02)
        self.positions = nnx.Param(positions(rngs.params(), (1, self.grid**2, hidden), jnp.float32))
        self.blocks = nnx.List([EncoderBlock(hidden, mlp, heads, rngs) for _ in range(LAYERS)])
        self.norm = LayerNorm(hidden, rngs=rngs)
        self.encoder1 = ResidualBlock(3, feature, rngs)
        self.encoder2 = upsample(hidden, 2 * feature, 2, rngs)
        self.encoder3 = upsample(hidden, 4 * feature, 1, rngs)
        self.encoder4 = upsample(hidden, 8 * feature, 0, rngs)
        self.decoder5 = Decoder(hidden, 8 * feature, rngs)
        self.decoder4 = Decoder(8 * feature, 4 * feature, rngs)
        self.decoder3 = Decoder(4 * feature, 2 * feature, rngs)
        self.decoder2 = Decoder(2 * feature, feature, rngs)
        self.out = Conv(feature, harness.CLASSES, (1, 1), rngs=rngs)

    def __call__(self, images):
        tokens = self.patches(images)
        batch, _, _, hidden = tokens.shape
        tokens = tokens.reshape(batch, -1, hidden) + self.positions
        states = []
        for block in self.blocks:
            tokens = block(tokens)
            states.append(tokens)
        as_map = lambda xs: xs.reshape(batch, self.grid, self.grid, hidden)  # noqa: E731
        xs = self.decoder5(as_map(self.norm(tokens)), self.encoder4(as_map(states[9])))
        xs = self.decoder4(xs, self.encoder3(as_map(states[6])))
        xs = self.decoder3(xs, self.encoder2(as_map(states[3])))
        return self.out(self.decoder2(xs, self.encoder1(images)))


def loss_of(model, images, masks):
    """Cross entropy plus soft Jaccard, one ratio for the whole batch."""
    logits = model(images).astype(jnp.float32)
    p, y = nnx.softmax(logits), nnx.one_hot(masks, harness.CLASSES)
    jaccard = 1 - (p * y).sum() / (p + y - p * y + 1e-8).sum()
    return optax.softmax_cross_entropy_with_integer_labels(logits, masks).mean() + jaccard


@partial(nnx.jit, donate_argnums=(0, 1))
def update(model, optimizer, images, masks):
    loss, gradients = nnx.value_and_grad(loss_of)(model, images, masks)
    optimizer.update(model, gradients)
    return loss


@nnx.jit
def predict(model, images):
    return model(images)


size = args.image_size
model = Unetr(size, args.hidden, args.mlp, args.heads, args.feature, nnx.Rngs(0))
images = jax.random.normal(jax.random.key(0), (args.batch, size, size, 3))
masks = jax.random.randint(jax.random.key(1), (args.batch, size, size), 0, harness.CLASSES)
if args.bench == "train":
    optimizer = nnx.Optimizer(model, optax.adam(harness.LEARNING_RATE), wrt=nnx.Param)


def train():
    return update(model, optimizer, images, masks).item()


def infer():
    predict(model, images).block_until_ready()


harness.measure(
    args,
    "jax",
    {"jax": jax.__version__, "flax": flax.__version__, "optax": optax.__version__},
    sum(parameter.size for parameter in jax.tree.leaves(nnx.state(model, nnx.Param))),
    train if args.bench == "train" else infer,
)
