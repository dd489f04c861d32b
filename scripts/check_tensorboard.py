"""Checks that TensorBoard reads what a training run wrote for it.

    python3 scripts/check_tensorboard.py RUN/tensorboard RUN/history.jsonl

reads the event files with TensorBoard's own reader and through its server, and fails unless both have
every metric of the history, each once, and all pictures. Needs the package `tensorboard`.
"""

import json
import math
import re
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PNG = b"\x89PNG\r\n\x1a\n"
WAIT = 60  # seconds


def expected(history):
    """The metrics of the history by name, as (step, value in f32)."""
    series = {}
    for line in history.read_text().splitlines():
        record = json.loads(line)
        for split, metrics in record["metrics"].items():
            for name, value in metrics.items():
                value = struct.unpack("f", struct.pack("f", float(value)))[0]
                series.setdefault(f"{split}/{name}", []).append((record["step"], value))
    if not series:
        sys.exit(f"{history}: no metrics")
    return series


def same(found, wanted):
    equal = lambda a, b: a == b or math.isnan(a) and math.isnan(b)
    return len(found) == len(wanted) and all(
        a[0] == b[0] and equal(a[1], b[1]) for a, b in zip(found, wanted)
    )


def compare(reader, scalars, tags, series):
    """`scalars` gives the (step, value) of a name."""
    for name, wanted in series.items():
        if name not in tags:
            sys.exit(f"{reader}: {name} is missing among {sorted(tags)}")
        found = scalars(name)
        if not same(found, wanted):
            sys.exit(f"{reader}: {name} is {found}, not {wanted}")
    steps = [step for step, _ in scalars("step/loss")]
    if steps != sorted(set(steps)):
        sys.exit(f"{reader}: the updates of step/loss are not there once, in order: {steps}")
    print(f"{reader}: {len(tags)} series, {len(series)} as in the history, {len(steps)} updates, each once")


def check_reader(folder, series):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    compare("reader", lambda name: [(e.step, e.value) for e in events.Scalars(name)], tags["scalars"], series)
    pictures = [image for tag in tags["images"] for image in events.Images(tag)]
    for image in pictures:
        check_png("reader", image.encoded_image_string, (image.width, image.height))
    print(f"reader: {len(pictures)} pictures")
    return len(pictures)


def check_png(reader, data, size=None):
    if not data.startswith(PNG):
        sys.exit(f"{reader}: a picture is no PNG")
    if size and struct.unpack(">II", data[16:24]) != size:
        sys.exit(f"{reader}: a picture is not of the size {size}")


def check_server(folder, series, pictures):
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0"]
    command += ["--samples_per_plugin", "scalars=1000000,images=1000"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = wait_for_address(server)
        get = lambda path, **query: fetch(address, path, query)
        run, tags = wait_for_metrics(get, series)
        compare("server", lambda name: get_scalars(get, run, name), tags, series)
        found = 0
        for tag, samples in json.loads(get("data/plugin/images/tags")).get(run, {}).items():
            for sample in range(samples["samples"]):
                images = json.loads(get("data/plugin/images/images", run=run, tag=tag, sample=sample))
                for image in images:
                    check_png("server", get("data/plugin/images/individualImage?" + image["query"]))
                    found += 1
        if found != pictures:
            sys.exit(f"server: {found} pictures, not {pictures}")
        print(f"server: {found} pictures")
    finally:
        server.terminate()
        server.wait()


def wait_for_address(server):
    """The address that the server prints when it listens."""
    for line in server.stderr:
        if match := re.search(r"http://\S+", line):
            return match[0]
    sys.exit("the server did not start")


def get_scalars(get, run, name):
    values = json.loads(get("data/plugin/scalars/scalars", run=run, tag=name))
    return [(step, float(value)) for _, step, value in values]


def wait_for_metrics(get, series):
    """The only run of the server and its tags; the server reads in the background, for a while."""
    end = time.monotonic() + WAIT
    while True:
        time.sleep(0.5)
        runs = json.loads(get("data/plugin/scalars/tags"))
        late = time.monotonic() > end
        for run, tags in runs.items():
            if late or all(name in tags and same(get_scalars(get, run, name), series[name]) for name in series):
                return run, tags
        if late:
            sys.exit(f"server: no run in {WAIT} s")


def fetch(address, path, query):
    url = urllib.parse.urljoin(address, path) + ("?" + urllib.parse.urlencode(query) if query else "")
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def main():
    folder, history = Path(sys.argv[1]), Path(sys.argv[2])
    series = expected(history)
    check_server(folder, series, check_reader(folder, series))


if __name__ == "__main__":
    main()
