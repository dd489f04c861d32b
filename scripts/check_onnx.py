"""Checks the ONNX files of networks: onnxruntime has to give what the network itself gives.

    python3 scripts/check_onnx.py
    python3 scripts/check_onnx.py runs/quickstart/model

exports the network with `examples/export.rs`, or else networks of random numbers with every kind of
configuration; checks each file with ONNX's checker and shape inference; runs it on photos of the sample, in
batches of 1 and 3, on the CPU; and fails where a logit differs by more than 1e-4. Needs the packages `onnx`,
`onnxruntime`, `safetensors` and `numpy`.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    import onnx
    import onnxruntime
    from safetensors.numpy import load_file
except ImportError as error:
    sys.exit(f"{error.name} is missing: pip install onnx onnxruntime safetensors numpy")

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = [f"assets/oxford_pets_sample/images/{name}.jpg" for name in ("Abyssinian_101", "Bengal_1", "Persian_111")]
BOUND = 1e-4

SMALL = {"image_size": [128, 128], "hidden_size": 192, "mlp_size": 768}
TINY = {"image_size": [64, 64], "feature_size": 4, "hidden_size": 32, "mlp_size": 64, "layers": 4}
MONAI = {
    "heads": 12,
    "gelu": "erf",
    "layer_norm_eps": 1e-5,
    "qkv_bias": False,
    "norm": {"instance": {"affine": False, "eps": 1e-5}},
    "transposed_bias": False,
}
BATCH = {"batch": {"eps": 1e-5, "momentum": 0.1, "running_variance": "unbiased"}}

# What is exported: a name, fields of the configuration besides the tutorial's, and flags.
CASES = [
    ("tutorial, 87.7 million parameters", {}, []),
    ("small", SMALL, []),
    ("small at 256x256", SMALL | {"image_size": [256, 256]}, []),
    ("small, as MONAI's", SMALL | MONAI, []),
    ("small, 96x160", SMALL | {"image_size": [96, 160]}, []),
    ("perceptron", SMALL | {"patch_projection": "perceptron"}, []),
    ("perceptron, 32x80", TINY | {"patch_projection": "perceptron", "image_size": [32, 80]}, []),
    ("without biases of queries, keys and values", TINY | {"qkv_bias": False}, []),
    ("GELU with erf", TINY | {"gelu": "erf"}, []),
    ("layer scale", SMALL | {"layer_scale": 0.1}, []),
    ("auxiliary heads", TINY | {"auxiliary_heads": True}, []),
    ("batch normalisation", SMALL | {"norm": BATCH}, []),
    ("group normalisation", TINY | {"norm": {"group": {"groups": 2, "eps": 1e-5}}}, []),
    ("basic blocks", SMALL | {"block": "basic"}, []),
    ("transposed convolutions alone", SMALL | {"upsampling": "transposed_only"}, []),
    ("basic blocks, transposed convolutions alone", TINY | {"block": "basic", "upsampling": "transposed_only"}, []),
    ("transposed convolutions without bias", TINY | {"transposed_bias": False}, []),
    ("leaky slope of 0.2, 5 classes, 7 layers", TINY | {"leaky_slope": 0.2, "classes": 5, "layers": 7}, []),
    ("pixels to logits", SMALL, ["--input", "pixels"]),
    ("pixels to probabilities", SMALL, ["--input", "pixels", "--output", "probabilities"]),
    ("pixels to classes", SMALL, ["--input", "pixels", "--output", "classes"]),
]


def export(flags, folder):
    """The paths of the graph, and of images with the network's logits."""
    graph, samples = folder / "model.onnx", folder / "samples.safetensors"
    command = ["cargo", "run", "--quiet", "--release", "--example", "export", "--", *flags]
    command += ["--onnx", graph, "--samples", samples, *PHOTOS]
    if subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.DEVNULL).returncode != 0:
        sys.exit("the export failed")
    return graph, samples


def difference(name, found, logits):
    """The greatest difference of an output from what follows from the network's logits."""
    if name == "logits":
        return np.abs(found - logits).max()
    if name == "probabilities":
        exp = np.exp(logits - logits.max(1, keepdims=True))
        return np.abs(found - exp / exp.sum(1, keepdims=True)).max()
    # How much less than the largest logit that of the class is.
    of_class = np.take_along_axis(logits, found[:, None], 1)[:, 0]
    return (logits.max(1) - of_class).max()


def check(name, graph, samples):
    onnx.checker.check_model(str(graph), full_check=True)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    (images,), (output,) = session.get_inputs(), session.get_outputs()
    if images.shape[0] != "batch" or output.shape[0] != "batch":
        sys.exit(f"{name}: the batch is not free: {images.shape} to {output.shape}")
    tensors = load_file(samples)
    differences = []
    for batch in (1, len(PHOTOS)):
        (found,) = session.run(None, {images.name: tensors["images"][:batch]})
        logits = tensors["logits"][:batch].astype(np.float64)
        if not np.isfinite(found).all() or logits.std() < 0.01:
            sys.exit(f"{name}: no logits that tell anything")
        differences.append(difference(output.name, found, logits))
    largest = np.abs(tensors["logits"]).max()
    one, three = differences
    print(f"{name:44} {output.name:13} {one:8.1e} {three:8.1e} {largest:8.2f} {graph.stat().st_size / 1e6:8.1f}", flush=True)
    return max(differences)


def main():
    cases = [(model, None, []) for model in sys.argv[1:]] or CASES
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    print(f"{'network':44} {'output':13} {'batch 1':>8} {'batch 3':>8} {'largest':>8} {'MB':>8}")
    wrong = []
    for name, fields, flags in cases:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            if fields is None:
                source = ["--model", Path(name).resolve()]
            else:
                config = folder / "config.json"
                config.write_text(json.dumps(fields))
                source = ["--config", config]
            if not check(name, *export(source + flags, folder)) <= BOUND:  # a NaN fails too
                wrong.append(name)
    if wrong:
        sys.exit(f"more than {BOUND} from the network: {', '.join(wrong)}")
    print(f"all {len(cases)} within {BOUND}")


if __name__ == "__main__":
    main()
