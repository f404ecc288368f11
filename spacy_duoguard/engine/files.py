"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Write a file beside its place and put it there once it is on the disk: what is
    killed in between leaves the file of before, whole.

    path (Path): The file to make or to replace.
    YIELDS (Path): Where to write.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.touch()  # with the permissions of any other new file
        yield aside
        _sync(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    with suppress(OSError):  # some systems cannot open a folder
        _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
