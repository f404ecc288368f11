"""Notice files that another program changes while a run reads or writes them."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from ..errors import Errors, SettingsError
from .record import STANDARD, Source

_Item = TypeVar("_Item")

# What changes if a file is replaced, emptied or written to.
Seen = tuple[int, int, int, int]


def watched(source: Source, items: Iterable[_Item]) -> Iterator[_Item]:
    """Read an input that has to stay as it is. The last item comes only once it is
    known that it has: if a line is added meanwhile, only its beginning may be there.

    source (Source): The input. Pipes and terminals are not watched.
    items (Iterable[Any]): What is read from it.
    YIELDS (Any): The items.
    RAISES (SettingsError): The input was changed, at the latest before the last item.
    """
    before = _look(source)
    if before is None:
        yield from items
        return
    last: list[_Item] = []
    for item in items:
        yield from last
        last = [item]
    if _look(source) != before:
        raise SettingsError(Errors.E222.format(name=source.name))
    yield from last


def _look(source: Source) -> dict[str, Seen | None] | None:
    """RETURNS (Optional[Dict[str, Optional[Tuple[int, ...]]]]): The state of each file,
    None for what can only be read once."""
    if source.name == STANDARD:
        try:
            found = os.fstat(sys.stdin.fileno())
        except (OSError, ValueError, AttributeError):  # not a file of the system
            return None
        return {"": _seen(found)} if stat.S_ISREG(found.st_mode) else None
    path = Path(source.name)
    if path.is_dir():
        return {str(file): _stat(file) for file in sorted(path.iterdir())}
    return {"": _stat(path)} if path.is_file() or not path.exists() else None


def _stat(path: Path) -> Seen | None:
    try:
        return _seen(os.stat(path))
    except OSError:  # removed
        return None


def _seen(found: os.stat_result) -> Seen:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def identify(path: Path) -> tuple[int, int] | None:
    """path (Path): A file.
    RETURNS (Optional[Tuple[int, int]]): What no other file has, None if it is gone."""
    seen = _stat(path)
    return None if seen is None else seen[:2]


def check_written(path: Path, *, output: Path, handle: int | None, size: int) -> None:
    """Check that a file with results is there, and is what was written.

    path (Path): The file.
    output (Path): The output, for messages.
    handle (Optional[int]): Its descriptor, if it is open.
    size (int): How many bytes were written.
    RAISES (SettingsError): It was removed, replaced, truncated or written to.
    """
    seen = _stat(path)
    is_ours = handle is None or (seen and _seen(os.fstat(handle))[:2] == seen[:2])
    if not is_ours or seen is None or seen[2] != size:
        raise SettingsError(Errors.E223.format(path=output))
