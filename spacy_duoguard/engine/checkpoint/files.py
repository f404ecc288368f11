"""Files that are whole or not there, and read only up to a size."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, Errors

# The largest tokenizer.json of the models that load has 17 MB, the largest other text
# a few kB.
TEXT_LIMITS = {"tokenizer.json": 2**26, "model.safetensors.index.json": 2**24}
TEXT_LIMIT = 2**20


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
        sync(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    with suppress(OSError):  # some systems cannot open a folder
        sync(path.parent)


def sync(path: Path) -> None:
    """path (Path): A file or folder that is to be on the disk before all goes on."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_text(path: Path) -> str:
    """Read a file of text, if it is not larger than one of its name can be.

    path (Path): The file.
    RETURNS (str): Its content.
    RAISES (CheckpointError): It is too large, or no text.
    """
    limit = TEXT_LIMITS.get(path.name, TEXT_LIMIT)
    try:
        with path.open("rb") as file:
            # Not the limit, of which `read` would allocate all.
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
    """As `read_text`, for a JSON object.

    kind (str): What it is, for messages.
    RAISES (CheckpointError): As `read_text`, or it is no JSON object."""
    return parse_json(read_text(path), path.name, kind)


def parse_json(text: str, source: str, kind: str) -> dict[str, Any]:
    """text (str): JSON. source (str), kind (str): Where it came from and what it is,
        for messages.
    RETURNS (Dict[str, Any]): The object.
    RAISES (CheckpointError): It is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as e:
        message = Errors.E018.format(source=source, kind=kind, problem=type(e).__name__)
        raise CheckpointError(message) from e
    if not isinstance(found, dict):
        message = Errors.E018.format(source=source, kind=kind, problem="no JSON object")
        raise CheckpointError(message)
    return found
