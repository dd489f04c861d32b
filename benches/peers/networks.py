"""Training steps and inference of whole networks, beside PyTorch and JAX."""
import pathlib
import sys

import machine

HERE = pathlib.Path(__file__).parent
ROUNDS = 3
SMALL = dict(image_size=128, hidden=192, mlp=768, heads=4)
FULL = dict(image_size=256, hidden=768, mlp=3072, heads=4)
# Two that nothing was tuned for.
ODD = dict(image_size=96, hidden=256, mlp=1024, heads=8)
DEIT = dict(image_size=224, hidden=384, mlp=1536, heads=6)
CASES = {
    "training step, 128×128, hidden 192, batch 8": ("train", SMALL | dict(batch=8, steps=8)),
    "training step, 256×256, hidden 768, batch 2": ("train", FULL | dict(batch=2, steps=4)),
    "training step, 96×96, hidden 256, batch 5": ("train", ODD | dict(batch=5, steps=8)),
    "training step, 224×224, hidden 384, batch 2": ("train", DEIT | dict(batch=2, steps=6)),
    "training step in bf16, 128×128, hidden 192, batch 8": (
        "train",
        SMALL | dict(batch=8, steps=8, precision="bf16"),
    ),
    "training step in bf16, 256×256, hidden 768, batch 2": (
        "train",
        FULL | dict(batch=2, steps=4, precision="bf16"),
    ),
    "training step in bf16, 224×224, hidden 384, batch 2": (
        "train",
        DEIT | dict(batch=2, steps=6, precision="bf16"),
    ),
    "inference, 128×128, hidden 192, batch 1": ("infer", SMALL | dict(batch=1, steps=20)),
    "inference, 256×256, hidden 768, batch 1": ("infer", FULL | dict(batch=1, steps=8)),
    "inference in bf16, 256×256, hidden 768, batch 1": (
        "infer",
        FULL | dict(batch=1, steps=8, precision="bf16"),
    ),
}
# The other sides: what runs them, and what they are.
SIDES = {
    "torch eager": (["torch_monai.py"], "MONAI's network"),
    "torch compiled": (
        ["torch_monai.py", "--compile"],
        "the same with `torch.compile` and the fused Adam (from the second time on its start-up finds what the first compiled)",
    ),
    "jax": (["jax_flax.py"], "Flax, the whole step compiled by `jit`"),
}
METHOD = """\
The same network, losses and Adam on each side, f32 unless a row says bf16 (mixed precision: parameters stay f32). Images
and masks are made up, so reading data is not part of it. Programs run one after the other, {rounds} times in turn, and
the best median of their steps counts: what disturbs a machine makes programs slower, never faster. The last column is
this library against the best of the others: faster above 1× in the first table, less below 1× in the others. – is what a
program cannot do. {sides}."""
# What is compared: the title, the field, whether more of it is better, digits.
TABLES = [
    ("images/s", "images_per_s", max, 2),
    ("peak memory, MB", "peak_rss_mb", min, 0),
    ("start to the end of the first step, s", "first_call_s", min, 1),
]


def command(side, measure, bench, case, threads):
    """What runs a side's case."""
    flags = [text for name, value in case.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    (script, *switches), _ = SIDES.get(side, ([None], None))
    program = [sys.executable, str(HERE / script)] if script else [measure]
    return [*program, bench, *flags, "--threads", str(threads), *switches]


def compare(programs, only, without, rounds, threads, patience):
    """Tables of the cases whose title has `only` and that the processor can compute, or None if there is none."""
    rounds = rounds or ROUNDS
    sides = ["unetr", *(side for side in SIDES if side not in without)]
    possible = ("f32", "bf16") if machine.has_bf16() else ("f32",)
    cases = {
        title: (bench, case)
        for title, (bench, case) in CASES.items()
        if only in title and case.get("precision", "f32") in possible
    }
    if not cases:
        return None
    results = {}
    for title, (bench, case) in cases.items():
        lines = {side: [] for side in sides}
        for _ in range(rounds):
            for side in sides:
                program = command(side, programs["measure"], bench, case, threads)
                for line in machine.run(program, patience):
                    lines[side].append(line)
                    print(f"{title}: {side}: {line['images_per_s']:.2f} images/s", file=sys.stderr)
        results[title] = lines
    tables = [table(results, sides, *columns) for columns in TABLES]
    every = [line for lines in results.values() for side in lines.values() for line in side]
    named = "; ".join(f'"{side}" is {SIDES[side][1]}' for side in sides if side in SIDES)
    method = METHOD.format(rounds=rounds, sides=named)
    return "\n\n".join([machine.describe(threads, every), method, *tables])


def table(results, sides, name, field, better, digits):
    """One table in Markdown."""
    rows = [[name, *sides, "against the best"], ["---"] + ["---:"] * (len(sides) + 1)]
    for title, lines in results.items():
        best = {side: better(line[field] for line in lines[side]) for side in sides if lines[side]}
        cells = [f"{best[side]:.{digits}f}" if side in best else "–" for side in sides]
        peers = [value for side, value in best.items() if side != "unetr"]
        ratio = f"{best['unetr'] / better(peers):.2f}×" if "unetr" in best and peers else "–"
        rows.append([title, *cells, ratio])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
