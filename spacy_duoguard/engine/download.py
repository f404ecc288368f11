"""A model and its tokenizer from the hub → a folder for machines without a network."""

import json
import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..errors import Errors, SettingsError
from .checkpoint.bundle import CONFIG, TOKENIZER
from .checkpoint.manifest import seal_folder
from .checkpoint.provenance import FORMAT_VERSION, PROVENANCE
from .checkpoint.repository import (
    KNOWN_TOKENIZERS,
    HubRepository,
    open_repository,
    require,
)
from .checkpoint.weights import open_weights
from .classifier import Classifier

RECORD = "download.json"

# Terms that a copy has to bring along, where the repository has them as files.
_TERMS = ("LICENSE", "LICENSE.txt", "NOTICE", "USE_POLICY.md", "README.md")

_CHUNK = 2**22  # bytes


class _Recorded(HubRepository):
    """Notes each file that it finds: what the loader asks for is what is needed."""

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
    folder appears when it is complete; what was fetched before stays in the cache of
    `huggingface_hub`.

    name (str): A hub name.
    folder (Path): The folder to make.
    revision (str): Branch, tag or commit.
    tokenizer (Optional[str]): Hub name of the tokenizer. None is the known one for this
        name, else the model's own.
    tokenizer_revision (str): Branch, tag or commit of the tokenizer.
    report (Callable): Called with a line on each step.
    RETURNS (Dict[str, Any]): What is recorded in `download.json`: names, revisions, the
        commits they stood for, and the SHA-256 and size of each file.
    RAISES (SettingsError): No hub name, or the folder is taken.
    RAISES (DownloadError): A file could not be had.
    RAISES (CheckpointError): What was downloaded cannot be used.
    """
    model = _open(name, revision)
    tokenizer = tokenizer or KNOWN_TOKENIZERS.get(name)
    home = _open(tokenizer, tokenizer_revision) if tokenizer else model
    _check_free(folder)
    report(f"Downloading the tokenizer of {home.name}")
    require(home, TOKENIZER)
    report(f"Downloading {model.name}")
    require(model, CONFIG)
    open_weights(model)
    files = {**_with_terms(model), TOKENIZER: home.files[TOKENIZER]}
    source = {
        "model": name,
        "revision": revision,
        "commit": model.commit,
        "tokenizer": tokenizer,
        "tokenizer_revision": tokenizer_revision if tokenizer else revision,
        "tokenizer_commit": home.commit,
    }
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        record = _fill(aside, files, source)
        report("Checking that it loads")
        Classifier.from_pretrained(str(aside), device="cpu")
        if folder.is_dir():
            folder.rmdir()  # it is empty
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return record


def _open(name: str, revision: str) -> _Recorded:
    if not isinstance(open_repository(name, revision=revision), HubRepository):
        raise SettingsError(Errors.E147.format(name=name))
    return _Recorded(name, revision)


def _check_free(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise SettingsError(Errors.E148.format(path=folder))


def _with_terms(model: _Recorded) -> dict[str, Path]:
    for filename in _TERMS:
        model.find(filename)
    return dict(model.files)


def _fill(
    folder: Path, files: Mapping[str, Path], source: Mapping[str, Any]
) -> dict[str, Any]:
    """Copy files and write down what they are."""
    digests = {
        filename: _copy(path, folder / filename)
        for filename, path in sorted(files.items())
    }
    # What a folder is loaded from knows where it came from, as one that was saved.
    provenance = {"format_version": FORMAT_VERSION, **source}
    record = {**source, "files": digests}
    for filename, content in ((PROVENANCE, provenance), (RECORD, record)):
        text = json.dumps(content, indent=2) + "\n"
        (folder / filename).write_text(text, encoding="utf8")
    seal_folder(folder)  # the loader checks the files against it
    return record


def _copy(source: Path, target: Path) -> dict[str, Any]:
    """RETURNS (Dict[str, Any]): "size" in bytes and "sha256" of what was written."""
    found, size = sha256(), 0
    with source.open("rb") as read, target.open("wb") as write:
        while chunk := read.read(_CHUNK):
            write.write(chunk)
            found.update(chunk)
            size += len(chunk)
    return {"size": size, "sha256": found.hexdigest()}
