#!/usr/bin/env python3
"""Measures PyTorch and JAX on a GPU as they train and run the tutorial's network, and prints a table.

    python gpu.py                                                # every case of the method below
    python gpu.py --cases jax-bf16 torch-compile-bf16 --limit 60 --out gpu.json
    python gpu.py --device cpu --size small --batch 2 --steps 2  # whether it runs, without a GPU

Needs torch and jax with numpy, no more. Each case is a program of its own, which may fail or take too long without
harm to the others; what it measured until then is kept. "Median" waits for the device after each step, "in a row" only
after the last. Images (u8) and masks are on the device from the start; each step normalises them. Both frameworks
start from the same parameters, so their first losses agree. Memory is what training takes at most after it warmed up:
of PyTorch, what tensors hold and what its allocator does, workspaces tried out before left aside; of JAX, what the
allocator saw since the start. Each case compiles everything anew, unless TORCHINDUCTOR_CACHE_DIR names a folder.
"""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import gpu_case

HERE = pathlib.Path(__file__).parent
CASES = {
    "torch-eager-bf16": ["gpu_torch.py", "--precision", "bf16", "--channels-last"],
    "torch-eager-tf32": ["gpu_torch.py", "--precision", "tf32"],
    "jax-bf16": ["gpu_jax.py", "--precision", "bf16"],
    "jax-tf32": ["gpu_jax.py", "--precision", "tf32"],
    "torch-compile-bf16": ["gpu_torch.py", "--precision", "bf16", "--channels-last", "--compile"],
    "torch-compile-tf32": ["gpu_torch.py", "--precision", "tf32", "--compile"],
}
# The other layout, only where it is asked for.
EXTRA = {
    "torch-eager-bf16-nchw": ["gpu_torch.py", "--precision", "bf16"],
    "torch-compile-bf16-nchw": ["gpu_torch.py", "--precision", "bf16", "--compile"],
    "torch-eager-tf32-nhwc": ["gpu_torch.py", "--precision", "tf32", "--channels-last"],
    "torch-compile-tf32-nhwc": ["gpu_torch.py", "--precision", "tf32", "--channels-last", "--compile"],
}
COLUMNS = [
    ("train images/s, median", "train_images_per_s", ".1f"),
    ("in a row", "train_in_a_row_images_per_s", ".1f"),
    ("GiB held", "train_held_gib", ".2f"),
    ("GiB reserved", "train_reserved_gib", ".2f"),
    ("inference images/s, median", "infer_images_per_s", ".1f"),
    ("in a row", "infer_in_a_row_images_per_s", ".1f"),
    ("first step, s", "first_step_s", ".1f"),
    ("in all, s", "total_s", ".1f"),
    ("first loss", "loss_first", ".4f"),
    ("last loss", "loss_last", ".4f"),
]


def run(name, flags, limit):
    """What a case measured, with `error` if it did not end well."""
    script, *switches = (CASES | EXTRA)[name]
    command = [sys.executable, str(HERE / script), *switches, *flags]
    start, error = time.perf_counter(), None
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache,
    ):
        # A stopped case can leave half a file in a cache of compiled code, which breaks the next.
        environment = {"TORCHINDUCTOR_CACHE_DIR": cache} | os.environ
        child = subprocess.Popen(command, stdout=out, stderr=err, env=environment, start_new_session=True)
        try:
            if child.wait(limit):
                error = f"exit status {child.returncode}"
        except subprocess.TimeoutExpired:
            error = f"over {limit:g} s"
        finally:
            stop(child)
        total = time.perf_counter() - start
        out.seek(0)
        err.seek(0)
        lines = [json.loads(line) for line in out if line.startswith("{") and line.endswith("}\n")]
        log = err.read()
    if error:
        print(f"{name}: {error}\n{log[-3000:]}", file=sys.stderr, flush=True)
        reasons = log.strip().splitlines()
        reasons = [line for line in reasons if "Error" in line] or reasons or [""]
        error += ": " + reasons[-1].strip()[:160]
    result = {"case": name, "error": error, "total_s": total}
    for line in lines:
        result |= line
    return result


def stop(child):
    """Ends a program with all that it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def table(results):
    """All results in Markdown."""
    rows = [["case", *(title for title, _, _ in COLUMNS)]]
    for result in results:
        cells = [format(result[field], form) if result.get(field) is not None else "–" for _, field, form in COLUMNS]
        rows.append([result["case"], *cells])
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    rows = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines + [f"{result['case']}: {result['error']}" for result in results if result["error"]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", nargs="+", default=[*CASES], choices=[*CASES, *EXTRA], metavar="CASE")
    parser.add_argument("--limit", type=float, default=90, help="seconds for each case")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.json", help="gets every number, after each case")
    gpu_case.add_flags(parser)
    args = parser.parse_args()
    flags = [text for name in gpu_case.FLAGS for text in (f"--{name}", str(getattr(args, name)))]
    results = []
    for name in args.cases:
        results.append(run(name, flags, args.limit))
        speed = results[-1].get("train_images_per_s")
        print(f"{name}: {'–' if speed is None else f'{speed:.1f}'} images/s trained", file=sys.stderr, flush=True)
        if args.out:
            args.out.write_text(json.dumps(results, indent=1) + "\n")
    devices = {result["device_name"] for result in results if "device_name" in result}
    versions = {name: version for result in results for name, version in result.get("versions", {}).items()}
    what = [*sorted(devices), f"{args.size}, batch {args.batch}", *(f"{k} {v}" for k, v in versions.items())]
    print("; ".join(what) + "\n\n" + table(results))
    sys.exit(any(result["error"] for result in results))


if __name__ == "__main__":
    main()
