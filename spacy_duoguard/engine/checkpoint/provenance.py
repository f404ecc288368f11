"""The files beside a model's weights: their provenance and the manifest."""

from pathlib import Path
from typing import Any

from ...errors import CheckpointError, Errors
from .files import parse_json, read_text
from .manifest import MANIFEST, check_files, read_manifest
from .repository import Folder, Repository, require

FORMAT_VERSION = 1
PROVENANCE = "duoguard.json"


def check_saved(repository: Repository, *, required: bool) -> dict[str, Any]:
    """Check that the files of a saved folder were not changed.

    repository (Repository): The folder.
    required (bool): Whether there must be a manifest. Without one, files could be
        changed unnoticed.
    RETURNS (Dict[str, Any]): The manifest; empty if the folder has none.
    RAISES (CheckpointError): A file was changed, or the manifest is missing.
    """
    path = repository.find(MANIFEST) if isinstance(repository, Folder) else None
    if path is None and not required:
        return {}
    if path is None:
        remedy = "It was not saved completely: use an undamaged copy."
        message = Errors.E017.format(
            source=repository.name, wanted=MANIFEST, remedy=remedy
        )
        raise CheckpointError(message)
    manifest = read_manifest(path)

    def locate(name: str) -> Path:
        return repository.find(name) or path.with_name(name)

    check_files(manifest, locate, source=repository.name)
    return manifest


def read_file(repository: Repository, filename: str, *, remedy: str = "") -> str:
    """Like `repository.require`.

    RETURNS (str): The content of the file."""
    return read_text(require(repository, filename, remedy=remedy))


def read_provenance(repository: Repository) -> dict[str, Any]:
    """repository (Repository): The model.
    RETURNS (Dict[str, Any]): Names, revisions and commits of its sources; empty if it
        was not saved by this package.
    RAISES (CheckpointError): The file cannot be read, or has another format."""
    if not isinstance(repository, Folder) or repository.find(PROVENANCE) is None:
        return {}
    text = read_file(repository, PROVENANCE)
    provenance = parse_json(text, repository.name, PROVENANCE)
    check_format(provenance.pop("format_version", None), repository.name)
    return provenance


def check_format(version: Any, source: str) -> None:
    """version (Any): The format version of a save.
    source (str): Where it came from, for messages.
    RAISES (CheckpointError): It is not `FORMAT_VERSION`."""
    if version != FORMAT_VERSION:
        message = Errors.E021.format(
            name=source, version=version, supported=FORMAT_VERSION
        )
        raise CheckpointError(message)
