"""Single operations, forward and backward, beside PyTorch."""
import pathlib
import sys

import machine

HERE = pathlib.Path(__file__).parent
ROUNDS = 3
METHOD = """\
Milliseconds of single operations in f32, forward and backward: the best median of each, measured {rounds} times in turn
with PyTorch's eager mode. % is what they reach of {peak:.0f} GFLOP/s, which this processor does in multiply-adds that stay in
registers; operations without it are bound by memory. The last two columns are PyTorch's time by this library's: above
1× this library is faster."""
HEADER = ["operation", "shape", "forward", "%", "backward", "%", "torch forward", "torch backward", "forward ratio", "backward ratio"]


def compare(programs, only, rounds, threads, patience):
    """A table of the operations whose name and shape has `only`, or None if there is none."""
    rounds = rounds or ROUNDS
    torch = [sys.executable, str(HERE / "torch_ops.py")]
    flags = [*([only] if only else []), "--threads", str(threads)]
    ours, theirs, every = {}, {}, []
    for n in range(rounds):
        print(f"operations, round {n + 1} of {rounds}", file=sys.stderr)
        for best, program in [(ours, [programs["ops"], "--json"]), (theirs, torch)]:
            lines = machine.run([*program, *flags], patience)
            every += lines
            for line in lines:
                keep_best(best, line)
    if not ours:
        return None
    rows = [HEADER, ["---", "---"] + ["---:"] * (len(HEADER) - 2)]
    rows += [row(operation, line, theirs.get(operation)) for operation, line in ours.items()]
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    peak = max(line["peak_gflops"] for line in ours.values())
    about = METHOD.format(rounds=rounds, peak=peak)
    return "\n\n".join([machine.describe(threads, every), about, "\n".join(lines)])


def keep_best(best, line):
    """Each half of an operation for itself."""
    kept = best.setdefault((line["op"], line["shape"]), dict(line))
    for half in ["forward", "backward"]:
        if line[f"{half}_ms"] is not None and line[f"{half}_ms"] < kept[f"{half}_ms"]:
            kept |= {field: value for field, value in line.items() if field.startswith(half)}


def row(operation, ours, theirs):
    """The cells of a line in the table."""
    halves = ["forward", "backward"]
    theirs = theirs or dict.fromkeys(["forward_ms", "backward_ms"])
    name, shape = operation
    cells = [name, f"`{shape}`"]
    for half in halves:
        cells += [number(ours[f"{half}_ms"], 2), number(ours[f"{half}_of_peak"], 0)]
    cells += [number(theirs[f"{half}_ms"], 2) for half in halves]
    for half in halves:
        times = [theirs[f"{half}_ms"], ours[f"{half}_ms"]]
        cells.append("–" if None in times else f"{times[0] / times[1]:.2f}×")
    return cells


def number(value, digits):
    """– for what there is not."""
    return "–" if value is None else f"{value:.{digits}f}"
