"""Checks the folder of a training run.

    python3 scripts/check_run.py RUN 0.45

fails unless everything a run leaves is there, and unless the last validation in `history.jsonl` reached
this mean IoU. Needs Python alone.
"""

import json
import sys
from pathlib import Path

FILES = [
    "config.json", "history.jsonl", "evaluation.json", "environment.json", "curves.png", "predictions.png", "report.html",
    "model/config.json", "model/model.safetensors", "model/preprocessing.json", "model/classes.json", "model/README.md",
]
PNG = b"\x89PNG\r\n\x1a\n"


def check_files(run):
    for path in (run / name for name in FILES):
        if not path.is_file() or path.stat().st_size == 0:
            sys.exit(f"{path} is missing or empty")
        if path.suffix == ".png" and not path.read_bytes().startswith(PNG):
            sys.exit(f"{path} is no PNG")
    json.loads((run / "config.json").read_text())


def last_mean_iou(history):
    """The mean IoU of the last record with a validation; NaN and infinities are strings there."""
    records = [json.loads(line) for line in history.read_text().splitlines()]
    validations = [r["metrics"]["validation"] for r in records if "validation" in r["metrics"]]
    if not validations:
        sys.exit(f"{history}: no validation among {len(records)} records")
    return float(validations[-1]["mean_iou"])


def main():
    run, bound = Path(sys.argv[1]), float(sys.argv[2])
    check_files(run)
    mean_iou = last_mean_iou(run / "history.jsonl")
    if not mean_iou >= bound:  # a NaN fails too
        sys.exit(f"{run}: the validation mean IoU is {mean_iou:.3f}, not {bound} or more")
    print(f"the validation mean IoU is {mean_iou:.3f}, at least {bound}")


if __name__ == "__main__":
    main()
