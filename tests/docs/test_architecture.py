"""The page on the architecture draws the rooms and imports that there are."""

import re

from support.documents import DOCS, blocks, read, table_rows
from support.imports import IMPORTS, room
from support.paths import PACKAGE

TEXT = read(DOCS / "architecture.md")

# Modules below or above all rooms.
OUTSIDE = {"errors", "taxonomy", "__init__"}


def test_it_names_every_room():
    folders = {path.parent for path in PACKAGE.rglob("*.*") if path.suffix != ".pyc"}
    names = [path.relative_to(PACKAGE).as_posix() for path in folders - {PACKAGE}]
    rooms = {f"`{name}/`" for name in names}
    assert {row[0] for row in table_rows(TEXT) if row[0].endswith("/`")} == rooms


def test_its_arrows_are_the_imports_between_rooms():
    drawn = re.findall(r"^ *(\w+) --> (\w+)$", blocks(TEXT, "mermaid")[0], re.M)
    imported = {
        (room(module), room(target))
        for module, targets in IMPORTS.items()
        for target in targets
    }
    between = {(a, b) for a, b in imported if a != b and not OUTSIDE & {a, b}}
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == between


def test_the_files_it_names_exist():
    files = re.findall(r"[`\"]([\w/]+(?:\.py|/))[`\"]", TEXT)
    assert len(files) > 50
    for file in files:
        assert (PACKAGE / file).exists(), file
