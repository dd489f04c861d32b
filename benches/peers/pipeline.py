"""Photos and masks from the disk to batches, beside grain and PyTorch's DataLoader, both with albumentations."""
import pathlib
import sys

import machine

HERE = pathlib.Path(__file__).parent
ROUNDS = 2
SIZE = 256
BATCH = 16
IMAGES = 8192
PEERS = {"torch": "PyTorch DataLoader", "grain": "grain"}
WORKERS = [0, 2, 4]
CACHES = {
    "none": "unetr, decoding",
    "memory": "unetr, from memory after the first epoch",
    "prepared": "unetr, from a prepared file",
}
STAGES = {
    "decode_photo": "decode the photo",
    "decode_mask": "decode the mask",
    "affine": "rotate",
    "random_resized_crop": "random resized crop",
    "horizontal_flip": "horizontal flip",
    "brightness_contrast": "brightness and contrast",
    "normalize": "normalize",
    "all": "all transforms, each as often as in training",
}
METHOD = """\
The tutorial's transforms for training (rotate, random resized crop, flip, brightness and contrast, normalize) to batches of
{batch} at {size}×{size}, in the steady state: {images} images (four times the photos there are if those are more), of which the first
half does not count. Of each program the best of {rounds} rounds counts, and of {workers} worker processes those that are fastest;
this library has {threads} worker threads. The memory of several processes is added up.
Images: {data}."""


def compare(programs, data, rounds, threads, patience):
    """Tables of the loaders and of the parts of a pipeline, for each folder of data."""
    rounds = rounds or ROUNDS
    every, loaders, stages = [], [], []
    for folder in data:
        best = {}
        for n in range(rounds):
            print(f"pipeline, {folder}, round {n + 1} of {rounds}", file=sys.stderr)
            for title, command in commands(programs["measure"], folder, threads):
                for line in machine.run(command, patience):
                    every.append(line)
                    print(f"{title}: {line['images_per_s']:.0f} images/s", file=sys.stderr)
                    if title not in best or line["images_per_s"] > best[title]["images_per_s"]:
                        best[title] = line
        loaders.append(loader_table(folder, best))
        ours = machine.run([programs["measure"], "stages", "--data", folder, "--image-size", str(SIZE)], patience)[0]
        theirs = machine.run(python(folder, "stages", 0), patience)[0]
        every += [ours, theirs]
        stages.append(stage_table(folder, ours["ms"], theirs["ms"]))
    about = METHOD.format(
        batch=BATCH, size=SIZE, images=IMAGES, rounds=rounds, threads=threads,
        workers=", ".join(map(str, WORKERS)), data="; ".join(describe(folder) for folder in data),
    )
    parts = "Milliseconds for one image, one after the other in one thread:"
    return "\n\n".join([machine.describe(threads, every), about, *loaders, parts, *stages])


def commands(measure, folder, threads):
    """The title and the command of every program."""
    for cache, title in CACHES.items():
        images = IMAGES if cache == "none" else max(IMAGES, 4 * len(photos(folder)))
        flags = ["--data", folder, "--workers", threads, "--images", images, "--batch", BATCH, "--image-size", SIZE]
        yield title, [measure, "pipeline", "--cache", cache, *map(str, flags)]
    for loader, title in PEERS.items():
        for workers in WORKERS:
            yield title, python(folder, loader, workers)


def python(folder, loader, workers):
    flags = ["--workers", workers, "--images", IMAGES, "--batch", BATCH, "--image-size", SIZE]
    return [sys.executable, str(HERE / "python_pipeline.py"), "--data", folder, "--loader", loader, *map(str, flags)]


def photos(folder):
    return sorted((pathlib.Path(folder) / "images").glob("*.jpg"))


def describe(folder):
    files = photos(folder)
    size = sum(file.stat().st_size for file in files) / len(files) / 1000
    return f"{pathlib.Path(folder).name}, {len(files)} JPEGs of {size:.0f} kB on average"


def loader_table(folder, best):
    peer = max(best[title]["images_per_s"] for title in PEERS.values())
    rows = [[pathlib.Path(folder).name, "images/s", "against the best peer", "workers", "first batch after, s", "memory, MB"]]
    rows.append(["---"] + ["---:"] * 5)
    for title, line in best.items():
        speed = line["images_per_s"]
        rows.append([
            title, f"{speed:.0f}", f"{speed / peer:.2f}×", str(line["workers"]),
            f"{line['startup_s']:.2f}", str(line["peak_rss_mb"]),
        ])
    return table(rows)


def stage_table(folder, ours, theirs):
    rows = [[pathlib.Path(folder).name, "unetr", "OpenCV and albumentations", "ratio"], ["---"] + ["---:"] * 3]
    for stage, title in STAGES.items():
        rows.append([title, f"{ours[stage]:.2f}", f"{theirs[stage]:.2f}", f"{theirs[stage] / ours[stage]:.1f}×"])
    return table(rows)


def table(rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
