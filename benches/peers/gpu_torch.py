"""PyTorch's cases of `gpu.py`: the network with MONAI's structure, the tutorial's losses and the fused Adam.

    python gpu_torch.py --precision bf16 --channels-last [--compile]

`--compile` compiles normalising, network and losses as one function. bf16 is `torch.autocast`.
"""
import gpu_case
import harness

args = gpu_case.flags(["--channels-last", "--compile"])

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

FORMAT = torch.channels_last if args.channels_last else torch.contiguous_format
CUDA = args.device == "cuda"


class EncoderBlock(nn.Module):
    """Attention and a perceptron, each after a norm and beside a shortcut."""

    def __init__(self, hidden, mlp, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(hidden, eps=gpu_case.EPS) for _ in range(2))
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.linear1, self.linear2 = nn.Linear(hidden, mlp), nn.Linear(mlp, hidden)

    def attention(self, xs):
        qkv = self.qkv(xs).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        ys = F.scaled_dot_product_attention(*qkv.unbind())
        return self.out(ys.transpose(1, 2).flatten(2))

    def forward(self, xs):
        xs = xs + self.attention(self.norm1(xs))
        return xs + self.linear2(F.gelu(self.linear1(self.norm2(xs)), approximate="tanh"))


def conv(inputs, outputs, kernel):
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)


def norm(channels):
    return nn.InstanceNorm2d(channels, eps=gpu_case.EPS, affine=True)


def double_size(inputs, outputs):
    return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution where the number of channels changes."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1, self.norm1 = conv(inputs, outputs, 3), norm(outputs)
        self.conv2, self.norm2 = conv(outputs, outputs, 3), norm(outputs)
        self.projects = inputs != outputs
        if self.projects:
            self.conv3, self.norm3 = conv(inputs, outputs, 1), norm(outputs)

    def forward(self, xs):
        ys = F.leaky_relu(self.norm1(self.conv1(xs)), gpu_case.SLOPE, inplace=True)
        ys = self.norm2(self.conv2(ys))
        ys += self.norm3(self.conv3(xs)) if self.projects else xs
        return F.leaky_relu(ys, gpu_case.SLOPE, inplace=True)


class Upsample(nn.Module):
    """Tokens to a map of twice the size, and so many times twice that."""

    def __init__(self, inputs, outputs, repeats):
        super().__init__()
        self.up = double_size(inputs, outputs)
        self.ups = nn.ModuleList(double_size(outputs, outputs) for _ in range(repeats))
        self.blocks = nn.ModuleList(ResidualBlock(outputs, outputs) for _ in range(repeats))

    def forward(self, xs):
        xs = self.up(xs)
        for up, block in zip(self.ups, self.blocks):
            xs = block(up(xs))
        return xs


class Decoder(nn.Module):
    """Doubles a map's size and joins it with the encoder's of that size."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.up, self.block = double_size(inputs, outputs), ResidualBlock(2 * outputs, outputs)

    def forward(self, xs, skip):
        return self.block(torch.cat([self.up(xs), skip], dim=1))


class Unetr(nn.Module):
    """The network, with the names of the paper's figure."""

    def __init__(self, image_size, hidden, mlp, heads):
        super().__init__()
        feature, patch = gpu_case.FEATURE, gpu_case.PATCH
        self.grid = image_size // patch
        self.patches = nn.Conv2d(3, hidden, patch, stride=patch)
        self.positions = nn.Parameter(torch.empty(1, self.grid**2, hidden))
        self.blocks = nn.ModuleList(EncoderBlock(hidden, mlp, heads) for _ in range(gpu_case.LAYERS))
        self.norm = nn.LayerNorm(hidden, eps=gpu_case.EPS)
        self.encoder1 = ResidualBlock(3, feature)
        self.encoder2 = Upsample(hidden, 2 * feature, 2)
        self.encoder3 = Upsample(hidden, 4 * feature, 1)
        self.encoder4 = Upsample(hidden, 8 * feature, 0)
        self.decoder5 = Decoder(hidden, 8 * feature)
        self.decoder4 = Decoder(8 * feature, 4 * feature)
        self.decoder3 = Decoder(4 * feature, 2 * feature)
        self.decoder2 = Decoder(2 * feature, feature)
        self.out = nn.Conv2d(feature, harness.CLASSES, 1)

    def as_map(self, tokens):
        return tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid)).contiguous(memory_format=FORMAT)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        states = []
        for block in self.blocks:
            tokens = block(tokens)
            states.append(tokens)
        xs = self.decoder5(self.as_map(self.norm(tokens)), self.encoder4(self.as_map(states[9])))
        xs = self.decoder4(xs, self.encoder3(self.as_map(states[6])))
        xs = self.decoder3(xs, self.encoder2(self.as_map(states[3])))
        return self.out(self.decoder2(xs, self.encoder1(images)))


def logits_of(images):
    """Normalises images, [batch, height, width, 3] of u8, and runs the network."""
    images = ((images.float() - shift) * scale).permute(0, 3, 1, 2).contiguous(memory_format=FORMAT)
    with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16"):
        return model(images)


def loss_of(images, masks):
    """Cross entropy plus soft Jaccard, one ratio for the whole batch."""
    logits = logits_of(images).float()
    p = torch.softmax(logits, dim=1)
    y = (masks[:, None] == classes).to(p.dtype)
    intersection = p * y
    union = p + y - intersection + 1e-8
    return F.cross_entropy(logits, masks.long()) + 1 - intersection.sum() / union.sum()


def train():
    optimizer.zero_grad(set_to_none=True)
    loss = loss_function(images, masks)
    loss.backward()
    optimizer.step()
    return loss.detach()


def infer():
    with torch.inference_mode():
        predict(images)


def warmed_up():
    if CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def memory():
    if not CUDA:
        return {}
    return {
        "train_held_gib": torch.cuda.max_memory_allocated() / gpu_case.GIB,
        "train_reserved_gib": torch.cuda.max_memory_reserved() / gpu_case.GIB,
    }


torch.set_float32_matmul_precision("high")  # TF32; convolutions take it by default
torch.backends.cudnn.benchmark = True
with torch.device("meta"):
    model = Unetr(**gpu_case.SIZES[args.size])
parameters = {name: torch.from_numpy(array) for name, array in gpu_case.parameters(args.size).items()}
model.load_state_dict(parameters, assign=True)
model = model.to(args.device, memory_format=FORMAT)
images, masks = (torch.from_numpy(array).to(args.device) for array in gpu_case.images_and_masks(args.size, args.batch))
shift, scale = (torch.from_numpy(array).to(args.device) for array in (gpu_case.SHIFT, gpu_case.SCALE))
classes = torch.arange(harness.CLASSES, dtype=torch.uint8, device=args.device)[:, None, None]
optimizer = torch.optim.Adam(
    model.parameters(), lr=harness.LEARNING_RATE, betas=gpu_case.BETAS, eps=gpu_case.ADAM_EPS, fused=True
)
loss_function, predict = (torch.compile(f) if args.compile else f for f in (loss_of, logits_of))
gpu_case.measure(
    args,
    {
        "versions": {"torch": torch.__version__},
        "device_name": torch.cuda.get_device_name() if CUDA else "cpu",
        "params": sum(parameter.numel() for parameter in model.parameters()),
    },
    train,
    infer,
    torch.cuda.synchronize if CUDA else lambda: None,
    warmed_up,
    memory,
)
