"""What is written beside a model's weights: where they came from, and a manifest."""

from pathlib import Path
from typing import Any

from ...errors import CheckpointError, Errors
from .files import parse_json, read_text
from .manifest import MANIFEST, check_files, read_manifest
from .repository import Folder, Repository, require

FORMAT_VERSION = 1
PROVENANCE = "duoguard.json"


def check_saved(repository: Repository, *, required: bool) -> dict[str, Any]:
    """Check that a saved folder is as it was saved.

    repository (Repository): Where it is.
    required (bool): Whether there must be a manifest: who leaves it out could change
        the rest.
    RETURNS (Dict[str, Any]): The manifest; empty for a folder that others made.
    RAISES (CheckpointError): A file is not as it was saved, or there is no manifest.
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

    def place(name: str) -> Path:
        return repository.find(name) or path.with_name(name)

    check_files(manifest, place, source=repository.name)
    return manifest


def read_file(repository: Repository, filename: str, *, remedy: str = "") -> str:
    """As `hub.require`. RETURNS (str): The content of the file."""
    return read_text(require(repository, filename, remedy=remedy))


def read_provenance(repository: Repository) -> dict[str, Any]:
    """repository (Repository): Where the model is.
    RETURNS (Dict[str, Any]): What was noted when it was saved; nothing for a folder
        that others made.
    RAISES (CheckpointError): It cannot be read, or is of another format."""
    if not isinstance(repository, Folder) or repository.find(PROVENANCE) is None:
        return {}
    text = read_file(repository, PROVENANCE)
    provenance = parse_json(text, repository.name, PROVENANCE)
    check_format(provenance.pop("format_version", None), repository.name)
    return provenance


def check_format(version: Any, source: str) -> None:
    """version (Any): What a save says of its format. source (str): Where it is.
    RAISES (CheckpointError): Not the format that is read here."""
    if version != FORMAT_VERSION:
        message = Errors.E021.format(
            name=source, version=version, supported=FORMAT_VERSION
        )
        raise CheckpointError(message)
