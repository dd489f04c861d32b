#!/usr/bin/env python3
"""Checks the links of every Markdown file that lead into this repository: to files, and to docs.rs, whose pages
`cargo doc --workspace --no-deps --features download,hub,onnx` has made before. Links to elsewhere are not looked at.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ROOT / "target" / "doc"
LINK = re.compile(r"\]\(([^()\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
PAGE = re.compile(r"https://docs\.rs/(unetr[a-z-]*)/latest/([^#]+)(?:#(.+))?")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def problem(document, link):
    """What is wrong with a link, or nothing."""
    if page := PAGE.fullmatch(link):
        path, anchor = PAGES / page[2], page[3]
        if not path.is_file():
            return "no such page"
        if anchor and f'id="{anchor}"' not in path.read_text():
            return "the page has no such place"
    elif not re.match(r"[a-z]+:|#", link) and not (document.parent / link.partition("#")[0]).exists():
        return "no such file"
    return None


def main():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    count, wrong = 0, []
    for document in map(ROOT.joinpath, listed.stdout.split()):
        for match in LINK.finditer(CODE.sub("", document.read_text())):
            link = match[1] or match[2]
            count += 1
            if found := problem(document, link):
                wrong.append(f"{document.relative_to(ROOT)}: {link}: {found}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{count} links")


if __name__ == "__main__":
    main()
