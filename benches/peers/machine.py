"""The machine that measures: what it is, whether it is quiet, and the programs built on it."""
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ["cargo", "build", "--release", "--workspace", "--bench", "ops", "--example", "measure"]
# The share of all processors that other programs may take. Frameworks whose threads wait for each other suffer most.
BUSY = 0.1


def build():
    """Builds the programs of this repository: where they are, by name."""
    done = subprocess.run(
        [*BUILD, "--message-format", "json-render-diagnostics"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        message["target"]["name"]: message["executable"]
        for message in messages
        if message.get("executable") and {"bench", "example"} & set(message["target"]["kind"])
    }


def run(command, patience):
    """The lines of JSON that a program prints: none if it says that it does not know an option."""
    await_quiet(patience)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode == 2:  # clap and argparse
        print(done.stderr, file=sys.stderr)
        return []
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def await_quiet(patience):
    """Waits for other programs to end, for so many seconds."""
    until = time.monotonic() + patience
    while (busy := busy_share()) > BUSY:
        if time.monotonic() > until:
            print(f"warning: other programs take {busy:.0%} of the processors", file=sys.stderr)
            return


def busy_share(seconds=1):
    """Which share of the processors' time was not idle."""

    def times():
        fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        user, nice, system, idle, iowait, *other = map(int, fields)
        return idle + iowait, user + nice + system + sum(other)

    before = times()
    time.sleep(seconds)
    idle, busy = (after - start for after, start in zip(times(), before))
    return busy / max(idle + busy, 1)


def describe(threads, versions):
    """A sentence about the hardware, and one about the programs."""
    name, flags = platform.processor(), []
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            name = value
        if key == "flags":
            flags = value.split()
    known = {"avx512f": "AVX-512", "avx512_bf16": "its bf16 products", "amx_bf16": "AMX"}
    extensions = " and ".join(title for flag, title in known.items() if flag in flags)
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    return (
        f"{datetime.date.today()}, commit {commit}; {os.cpu_count()} cores of {name}"
        f"{' with ' + extensions if extensions else ''}, {threads} threads; "
        + ", ".join(f"{program} {version}" for program, version in versions.items())
        + "."
    )
