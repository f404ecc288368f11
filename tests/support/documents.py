"""The README and the pages of `docs/`: their blocks, tables, links and headings."""

import re

from .paths import ROOT

README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]


def read(page):
    return page.read_text(encoding="utf8")


def blocks(text, language):
    """The blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def sections(text, level):
    """What stands under each heading of a level, by the heading."""
    parts = re.split(rf"^{'#' * level} (.+)\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def table_rows(text):
    """The rows of all tables, as lists of cells, without their heads."""
    lines = re.findall(r"^\|.*\|$", text, flags=re.M)
    heads = {i for i, line in enumerate(lines[1:]) if set(line) <= set("|-: ")}
    skipped = heads | {i + 1 for i in heads}
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for i, line in enumerate(lines)
        if i not in skipped
    ]


def anchor(heading):
    """What GitHub makes of a heading."""
    plain = heading.replace("\\_", "_").lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(text):
    """The anchors of all headings of a page."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return {anchor(line) for line in re.findall(r"^#+ (.+)$", prose, flags=re.M)}
