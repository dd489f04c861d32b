"""Checks networks that are exchanged with MONAI, in both directions and for every option of its UNETR in 2D.

    cargo build --release -p unetr-model --example convert
    python3 scripts/check_monai.py [target/release/examples/convert]

MONAI builds a network with random weights, which `convert` loads from a pickle and from safetensors; then a network of
this project with other random weights is exported and loaded by MONAI with `strict=True`. Fails where logits differ by
more than 1e-4. Needs torch, monai and safetensors.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    from monai.networks.nets import UNETR
    from safetensors.torch import load_file, save_file
except ImportError as error:
    sys.exit(f"{error}: pip install torch monai einops safetensors")

CONVERT = sys.argv[1] if len(sys.argv) > 1 else "target/release/examples/convert"
BOUND = 1e-4
SIZE = {
    "in_channels": 3, "out_channels": 4, "img_size": (32, 48), "feature_size": 4, "hidden_size": 24, "mlp_dim": 40,
    "num_heads": 3, "spatial_dims": 2,
}
CONFIGURATIONS = {
    "default": {},
    "perceptron": {"proj_type": "perceptron"},
    "qkv_bias": {"qkv_bias": True},
    "without residual blocks": {"res_block": False},
    "without convolutional blocks": {"conv_block": False},
    "without either": {"res_block": False, "conv_block": False},
    "affine instance norm": {"norm_name": ("instance", {"affine": True})},
    "batch norm": {"norm_name": "batch"},
    "batch norm, basic blocks": {"norm_name": "batch", "res_block": False},
    "batch norm, no convolutional blocks": {"norm_name": "batch", "conv_block": False},
    "group norm, other epsilon": {"norm_name": ("group", {"num_groups": 2, "eps": 1e-3})},
    "square": {"img_size": 64},
    "tall": {"img_size": (80, 16)},
    "as many channels as features": {"in_channels": 4, "out_channels": 1},
    "other sizes": {"feature_size": 6, "hidden_size": 20, "mlp_dim": 12, "num_heads": 5},
    "one head": {"num_heads": 1},
    "everything": {
        "proj_type": "perceptron", "qkv_bias": True, "norm_name": "batch", "res_block": False, "conv_block": False,
    },
    "default sizes": {"feature_size": 16, "hidden_size": 768, "mlp_dim": 3072, "num_heads": 12},
}


def convert(*arguments):
    done = subprocess.run([CONVERT, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"convert {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def randomise(tensors):
    """Other values of about the same size, also for what starts at 0 or 1."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        if name.endswith("running_var"):
            value = torch.rand(tensor.shape) + 0.5
        elif tensor.dim() == 1:
            value = 0.2 * torch.randn(tensor.shape) + (1.0 if name.endswith("weight") else 0.0)
        else:
            value = torch.randn(tensor.shape) * (tensor[0].numel() ** -0.5)
        tensor.copy_(value)


def distance(network, logits, images):
    with torch.no_grad():
        return (network.eval()(images) - logits).abs().max().item()


def logits(source, images, folder):
    save_file({"images": images}, folder / "images.safetensors")
    convert("logits", source, folder / "images.safetensors", "--out", folder / "logits.safetensors")
    return load_file(folder / "logits.safetensors")["logits"]


def old(tensors):
    """The names that files of older versions of MONAI have, with values that nothing may read."""
    tensors = {name: t for name, t in tensors.items() if "norm_cross_attn" not in name}
    hidden, feature = SIZE["hidden_size"], SIZE["feature_size"]
    noise = lambda *shape: torch.full(shape, float("nan"))
    up_to_08 = {"vit.patch_embedding.cls_token": noise(1, 1, hidden)}
    for stage, block, channels in [(2, 0, 2 * feature), (2, 1, 2 * feature), (3, 0, 4 * feature)]:
        up_to_08[f"encoder{stage}.blocks.{block}.1.conv3.conv.weight"] = noise(channels, channels, 1, 1)
    of_14 = {}
    for block in range(12):
        of_14[f"vit.blocks.{block}.norm_cross_attn.weight"] = noise(hidden)
        of_14[f"vit.blocks.{block}.norm_cross_attn.bias"] = noise(hidden)
        of_14[f"vit.blocks.{block}.cross_attn.out_proj.bias"] = noise(hidden)
        for part in ["out_proj", "to_q", "to_k", "to_v"]:
            of_14[f"vit.blocks.{block}.cross_attn.{part}.weight"] = noise(hidden, hidden)
    return {"0.8": {**tensors, **up_to_08}, "0.9 to 1.3": tensors, "1.4 and 1.5": {**tensors, **of_14}}


def imported(network, weights, settings, images, folder, edit=None):
    """How far this project's logits are from those of MONAI's network, and what was of no use in its file."""
    size = settings["img_size"]
    size = (size, size) if isinstance(size, int) else size
    said = convert("from-monai", weights, "--image-size", *size, "--heads", settings["num_heads"], "--out", folder)
    if edit:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **edit}))
    ignored = [line.split(": ")[1] for line in said.splitlines() if line.startswith("of no use: ")]
    return distance(network, logits(folder, images, folder), images), ignored


def exported(network, images, folder):
    """The same of a network of this project that MONAI loads."""
    weights = load_file(folder / "model.safetensors")
    randomise(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    python = convert("to-monai", folder, "--out", folder / "monai.safetensors")
    network = eval(python, {"UNETR": UNETR})
    network.load_state_dict(load_file(folder / "monai.safetensors"), strict=True)
    return distance(network, logits(folder, images, folder), images)


def main():
    torch.manual_seed(0)
    found = []
    print(f"{'greatest difference of logits':40} {'.pth':>9} {'.safetens.':>10} {'exported':>9}")
    for name, changes in CONFIGURATIONS.items():
        settings = {**SIZE, **changes}
        network = UNETR(**settings)
        randomise(network.state_dict())
        size = settings["img_size"]
        images = torch.randn(2, settings["in_channels"], *((size, size) if isinstance(size, int) else size))
        # What shapes do not tell.
        group = {"norm": {"group": {"groups": 2, "eps": 1e-3}}} if "group" in name else None
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            torch.save({"state_dict": network.state_dict(), "epoch": 1}, folder / "model.pth")
            save_file(network.state_dict(), folder / "monai.safetensors")
            pickle, _ = imported(network, folder / "model.pth", settings, images, folder, group)
            safe, _ = imported(network, folder / "monai.safetensors", settings, images, folder, group)
            back = exported(network, images, folder)
        print(f"{name:40} {pickle:9.1e} {safe:10.1e} {back:9.1e}", flush=True)
        found += [pickle, safe, back]
    network = UNETR(**SIZE)
    randomise(network.state_dict())
    images = torch.randn(2, SIZE["in_channels"], *SIZE["img_size"])
    for version, tensors in old(network.state_dict()).items():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            torch.save(tensors, folder / "model.pth")
            difference, ignored = imported(network, folder / "model.pth", SIZE, images, folder)
        ignored = sorted({".".join("*" if part.isdigit() else part for part in name.split(".")) for name in ignored})
        print(f"{'names of MONAI ' + version:40} {difference:9.1e} passed over: {', '.join(ignored) or 'nothing'}")
        found.append(difference)
    if not all(difference <= BOUND for difference in found):  # a NaN fails too
        sys.exit(f"some logits differ by more than {BOUND:.0e}")


if __name__ == "__main__":
    main()
