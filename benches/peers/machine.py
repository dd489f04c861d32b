"""The machine that measures: what it is, whether it is quiet, and the programs built on it."""
import datetime
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ["cargo", "build", "--release", "--workspace", "--bench", "ops", "--example", "measure"]
# The share of all processors that other programs may take. Frameworks whose threads wait for each other suffer most.
BUSY = 0.1
ATTEMPTS = 3


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
    """The lines of JSON that a program prints: none if it says that it does not know an option.

    Each line says which share of the processors `others` took meanwhile. Waits up to `patience` seconds for them to
    end, and repeats what they disturbed; a patience of 0 measures as it is.
    """
    for _ in range(ATTEMPTS if patience else 1):
        await_quiet(patience)
        start, own = Usage(), children_s()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        others = start.busy_share(children_s() - own)
        if done.returncode == 2:  # clap and argparse
            print(done.stderr, file=sys.stderr)
            return []
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
        if others <= BUSY:
            break
        print(f"other programs took {others:.0%} of the processors during {command[:2]}", file=sys.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [line | {"others": others} for line in lines]


def await_quiet(patience):
    """Waits for other programs to end, for so many seconds."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        start = Usage()
        time.sleep(1)
        if start.busy_share() <= BUSY:
            return


class Usage:
    """The processors' time so far, from Linux's `/proc`."""

    def __init__(self):
        ticks = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        user, nice, system, idle, iowait, *other = (int(field) / os.sysconf("SC_CLK_TCK") for field in ticks)
        self.busy = user + nice + system + sum(other)
        self.total = self.busy + idle + iowait

    def busy_share(self, without=0):
        """What of the time since then was not idle, but for so many seconds."""
        now = Usage()
        return max(now.busy - self.busy - without, 0) / max(now.total - self.total, 1e-9)


def children_s():
    """Processor time of the programs that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cpuinfo():
    """What Linux says of the last processor."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def has_bf16():
    """Whether this library computes in bfloat16 here."""
    return "avx512_bf16" in cpuinfo().get("flags", "").split()


def describe(threads, lines):
    """The hardware and the programs that these lines are from."""
    processor = cpuinfo()
    name, flags = processor.get("model name", platform.processor()), processor.get("flags", "").split()
    known = {"avx512f": "AVX-512", "avx512_bf16": "its bf16 products", "amx_bf16": "AMX"}
    extensions = " and ".join(title for flag, title in known.items() if flag in flags)
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    versions = {}
    for line in lines:
        versions |= line.get("versions", {})
    others = max(line["others"] for line in lines)
    parts = [
        f"{datetime.date.today()}, commit {commit}",
        f"{os.cpu_count()} cores of {name}" + (f" with {extensions}" if extensions else ""),
        f"{threads} threads; other programs took up to {others:.0%} of the processors meanwhile",
        ", ".join(f"{program} {version}" for program, version in versions.items()),
    ]
    return ";\n".join(parts) + "."
