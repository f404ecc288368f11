"""Check that what a command writes destroys neither what it reads nor anything that
isn't a file."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ...errors import Errors, SettingsError


def check_output(
    output: Path, inputs: Iterable[Path], *, is_folder: bool = False
) -> None:
    """Check an output before anything is done. Files are compared by identity, so links
    and other spellings of a path make no difference.

    output (Path): What will be created or replaced.
    inputs (Iterable[Path]): What is read: files, and folders with all they contain.
    is_folder (bool): Whether the output is a folder.
    RAISES (SettingsError): The output is an input, contains one or lies inside one; or
        a device, a pipe, a link or anything else of another kind has its name; or it is
        "-".
    """
    check_name(output)
    _check_kind(output, is_folder=is_folder)
    for path in inputs:
        if _overlap(output, path):
            raise SettingsError(Errors.E227.format(output=output, input=path))


def check_name(output: Path) -> None:
    """output (Path): What will be created.
    RAISES (SettingsError): It is "-", which commands that write to standard output take
        for that, or lies in a folder of that name."""
    if output.parts[:1] == ("-",):
        raise SettingsError(Errors.E348.format(path=output))


def _check_kind(output: Path, *, is_folder: bool) -> None:
    try:
        mode = os.lstat(output).st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISDIR(mode) if is_folder else stat.S_ISREG(mode)):
        kind = "folder" if is_folder else "regular file"
        raise SettingsError(Errors.E228.format(output=output, kind=kind))


def _overlap(one: Path, other: Path) -> bool:
    """Whether two paths are the same, or one of them is inside the other."""
    one, other = one.resolve(), other.resolve()
    return any(_is_same(path, other) for path in (one, *one.parents)) or any(
        _is_same(one, path) for path in other.parents
    )


def _is_same(one: Path, other: Path) -> bool:
    if one == other:
        return True
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False
