"""Manifests: the digest of every file in a saved folder."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, Errors
from .files import is_regular, open_regular, parse_json, read_text

MANIFEST = "manifest.json"

_CHUNK = 2**22
# A file in the folder or in one of its subfolders, and nowhere else.
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def digest(content: bytes | str) -> dict[str, Any]:
    """content (bytes / str): The content of a file.
    RETURNS (Dict[str, Any]): Its "size" in bytes and its "sha256"."""
    data = content.encode("utf8") if isinstance(content, str) else content
    return {"size": len(data), "sha256": sha256(data).hexdigest()}


def digest_file(path: Path) -> dict[str, Any]:
    """Like `digest`, reading the file in chunks.

    path (Path): The file.
    RETURNS (Dict[str, Any]): Its "size" in bytes and its "sha256".
    RAISES (CheckpointError): It is not a regular file.
    RAISES (OSError): The file cannot be read."""
    hashed, size = sha256(), 0
    with open(open_regular(path), "rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
            size += len(chunk)
    return {"size": size, "sha256": hashed.hexdigest()}


def make_manifest(files: Mapping[str, dict[str, Any]], **extra: Any) -> dict[str, Any]:
    """Create a manifest.

    files (Mapping[str, Dict[str, Any]]): The digest of each file, by name.
    extra (Any): Other entries of the manifest.
    RETURNS (Dict[str, Any]): JSON-serializable, with a digest of its other entries.
    """
    body = {"files": dict(sorted(files.items())), **extra}
    return {**body, "sha256": _digest_body(body)}


def add_manifest(folder: Path, **extra: Any) -> None:
    """Write the manifest of all files in a folder. A subfolder with a manifest is
    represented by its manifest.

    folder (Path): The folder.
    extra (Any): Other entries of the manifest.
    """
    names = [path.name for path in folder.iterdir() if os.path.isfile(path)]
    for inner in folder.iterdir():
        if os.path.isfile(inner / MANIFEST):
            names.append(f"{inner.name}/{MANIFEST}")
    files = {name: digest_file(folder / name) for name in names if name != MANIFEST}
    write_manifest(folder, make_manifest(files, **extra))


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """folder (Path): The folder to write to.
    manifest (Mapping[str, Any]): From `make_manifest`."""
    (folder / MANIFEST).write_bytes(dump_manifest(manifest).encode("utf8"))


def read_manifest(path: Path) -> dict[str, Any]:
    """path (Path): The manifest.
    RETURNS (Dict[str, Any]): Its content.
    RAISES (CheckpointError): It was changed since it was written."""
    return parse_manifest(read_text(path), source=str(path))


def dump_manifest(manifest: Mapping[str, Any]) -> str:
    """manifest (Mapping[str, Any]): From `make_manifest`.
    RETURNS (str): The content of its file."""
    return json.dumps(manifest, indent=1)


def parse_manifest(text: Any, *, source: str) -> dict[str, Any]:
    """text (Any): From `dump_manifest`.
    source (str): Where it came from, for messages.
    RETURNS (Dict[str, Any]): The manifest.
    RAISES (CheckpointError): The text was changed, even by one byte."""
    manifest = parse_json(text, source, MANIFEST) if isinstance(text, str) else {}
    files = manifest.get("files")
    body = {key: value for key, value in manifest.items() if key != "sha256"}
    try:
        intact = _digest_body(body) == manifest.get("sha256")
        intact = intact and dump_manifest(manifest) == text
    except RecursionError:
        intact = False
    named = isinstance(files, dict) and all(map(_NAME.fullmatch, files))
    if not (intact and named):
        problem = "it was changed or cut off"
        message = Errors.E018.format(source=source, kind=MANIFEST, problem=problem)
        raise CheckpointError(message)
    return manifest


def check_files(
    manifest: Mapping[str, Any], locate: Callable[[str], Path], *, source: str
) -> None:
    """Compare files with their manifest.

    manifest (Mapping[str, Any]): From `read_manifest`.
    locate (Callable): Called with the name of a file, returns its path.
    source (str): Where the files are, for messages.
    RAISES (CheckpointError): A file is missing or was changed.
    """
    for name in manifest["files"]:
        path = locate(name)
        with _coded(name, source):
            _check_size(manifest, name, path, source=source)
            actual = digest_file(path)
        check_digest(manifest, name, actual, source=source)


def read_checked(
    manifest: Mapping[str, Any], name: str, path: Path, *, source: str
) -> bytes:
    """Read a file and compare it with its manifest.

    manifest (Mapping[str, Any]): From `read_manifest`.
    name (str): The name of the file.
    path (Path): Its path.
    source (str): Where the file is, for messages.
    RETURNS (bytes): Its content.
    RAISES (CheckpointError): The file is missing or was changed.
    """
    with _coded(name, source):
        size = _check_size(manifest, name, path, source=source)
        with open(open_regular(path), "rb") as file:
            content = file.read(size + 1)
    check_digest(manifest, name, digest(content), source=source)
    return content


def check_digest(
    manifest: Mapping[str, Any], name: str, actual: Any, *, source: str
) -> None:
    """Compare a file with its manifest.

    manifest (Mapping[str, Any]): From `read_manifest`.
    name (str): The name of the file.
    actual (Any): The digest of the file, None if it is missing.
    source (str): Where the file is, for messages.
    RAISES (CheckpointError): The file is missing or was changed.
    """
    if actual != manifest["files"].get(name):
        problem = "is missing" if actual is None else "is not as it was saved"
        message = Errors.E102.format(source=source, file=name, problem=problem)
        raise CheckpointError(message)


def _check_size(
    manifest: Mapping[str, Any], name: str, path: Path, *, source: str
) -> int:
    """Compare the size of a file before reading it: it may be a hole of terabytes."""
    if not is_regular(path):
        check_digest(manifest, name, None, source=source)
    size, expected = path.stat().st_size, manifest["files"].get(name)
    if not isinstance(expected, dict) or size != expected.get("size"):
        check_digest(manifest, name, {"size": size}, source=source)
    return size


@contextmanager
def _coded(name: str, source: str) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        problem = type(e).__name__
        message = Errors.E018.format(source=source, kind=name, problem=problem)
        raise CheckpointError(message) from e


def _digest_body(body: Mapping[str, Any]) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode("utf8")).hexdigest()
