"""What a saved folder holds, to the bit."""

import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, Errors
from .files import parse_json, read_text

MANIFEST = "manifest.json"

_CHUNK = 2**22
# A file directly in the folder or in one of its folders, and nowhere else.
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def digest(content: bytes | str) -> dict[str, Any]:
    """content (bytes / str): Of a file.
    RETURNS (Dict[str, Any]): Its "size" in bytes and its "sha256"."""
    data = content.encode("utf8") if isinstance(content, str) else content
    return {"size": len(data), "sha256": sha256(data).hexdigest()}


def digest_file(path: Path) -> dict[str, Any]:
    """As `digest`, without reading the file at once.

    path (Path): The file.
    RAISES (OSError): It cannot be read."""
    found, size = sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
            size += len(chunk)
    return {"size": size, "sha256": found.hexdigest()}


def seal(files: Mapping[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Make a manifest.

    files (Mapping[str, Dict[str, Any]]): The digest of each file, by its name.
    more (Any): What else it is to hold.
    RETURNS (Dict[str, Any]): JSON-serializable. Its own digest is in it as well.
    """
    body = {"files": dict(sorted(files.items())), **more}
    return {**body, "sha256": _own(body)}


def seal_folder(folder: Path, **more: Any) -> None:
    """Write the manifest of all files in a folder; of a folder inside that has its own
    one, only that.

    folder (Path): The folder.
    more (Any): What else it is to hold.
    """
    names = [path.name for path in folder.iterdir() if path.is_file()]
    for inner in folder.iterdir():
        if (inner / MANIFEST).is_file():
            names.append(f"{inner.name}/{MANIFEST}")
    files = {name: digest_file(folder / name) for name in names if name != MANIFEST}
    write_manifest(folder, seal(files, **more))


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """folder (Path): Where to write. manifest (Mapping[str, Any]): From `seal`."""
    (folder / MANIFEST).write_bytes(dump_manifest(manifest).encode("utf8"))


def read_manifest(path: Path) -> dict[str, Any]:
    """path (Path): The manifest.
    RETURNS (Dict[str, Any]): Its content, which is as it was written.
    RAISES (CheckpointError): It is not."""
    return parse_manifest(read_text(path), source=str(path))


def dump_manifest(manifest: Mapping[str, Any]) -> str:
    """manifest (Mapping[str, Any]): From `seal`. RETURNS (str): Its text."""
    return json.dumps(manifest, indent=1)


def parse_manifest(text: Any, *, source: str) -> dict[str, Any]:
    """text (Any): From `dump_manifest`.
    source (str): Where it came from, for messages.
    RETURNS (Dict[str, Any]): The manifest.
    RAISES (CheckpointError): It was changed after it was made, be it by one byte."""
    found = parse_json(text, source, MANIFEST) if isinstance(text, str) else {}
    files = found.get("files")
    body = {key: value for key, value in found.items() if key != "sha256"}
    try:
        sound = _own(body) == found.get("sha256") and dump_manifest(found) == text
    except RecursionError:
        sound = False
    if not sound or not isinstance(files, dict) or not all(map(_NAME.fullmatch, files)):
        problem = "it was changed or cut off"
        message = Errors.E018.format(source=source, kind=MANIFEST, problem=problem)
        raise CheckpointError(message)
    return found


def check_files(
    manifest: Mapping[str, Any], place: Callable[[str], Path], *, source: str
) -> None:
    """Compare files with their manifest.

    manifest (Mapping[str, Any]): From `read_manifest`.
    place (Callable): From the name of a file to its path.
    source (str): Where they lie, for messages.
    RAISES (CheckpointError): A file is missing or is not as it was saved.
    """

    for name in manifest["files"]:
        path = place(name)
        have = digest_file(path) if path.is_file() else None
        compare(manifest, name, have, source=source)


def compare(manifest: Mapping[str, Any], name: str, have: Any, *, source: str) -> None:
    """manifest (Mapping[str, Any]): What was saved.
    name (str): Of a file.
    have (Any): The digest of what is there, None for nothing.
    source (str): Where that lies, for messages.
    RAISES (CheckpointError): They differ."""
    if have != manifest["files"].get(name):
        problem = "is missing" if have is None else "is not as it was saved"
        message = Errors.E102.format(source=source, file=name, problem=problem)
        raise CheckpointError(message)


def _own(body: Mapping[str, Any]) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode("utf8")).hexdigest()
