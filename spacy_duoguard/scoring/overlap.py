"""Refuse a run that would write into what it reads, by whatever name."""

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ..errors import Errors, SettingsError
from .record import STANDARD, Source
from .run_state import Output

# A device and a number: equal for all names of a file, such as hard links.
Identity = tuple[int, int]


def check_overlap(source: Source, output: Output | None) -> None:
    """Check all files that a run reads against all that it writes or replaces.

    source (Source): The input.
    output (Optional[Output]): The output, None for standard output.
    RAISES (SettingsError): One is both, or the output is in the input folder.
    """
    reads = set(_identities(_read(source)))
    writes: list[Path | IO[Any]] = [sys.stdout]
    if output is not None:
        writes = list(_written(output))
        if source.name != STANDARD:
            _check_folder(Path(source.name), output)
    for file in writes:
        if reads.intersection(_identities(iter([file]))):
            name = "standard output" if output is None else output.path
            raise SettingsError(Errors.E140.format(path=name))


def check_replaceable(output: Output) -> None:
    """Check that nothing else than results is lost if an output is written to, and that
    a folder of results will hold nothing else that is read as results.

    output (Output): The output.
    RAISES (SettingsError): It exists and isn't a regular file with a single name, or is
        a folder with other files than the parts of a run, or one that pyarrow can't
        write to.
    """
    if output.is_folder:
        _check_name(output.path)
        _check_parts(output.path)
        return
    try:
        found = os.stat(output.path)
    except OSError:  # to write to it shows why
        return
    problem = None
    if not stat.S_ISREG(found.st_mode):
        problem = "isn't a regular file but a pipe, a socket or a device"
    elif found.st_nlink > 1:
        problem = "has other names (hard links), whose content would change, too"
    if problem is not None:
        raise SettingsError(Errors.E221.format(path=output.path, problem=problem))


def _check_name(folder: Path) -> None:
    try:
        os.fspath(folder.absolute()).encode("utf8")
    except UnicodeEncodeError:
        problem = "isn't named in UTF-8, which pyarrow needs"
        message = Errors.E221.format(path=ascii(str(folder)), problem=problem)
        raise SettingsError(message) from None


def _check_parts(folder: Path) -> None:
    for file in sorted(folder.glob("*")):
        is_read = file.name[0] not in "._"  # as `list_files` decides
        if is_read and not re.fullmatch(r"part-\d{5,}\.parquet", file.name):
            raise SettingsError(Errors.E322.format(path=folder, name=file.name))


def _check_folder(path: Path, output: Output) -> None:
    inner, outer = output.path.resolve(), path.resolve()
    if inner == outer:
        raise SettingsError(Errors.E140.format(path=output.path))
    if path.is_dir() and any(
        parent == outer or (parent.exists() and parent.samefile(outer))
        for parent in (inner, *inner.parents)
    ):
        raise SettingsError(Errors.E226.format(path=output.path, folder=path))


def _read(source: Source) -> Iterator[Path | IO[Any]]:
    if source.name == STANDARD:
        yield sys.stdin
        return
    path = Path(source.name)
    yield path
    if path.is_dir():
        yield from path.iterdir()


def _written(output: Output) -> Iterator[Path | IO[Any]]:
    yield from (output.path, output.state, *output.locks)
    yield output.state.with_name(f".{output.state.name}.part")
    if output.path.is_dir():
        yield from output.path.glob("part-*")
        yield from output.path.glob(".*")


def _identities(files: Iterator[Path | IO[Any]]) -> Iterator[Identity]:
    """YIELDS (Tuple[int, int]): Those of regular files. A terminal may be both input
    and output, and so may a pipe."""
    for file in files:
        with suppress(OSError, ValueError, AttributeError):
            is_path = isinstance(file, Path)
            found = os.stat(file) if is_path else os.fstat(file.fileno())  # type: ignore
            if stat.S_ISREG(found.st_mode):
                yield found.st_dev, found.st_ino
