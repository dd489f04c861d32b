"""The work of `measure` in PyTorch: MONAI's UNETR, the tutorial's losses and Adam. Prints one line of JSON.

    python torch_monai.py train --image-size 128 --hidden 192 --mlp 768 --heads 4 --batch 8 [--compile]
"""
import argparse
import json
import os
import resource
import statistics
import time

parser = argparse.ArgumentParser()
parser.add_argument("bench", choices=["train", "infer"])
for flag, default in [("image-size", 128), ("hidden", 192), ("mlp", 768), ("heads", 4), ("feature", 16)]:
    parser.add_argument(f"--{flag}", type=int, default=default)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--steps", type=int, default=15)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--compile", action="store_true")
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)

import torch  # noqa: E402  (it reads the number of threads when it is imported)
import torch.nn.functional as F  # noqa: E402
from monai.networks.nets import UNETR  # noqa: E402

torch.set_num_threads(args.threads)
torch.manual_seed(0)
CLASSES = 3


def loss_of(logits, masks):
    """Cross entropy plus soft Jaccard, one ratio for the whole batch."""
    p = torch.softmax(logits, dim=1)
    y = F.one_hot(masks, CLASSES).permute(0, 3, 1, 2)
    intersection = (p * y).sum()
    union = (p + y - p * y + 1e-8).sum()
    return F.cross_entropy(logits, masks) + 1 - intersection / union


size = args.image_size
model = UNETR(
    in_channels=3,
    out_channels=CLASSES,
    img_size=(size, size),
    feature_size=args.feature,
    hidden_size=args.hidden,
    mlp_dim=args.mlp,
    num_heads=args.heads,
    norm_name="instance",
    spatial_dims=2,
)
images = torch.randn(args.batch, 3, size, size)
masks = torch.randint(0, CLASSES, (args.batch, size, size))
forward = torch.compile(model) if args.compile else model
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
losses = []


def train():
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of(forward(images), masks)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())


def infer():
    with torch.inference_mode():
        forward(images)


if args.bench == "infer":
    model.eval()
step = train if args.bench == "train" else infer
started = time.perf_counter()
step()
first = time.perf_counter() - started
step()
walls, cpus = [], []
for _ in range(args.steps):
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    walls.append(time.perf_counter() - wall)
    cpus.append(time.process_time() - cpu)
median = statistics.median(walls)
print(
    json.dumps(
        {
            "bench": args.bench,
            "framework": "torch " + ("compiled" if args.compile else "eager"),
            "versions": {"torch": torch.__version__},
            "median_s": median,
            "min_s": min(walls),
            "max_s": max(walls),
            "cpu_s_median": statistics.median(cpus),
            "images_per_s": args.batch / median,
            "first_step_s": first,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "params": sum(p.numel() for p in model.parameters()),
            "loss_first": losses[0] if losses else None,
            "loss_last": losses[-1] if losses else None,
        }
    )
)
