"""Files that are written completely or not at all, and read only up to a size limit."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, Errors

# The largest tokenizer.json of a supported model is 17 MB, other text files a few kB.
TEXT_LIMITS = {"tokenizer.json": 2**26, "model.safetensors.index.json": 2**24}
TEXT_LIMIT = 2**20


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name and rename it once it is on disk. If the
    process is killed, the previous file is intact.

    path (Path): The file to create or replace.
    YIELDS (Path): The path to write to.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.touch()  # with default permissions
        yield aside
        sync(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    try_sync(path.parent)


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


def read_text(path: Path) -> str:
    """Read a text file, up to the size limit for its name.

    path (Path): The file.
    RETURNS (str): Its content.
    RAISES (CheckpointError): The file is missing, too large, or not UTF-8.
    """
    limit = TEXT_LIMITS.get(path.name, TEXT_LIMIT)
    try:
        with path.open("rb") as file:
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
    RAISES (CheckpointError): The text is not a JSON object."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as e:
        message = Errors.E018.format(source=source, kind=kind, problem=type(e).__name__)
        raise CheckpointError(message) from e
    if not isinstance(data, dict):
        message = Errors.E018.format(
            source=source, kind=kind, problem="not a JSON object"
        )
        raise CheckpointError(message)
    return data
