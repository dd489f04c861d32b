#!/usr/bin/env python3
"""Checks and measures the network on a GPU, on a machine that needs no Rust.

    python3 scripts/gpu_check.py bundle gpu.tar.xz    # where Rust and the CUDA toolkit are
    tar xf gpu.tar.xz && python3 gpu/gpu_check.py run # where the GPU is: a driver, cuBLAS, and torch and JAX for the peers

The bundle has the tests of a GPU against the CPU, the program that measures, the tutorial's, and the peers' programs. `run`
stops if a test fails; then it measures ours and the peers one after the other, and prints one table last. `--no-peers`
leaves those out, `--data DIR`, a folder of Oxford Pets, adds the tutorial's whole job with both recipes, `--out FILE` keeps
every number.
"""
import argparse
import glob
import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
FULL = ["--image-size", "256", "--hidden", "768", "--mlp", "3072", "--batch", "72"]
SMALL = ["--batch", "16"]
CASES = [
    *[(f"training, {p}", ["train-step", *FULL, "--precision", p, "--steps", "8", "--wait-every", "5"]) for p in ("bf16", "tf32", "f32")],
    *[(f"inference, {p}", ["infer", *FULL, "--precision", p, "--steps", "8", "--wait-every", "10"]) for p in ("bf16", "tf32")],
    ("training, bf16, blocks recomputed", ["train-step", *FULL, "--precision", "bf16", "--recompute", "--steps", "5", "--wait-every", "5"]),
    *[(f"training of preset small, {p}", ["train-step", *SMALL, "--precision", p, "--steps", "8", "--wait-every", "20"]) for p in ("bf16", "tf32")],
]
# The tutorial's network and the small one, each from scratch on the data set's own lists with the tutorial's recipe and ours.
JOBS = {
    "tutorial's network and recipe, 256x256, 50 epochs": ["--epochs", "50", "--eval-every", "10"],
    "tutorial's network, recipe small, 256x256, 50 epochs": [
        *["--recipe", "small", "--batch-size", "32", "--epochs", "50", "--eval-every", "10"],
    ],
    "preset small, tutorial's recipe, 128x128, 10 epochs": ["--preset", "small", "--batch-size", "16", "--epochs", "10"],
    "preset small, recipe small, 128x128, 10 epochs": ["--preset", "small", "--recipe", "small", "--epochs", "10"],
}


def built(command):
    """The program that a cargo command builds."""
    done = subprocess.run([*command, "--message-format", "json"], check=True, stdout=subprocess.PIPE, text=True)
    messages = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    programs = [message["executable"] for message in messages if message.get("executable")]
    return programs[-1]


def bundle(file):
    cargo = ["cargo", "build", "--release", "--features", "cuda"]
    with tempfile.TemporaryDirectory() as folder:
        gpu = pathlib.Path(folder) / "gpu"
        (gpu / "bin").mkdir(parents=True)
        for name, kind in [("cuda", "--test"), ("measure", "--example"), ("oxford_pets", "--example")]:
            shutil.copy(built([*cargo, kind, name]), gpu / "bin" / name)
            subprocess.run(["strip", gpu / "bin" / name], check=True)
        shutil.copytree(HERE.parent / "benches" / "peers", gpu / "peers", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(__file__, gpu)
        with tarfile.open(file, "w:xz") as tar:
            tar.add(gpu, "gpu")
    print(f"{file}: {os.path.getsize(file) / 1e6:.1f} MB")


def environment():
    """The libraries of NVIDIA's wheels are found too, and a missing GPU is an error."""
    spec = importlib.util.find_spec("nvidia")
    wheels = list(spec.submodule_search_locations) if spec else []
    folders = [folder for wheel in wheels for folder in sorted(glob.glob(f"{wheel}/*/lib"))]
    path = os.pathsep.join([*folders, os.environ.get("LD_LIBRARY_PATH", "")]).strip(os.pathsep)
    return {**os.environ, "LD_LIBRARY_PATH": path, "UNETR_NEEDS_GPU": "1"}


def measure(flags, env):
    """What the program prints last."""
    command = [HERE / "bin" / "measure", *flags, "--device", "cuda:0"]
    try:
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    except subprocess.TimeoutExpired as error:
        return {"error": [str(error)]}
    if done.returncode != 0:
        return {"error": done.stderr.strip().splitlines()[-1:]}
    return json.loads(done.stdout.splitlines()[-1])


def train(flags, data, env):
    """Seconds of a whole job, with the scores and the speeds of its history."""
    with tempfile.TemporaryDirectory() as out:
        command = [HERE / "bin" / "oxford_pets", "--data", data, "--split", "official", "--device", "cuda:0", *flags]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "--precision", "bf16", "--workers", str(os.cpu_count()), "--out", f"{out}/run"],
            env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            return {"error": done.stderr.strip().splitlines()[-1:]}
        epochs = [json.loads(line) for line in open(f"{out}/run/history.jsonl")]
    speeds = statistics.median(epoch["images_per_second"] for epoch in epochs[1:])
    return {"seconds": seconds, "images_per_s": speeds, **epochs[-1]["metrics"]["validation"]}


def run(out, peers, data):
    env = environment()
    subprocess.run(["nvidia-smi", "-L"], check=True)
    tests = subprocess.run([HERE / "bin" / "cuda", "--test-threads", "4"], env=env)
    if tests.returncode != 0:
        sys.exit("the GPU does not compute what the CPU does: nothing was measured")
    ours = {name: measure(flags, env) for name, flags in CASES}
    table = ["| unetr | images/s | GB used | GB reserved |", "| --- | ---: | ---: | ---: |"]
    for name, line in ours.items():
        if "error" in line:
            table.append(f"| {name} | {line['error']} | – | – |")
            continue
        used, reserved = (megabytes / 1e3 for megabytes in line["peak_device_mb"])
        table.append(f"| {name} | {line['images_per_s']:.0f} | {used:.2f} | {reserved:.2f} |")
    jobs = {name: train(flags, data, env) for name, flags in JOBS.items()} if data else {}
    if jobs:
        table += ["", "| whole job | seconds | images/s | mean IoU | accuracy |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, job in jobs.items():
        if "error" in job:
            table.append(f"| {name} | {job['error']} | – | – | – |")
            continue
        scores = f"{job['mean_iou']:.3f} | {job['accuracy']:.3f}"
        table.append(f"| {name} | {job['seconds']:.0f} | {job['images_per_s']:.0f} | {scores} |")
    if out:
        pathlib.Path(out).write_text(json.dumps({"measured": ours, "trained": jobs}, indent=1))
    if peers:
        more = ["--out", f"{out}.peers.json"] if out else []
        subprocess.run([sys.executable, HERE / "peers" / "gpu.py", *more])
    print("\n".join(table))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("bundle").add_argument("file")
    runner = commands.add_parser("run")
    runner.add_argument("--out")
    runner.add_argument("--no-peers", action="store_true")
    runner.add_argument("--data", help="trains on the photos and masks of this folder")
    flags = parser.parse_args()
    if flags.command == "bundle":
        bundle(flags.file)
    else:
        run(flags.out, not flags.no_peers, flags.data)


if __name__ == "__main__":
    main()
