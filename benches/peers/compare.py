#!/usr/bin/env python3
"""Measures this library and its peers in turn on the same machine and prints a table in Markdown.

    cargo build --release --example measure
    python3 -m venv VENV && VENV/bin/pip install -r benches/peers/requirements.txt
    VENV/bin/python benches/peers/compare.py [--without "torch compiled"]

Each side runs ROUNDS times, one after the other, and the best median counts: what disturbs a machine makes
programs slower, never faster.
"""
import argparse
import json
import pathlib
import platform
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
MEASURE = HERE.parent.parent / "target" / "release" / "examples" / "measure"
ROUNDS = 2
THREADS = "2"
SMALL = dict(image_size=128, hidden=192, mlp=768, heads=4)
FULL = dict(image_size=256, hidden=768, mlp=3072, heads=4)
CASES = [
    ("training step, 128×128, hidden 192, batch 8", "train", SMALL | dict(batch=8, steps=8)),
    ("training step, 256×256, hidden 768, batch 2", "train", FULL | dict(batch=2, steps=4)),
    ("inference, 128×128, hidden 192, batch 1", "infer", SMALL | dict(batch=1, steps=20)),
    ("inference, 256×256, hidden 768, batch 1", "infer", FULL | dict(batch=1, steps=8)),
]
SIDES = {
    "unetr": [str(MEASURE)],
    "torch eager": [sys.executable, str(HERE / "torch_monai.py")],
    "torch compiled": [sys.executable, str(HERE / "torch_monai.py"), "--compile"],
}


def measure(command, bench, case):
    """The line that a program prints."""
    flags = [text for name, value in case.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    program, *options = command
    script, options = (options[:1], options[1:]) if options else ([], [])
    done = subprocess.run(
        [program, *script, bench, *flags, "--threads", THREADS, *options],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def cpu():
    """The processor's name."""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--without", action="append", default=[], choices=[side for side in SIDES if side != "unetr"])
    for side in parser.parse_args().without:
        del SIDES[side]
    if not MEASURE.exists():
        sys.exit(f"{MEASURE} is missing: cargo build --release --example measure")
    versions = {}
    rows = []
    for title, bench, case in CASES:
        best = {}
        for _ in range(ROUNDS):
            for side, command in SIDES.items():
                line = measure(command, bench, case)
                versions |= line.get("versions", {})
                if side not in best or line["median_s"] < best[side]["median_s"]:
                    best[side] = line
        fastest = max(line["images_per_s"] for side, line in best.items() if side != "unetr")
        smallest = min(line["peak_rss_mb"] for side, line in best.items() if side != "unetr")
        ours = best["unetr"]
        cells = [f"{line['images_per_s']:.2f}, {line['peak_rss_mb']} MB" for line in best.values()]
        ratios = f"{ours['images_per_s'] / fastest:.2f}×, {ours['peak_rss_mb'] / smallest:.2f}×"
        rows.append([title, *cells, ratios])
    print(f"{cpu()}, {THREADS} threads, " + ", ".join(f"{k} {v}" for k, v in versions.items()))
    print()
    header = ["images/s, peak memory", *SIDES, "against the best"]
    for row in [header, ["---"] * len(header), *rows]:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
