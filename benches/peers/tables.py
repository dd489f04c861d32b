"""The tables that are measured: where they stand in the documentation, and what they were before."""
import csv
import re

import machine

DOCUMENTS = [machine.ROOT / "README.md", machine.ROOT / "docs" / "performance.md"]
HISTORY = machine.ROOT / "benches" / "history.csv"
COLUMNS = ["date", "commit", "machine", "table", "row", "column", "value"]


def write(name, text):
    """Puts a text between the comments `<!-- name:start -->` and `<!-- name:end -->`, and its numbers into the history."""
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    for document in DOCUMENTS:
        before, _, rest = document.read_text().partition(start)
        _, found, after = rest.partition(end)
        if found:
            document.write_text(f"{before}{start}\n{text}\n{end}{after}")
            break
    else:
        raise SystemExit(f"none of {', '.join(map(str, DOCUMENTS))} has {start} … {end}")
    remember(text)


def remember(text):
    """Appends every cell of the text's tables to the history."""
    new = not HISTORY.exists()
    with HISTORY.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerows(cells(text))


def cells(text):
    """What the history says of the tables below a header of `DATE, commit COMMIT;` and `MACHINE;`."""
    date, commit, computer = re.match(r"(\S+), commit (\w+);\n(.*);\n", text).groups()
    head = None
    for line in text.splitlines():
        if not line.startswith("|"):
            head = None
            continue
        row = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if head is None:
            head = row
        elif not set(line) <= set("|-: "):
            # The first table of operations has a shape beside its name.
            named = 2 if len(head) > 1 and head[1] == "shape" else 1
            for column, value in zip(head[named:], row[named:]):
                if value != "–" and column != "%":
                    yield [date, commit, computer, head[0], " ".join(row[:named]), column, value]
