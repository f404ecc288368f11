"""Files that are written completely or not at all, and read only up to a size limit."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, Errors
from ..unique_keys import DuplicateKeyError, unique_keys

# The largest tokenizer.json of a supported model is 17 MB, other text files a few kB.
TEXT_LIMITS = {"tokenizer.json": 2**26, "model.safetensors.index.json": 2**24}
TEXT_LIMIT = 2**20


@contextmanager
def write_aside(path: Path, *, mode: int = 0o666) -> Iterator[Path]:
    """Write a file under a temporary name and rename it once it is on disk. If the
    process is killed, the previous file is intact.

    path (Path): The file to create or replace. One that exists keeps its permissions.
    mode (int): The permissions of a new file, less those that the umask takes.
    YIELDS (Path): The path to write to.
    """
    aside = path.with_name(f".{path.name}.part")
    kept = _mode_of(path)
    try:
        aside.unlink(missing_ok=True)
        aside.touch(mode if kept is None else 0o600)
        yield aside
        sync(aside)
        if kept is not None:
            aside.chmod(kept)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    try_sync(path.parent)


def _mode_of(path: Path) -> int | None:
    """The permissions of a regular file, None if there is none."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    return stat.S_IMODE(mode) if stat.S_ISREG(mode) else None


def sync(path: Path) -> None:
    """Wait until a file or folder is on disk.

    path (Path): The file or folder.
    """
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def try_sync(path: Path) -> None:
    """Like `sync`, if the file can be opened: some systems cannot open a folder.

    path (Path): The file or folder.
    """
    with suppress(OSError):
        sync(path)


def open_regular(path: Path) -> int:
    """Open a file for reading, unless it is a pipe, a device, a socket or a folder.
    Opening or reading one of these may wait forever, or never end.

    path (Path): The file.
    RETURNS (int): A descriptor, to be closed by the caller.
    RAISES (CheckpointError): It is not a regular file.
    RAISES (OSError): It cannot be opened.
    """
    # Before opening, since that alone may act on a device, and after, in case the file
    # was replaced in between.
    _check_regular(os.stat(path).st_mode, path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    try:
        _check_regular(os.fstat(handle).st_mode, path)
    except CheckpointError:
        os.close(handle)
        raise
    return handle


def is_regular(path: Path) -> bool:
    """path (Path): A file that may be missing.
    RETURNS (bool): Whether it exists.
    RAISES (CheckpointError): Something else has its name, or a link that leads nowhere.
    """
    if os.path.isfile(path):  # unlike Path.is_file, also for a link to any name
        return True
    if os.path.lexists(path):
        raise CheckpointError(Errors.E108.format(file=path))
    return False


def check_regular_files(path: Path) -> None:
    """Check that a folder, with its subfolders, holds only files that can be read.

    path (Path): A folder, or a single file.
    RAISES (CheckpointError): Something in it is a pipe, a device, a socket or a link
        that leads nowhere.
    """
    seen: set[tuple[int, int]] = set()  # a link may lead back up
    paths = [path]
    while paths:
        path = paths.pop()
        if not os.path.isdir(path):
            is_regular(path)
            continue
        status = path.stat()
        if (key := (status.st_dev, status.st_ino)) not in seen:
            seen.add(key)
            paths += path.iterdir()


def _check_regular(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise CheckpointError(Errors.E108.format(file=path))


def read_text(path: Path) -> str:
    """Read a text file, up to the size limit for its name.

    path (Path): The file.
    RETURNS (str): Its content.
    RAISES (CheckpointError): The file is missing, not a regular file, too large, or not
        UTF-8.
    """
    limit = TEXT_LIMITS.get(path.name, TEXT_LIMIT)
    try:
        with open(open_regular(path), "rb") as file:
            # `read` would allocate all of the limit.
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, limit) + 1)
        if len(data) > limit:
            message = Errors.E101.format(file=path, limit=limit)
            raise CheckpointError(message)
        return data.decode("utf8")
    except (OSError, UnicodeDecodeError) as e:
        message = Errors.E018.format(
            source=path, kind=path.name, problem=type(e).__name__
        )
        raise CheckpointError(message) from e


def read_json(path: Path, *, kind: str) -> dict[str, Any]:
    """Like `read_text`, for a JSON object.

    path (Path): The file.
    kind (str): What the file is, for messages.
    RETURNS (Dict[str, Any]): The object.
    RAISES (CheckpointError): See `read_text`, or it is not a JSON object."""
    return parse_json(read_text(path), path.name, kind)


def parse_json(text: str, source: str, kind: str) -> dict[str, Any]:
    """text (str): A JSON object.
    source (str), kind (str): Where it came from and what it is, for messages.
    RETURNS (Dict[str, Any]): The object.
    RAISES (CheckpointError): The text is not a JSON object, or a key occurs twice."""
    try:
        data = json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as e:
        problem = e if isinstance(e, DuplicateKeyError) else type(e).__name__
        message = Errors.E018.format(source=source, kind=kind, problem=problem)
        raise CheckpointError(message) from e
    if not isinstance(data, dict):
        message = Errors.E018.format(
            source=source, kind=kind, problem="not a JSON object"
        )
        raise CheckpointError(message)
    return data
