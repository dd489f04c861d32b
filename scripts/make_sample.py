"""Makes a small sample of the Oxford-IIIT Pet Dataset in the layout of the official archives.

    python scripts/make_sample.py SOURCE assets/oxford_pets_sample

SOURCE holds `images/`, `annotations/trimaps/` and `annotations/{list,trainval,test}.txt`, all of the
data set or a part of it. From each breed the script takes the same number of photos, some of
`trainval.txt` and some of `test.txt`: those whose names have the smallest SHA-256, so that neither the
order of the files nor a random generator matters. Photos are resized to a shorter side of 160 pixels
(Lanczos, JPEG quality 80) and lose their metadata; trimaps are resized to the same size by nearest
neighbour, so that they still hold 1, 2 and 3 alone.

Needs Pillow; the sample in this repository was made with 13.0.
"""

import argparse
import hashlib
from pathlib import Path

from PIL import Image, ImageOps

# Damaged JPEG data, which decoders bridge in different ways.
CORRUPT = {"beagle_116", "chihuahua_121"}
TRIMAP_VALUES = {1, 2, 3}


def read_list(path):
    """The lines of a list by name; comments are left out."""
    lines = path.read_text().splitlines()
    return {line.split()[0]: line for line in lines if line.strip() and not line.startswith("#")}


def is_whole(source, name):
    """Whether the pair is there and its trimap has a pet, a background and a boundary."""
    trimap = source / "annotations/trimaps" / f"{name}.png"
    if name in CORRUPT or not trimap.is_file() or not (source / "images" / f"{name}.jpg").is_file():
        return False
    with Image.open(trimap) as mask:
        return set(mask.tobytes()) == TRIMAP_VALUES


def choose(source, names, per_breed):
    """So many names of every breed, in the order of `names`."""
    breeds = {}
    for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest()):
        breed = breeds.setdefault(name.rsplit("_", 1)[0], [])
        if len(breed) < per_breed and is_whole(source, name):
            breed.append(name)
    short = [breed for breed, chosen in breeds.items() if len(chosen) < per_breed]
    if short:
        raise SystemExit(f"fewer than {per_breed} usable pairs of {', '.join(short)}")
    chosen = {name for names in breeds.values() for name in names}
    return [name for name in names if name in chosen]


def resize_pair(source, target, name, side, quality):
    """Writes one photo and its trimap."""
    with Image.open(source / "images" / f"{name}.jpg") as file:
        photo = ImageOps.exif_transpose(file).convert("RGB")
    with Image.open(source / "annotations/trimaps" / f"{name}.png") as file:
        mask = Image.frombytes("L", file.size, file.tobytes())
    if photo.size != mask.size:
        raise SystemExit(f"{name}: the photo has {photo.size} pixels, its trimap {mask.size}")
    scale = side / min(photo.size)
    size = tuple(round(length * scale) for length in photo.size)
    photo = photo.resize(size, Image.Resampling.LANCZOS)
    mask = mask.resize(size, Image.Resampling.NEAREST)
    photo.save(target / "images" / f"{name}.jpg", quality=quality, optimize=True)
    mask.save(target / "annotations/trimaps" / f"{name}.png", optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder of the data set")
    parser.add_argument("target", type=Path, help="folder to make")
    parser.add_argument("--train", type=int, default=12, help="training photos per breed")
    parser.add_argument("--val", type=int, default=3, help="validation photos per breed")
    parser.add_argument("--side", type=int, default=160, help="shorter side in pixels")
    parser.add_argument("--quality", type=int, default=80, help="JPEG quality")
    args = parser.parse_args()

    annotations = args.target / "annotations"
    (args.target / "images").mkdir(parents=True, exist_ok=True)
    (annotations / "trimaps").mkdir(parents=True, exist_ok=True)

    everything = read_list(args.source / "annotations/list.txt")
    chosen = set()
    for file, per_breed in [("trainval.txt", args.train), ("test.txt", args.val)]:
        lines = read_list(args.source / "annotations" / file)
        names = choose(args.source, list(lines), per_breed)
        (annotations / file).write_text("".join(f"{lines[name]}\n" for name in names))
        chosen.update(names)
    listed = [line for name, line in everything.items() if name in chosen]
    (annotations / "list.txt").write_text("".join(f"{line}\n" for line in listed))
    for name in sorted(chosen):
        resize_pair(args.source, args.target, name, args.side, args.quality)
    print(f"{len(chosen)} pairs in {args.target}")


if __name__ == "__main__":
    main()
