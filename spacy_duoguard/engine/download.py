"""Download a model and its tokenizer into a folder for machines without a network."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import Errors, SettingsError
from .checkpoint.atomic_folder import WRITING, replace_folder, staged
from .checkpoint.bundle import CONFIG, TOKENIZER
from .checkpoint.files import open_regular
from .checkpoint.manifest import add_manifest, digest_file
from .checkpoint.output_paths import check_name
from .checkpoint.provenance import FORMAT_VERSION, PROVENANCE
from .checkpoint.published import published_tokenizer
from .checkpoint.repository import HubRepository, open_repository, require
from .checkpoint.weights import open_weights
from .classifier import Classifier

RECORD = "download.json"

# Terms of use that a copy must include, if the repository has them as files.
_TERMS = ("LICENSE", "LICENSE.txt", "NOTICE", "USE_POLICY.md", "README.md")


class _RecordingRepository(HubRepository):
    """Records each file that the loader asks for."""

    remedy = "and try again: finished downloads are kept"

    def __init__(self, name: str, revision: str) -> None:
        super().__init__(name, revision)
        self.files: dict[str, Path] = {}

    def find(self, filename: str) -> Path | None:
        path = super().find(filename)
        if path is not None:
            self.files[filename] = path
        return path


def download_model(
    name: str,
    folder: Path,
    *,
    revision: str = "main",
    tokenizer: str | None = None,
    tokenizer_revision: str = "main",
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Download a model and its tokenizer into a folder, and check that it loads. The
    folder only appears once it is complete. If the download fails, files fetched so far
    stay in the cache of `huggingface_hub`.

    name (str): A hub name.
    folder (Path): The folder to create, or an empty one.
    revision (str): Branch, tag or commit.
    tokenizer (Optional[str]): Hub name of the tokenizer. None for the known one of this
        model, or else the model's own.
    tokenizer_revision (str): Branch, tag or commit of the tokenizer.
    report (Callable): Called with a line of text at each step.
    RETURNS (Dict[str, Any]): The content of `download.json`: names, revisions, resolved
        commits, and the SHA-256 and size of each file.
    RAISES (SettingsError): The name is not a hub name, or the folder is not empty.
    RAISES (DownloadError): A file could not be downloaded.
    RAISES (CheckpointError): The downloaded model cannot be used.
    """
    check_name(folder)
    model = _open(name, revision)
    tokenizer = tokenizer or published_tokenizer(name)
    tokenizer_source = _open(tokenizer, tokenizer_revision) if tokenizer else model
    folder = Path(os.path.realpath(folder))  # "." has no name to rename it by
    _check_free(folder)
    report(f"Downloading the tokenizer of {tokenizer_source.name}")
    remedy = "Set tokenizer to the hub name of the one it was trained with."
    require(tokenizer_source, TOKENIZER, remedy=remedy)
    report(f"Downloading {model.name}")
    require(model, CONFIG)
    open_weights(model)
    files = {**_with_terms(model), TOKENIZER: tokenizer_source.files[TOKENIZER]}
    source = {
        "model": name,
        "revision": revision,
        "commit": model.commit,
        "tokenizer": tokenizer,
        "tokenizer_revision": tokenizer_revision if tokenizer else revision,
        "tokenizer_commit": tokenizer_source.commit,
    }
    # An existing folder is not replaced: it may be the current one, or a mount.
    writing = staged if folder.is_dir() else replace_folder
    with writing(folder) as aside:
        record = _fill(aside, files, source)
        report("Checking that it loads")
        Classifier.from_pretrained(str(aside), device="cpu")
        _check_free(folder)  # the download may have taken a while
    return record


def _open(name: str, revision: str) -> _RecordingRepository:
    if not isinstance(open_repository(name, revision=revision), HubRepository):
        raise SettingsError(Errors.E147.format(name=name))
    return _RecordingRepository(name, revision)


def _check_free(folder: Path) -> None:
    """RAISES (SettingsError): The folder has files, or it can't be created."""
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if existing == folder:
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
        if names - {WRITING}:  # which is left behind if the process is killed
            raise SettingsError(Errors.E148.format(path=folder))
    problem = "" if os.access(existing, os.W_OK) else "it can't be written to"
    if not existing.is_dir():
        problem = "it isn't a folder"
    if problem:
        raise SettingsError(Errors.E139.format(name=existing, problem=problem))


def _with_terms(model: _RecordingRepository) -> dict[str, Path]:
    for filename in _TERMS:
        model.find(filename)
    return dict(model.files)


def _fill(
    folder: Path, files: Mapping[str, Path], source: Mapping[str, Any]
) -> dict[str, Any]:
    """Copy the files and write their record, provenance and manifest."""
    digests = {}
    for filename, path in sorted(files.items()):
        target = folder / filename
        with open(open_regular(path), "rb") as original, target.open("wb") as copy:
            shutil.copyfileobj(original, copy)
        digests[filename] = digest_file(target)
    provenance = {"format_version": FORMAT_VERSION, **source}
    record = {**source, "files": digests}
    for filename, content in ((PROVENANCE, provenance), (RECORD, record)):
        text = json.dumps(content, indent=2) + "\n"
        (folder / filename).write_text(text, encoding="utf8")
    add_manifest(folder)  # the loader checks the files against it
    return record
