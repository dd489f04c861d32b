"""The work of `measure` in PyTorch: MONAI's UNETR, the tutorial's losses and Adam. Prints one line of JSON.

    python torch_monai.py train --image-size 128 --hidden 192 --mlp 768 --heads 4 --batch 8 [--compile]

The network has what the tutorial's has: affine norms and a bias of queries, keys and values. `--compile` takes what
PyTorch offers for speed, `torch.compile` and the fused Adam; bf16 is `torch.autocast`.
"""
import harness

args = harness.flags(["--compile"])

import monai  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from monai.networks.nets import UNETR  # noqa: E402

torch.set_num_threads(args.threads)
torch.manual_seed(0)


def loss_of(logits, masks):
    """Cross entropy plus soft Jaccard, one ratio for the whole batch."""
    p = torch.softmax(logits, dim=1)
    y = F.one_hot(masks, harness.CLASSES).permute(0, 3, 1, 2).to(p.dtype)
    intersection = (p * y).sum()
    union = (p + y - p * y + 1e-8).sum()
    return F.cross_entropy(logits, masks) + 1 - intersection / union


size = args.image_size
model = UNETR(
    in_channels=3,
    out_channels=harness.CLASSES,
    img_size=(size, size),
    feature_size=args.feature,
    hidden_size=args.hidden,
    mlp_dim=args.mlp,
    num_heads=args.heads,
    norm_name=("instance", {"affine": True}),
    qkv_bias=True,
    spatial_dims=2,
)
images = torch.randn(args.batch, 3, size, size)
masks = torch.randint(0, harness.CLASSES, (args.batch, size, size))
compiled = torch.compile(model) if args.compile else model
optimizer = torch.optim.Adam(model.parameters(), lr=harness.LEARNING_RATE, fused=args.compile)


def forward():
    with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
        return compiled(images)


def train():
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of(forward().float(), masks)
    loss.backward()
    optimizer.step()
    return loss.item()


def infer():
    with torch.inference_mode():
        forward()


if args.bench == "infer":
    model.eval()
harness.measure(
    args,
    "torch " + ("compiled" if args.compile else "eager"),
    {"torch": torch.__version__.split("+")[0], "monai": monai.__version__},
    sum(parameter.numel() for parameter in model.parameters()),
    train if args.bench == "train" else infer,
)
