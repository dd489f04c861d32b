"""The input pipeline of the tutorial in Python: OpenCV, albumentations, and grain or PyTorch's DataLoader.

    python python_pipeline.py --data FOLDER --loader grain --workers 2
    python python_pipeline.py --data FOLDER --loader stages

FOLDER holds `images/NAME.jpg` and `annotations/trimaps/NAME.png`. Prints one line of JSON as `measure pipeline` and
`measure stages` do: in the steady state, which is the second half of the batches, and milliseconds of each part. Before, workers drain
what they read ahead while they started: grain reads up to 500 images ahead for each.
"""
import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else it asks a server for its newest version

import argparse  # noqa: E402
import importlib.metadata  # noqa: E402
import json  # noqa: E402
import pathlib  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import albumentations as A  # noqa: E402
import cv2  # noqa: E402

TRIMAP_BACKGROUND = 1


def read_photo(path):
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_trimap(path):
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) - 1


class Pets:
    """Photos and masks as a map-style data set, read `length` times in all."""

    def __init__(self, folder, length, transform):
        self.photos = sorted((folder / "images").glob("*.jpg"))
        self.masks = [folder / "annotations" / "trimaps" / f"{photo.stem}.png" for photo in self.photos]
        self.length = length or len(self.photos)
        self.transform = transform

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        index = int(index) % len(self.photos)
        sample = self.transform(image=read_photo(self.photos[index]), mask=read_trimap(self.masks[index]))
        return {"image": sample["image"], "mask": sample["mask"]}


def steps(size, p=None):
    """The tutorial's transforms for training; `p` instead of each one's own probability."""

    def often(own):
        return own if p is None else p

    return {
        "affine": A.Affine(rotate=(-35, 35), fill_mask=TRIMAP_BACKGROUND, p=often(0.3)),
        "random_resized_crop": A.RandomResizedCrop(size=(size, size), scale=(0.7, 1.0)),
        "horizontal_flip": A.HorizontalFlip(p=often(0.5)),
        "brightness_contrast": A.RandomBrightnessContrast(p=often(0.4)),
        "normalize": A.Normalize(),
    }


def grain_loader(pets, args):
    import grain.python as grain
    from absl import flags

    flags.FLAGS(sys.argv[:1])  # grain reads absl's flags when it starts workers
    return grain.DataLoader(
        data_source=pets,
        sampler=grain.IndexSampler(len(pets), shuffle=True, seed=0, shard_options=grain.NoSharding(), num_epochs=1),
        worker_count=args.workers,
        worker_buffer_size=2,
        operations=[grain.Batch(args.batch, drop_remainder=True)],
    )


def torch_loader(pets, args):
    import torch

    torch.set_num_threads(1)
    ahead = {"prefetch_factor": 2} if args.workers else {}
    return torch.utils.data.DataLoader(
        pets, batch_size=args.batch, shuffle=True, num_workers=args.workers, drop_last=True, **ahead
    )


def pipeline(args):
    start = time.perf_counter()
    pets = Pets(args.data, args.images, A.Compose(list(steps(args.image_size).values())))
    loader = {"grain": grain_loader, "torch": torch_loader}[args.loader](pets, args)
    stamps = []
    for batch in loader:
        stamps.append(time.perf_counter())
    steady = stamps[max(len(stamps) // 2, 1) :]
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "images_per_s": (len(steady) - 1) * args.batch / (steady[-1] - steady[0]),
        "startup_s": stamps[0] - start,
        # Processes share some of it, which this counts several times.
        "peak_rss_mb": (own + args.workers * children) // 1024,
        "shape": list(batch["image"].shape),
    }


def stages(args):
    """Milliseconds of each part for a photo of the data, on average, in one thread."""
    cv2.setNumThreads(1)
    pets = Pets(args.data, None, A.Compose(list(steps(args.image_size).values())))
    alone = steps(args.image_size, p=1.0)
    seconds = {}

    def timed(stage, work):
        start = time.perf_counter()
        result = work()
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
        return result

    for photo_path, mask_path in zip(pets.photos, pets.masks):
        photo = timed("decode_photo", lambda: read_photo(photo_path))
        mask = timed("decode_mask", lambda: read_trimap(mask_path))
        timed("all", lambda: pets.transform(image=photo, mask=mask))
        sample = {"image": photo, "mask": mask}
        for stage, transform in alone.items():
            sample = timed(stage, lambda: transform(**sample))
    return {"ms": {stage: 1000 * total / len(pets.photos) for stage, total in seconds.items()}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--loader", choices=["grain", "torch", "stages"], default="grain")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--image-size", type=int, default=256)
    args = parser.parse_args()
    programs = ["albumentations", "opencv-python-headless", *({"grain": ["grain"], "torch": ["torch"]}.get(args.loader, []))]
    versions = {program: importlib.metadata.version(program) for program in programs}
    line = stages(args) if args.loader == "stages" else pipeline(args)
    print(json.dumps(vars(args) | {"data": str(args.data), "versions": versions} | line))


if __name__ == "__main__":
    main()
