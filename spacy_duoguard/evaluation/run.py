"""Score the files of each language and measure."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.checkpoint.repository import DEMO
from ..engine.classifier import Classifier
from ..errors import Errors, SettingsError
from .datasets import DATASETS, LANGUAGES, Row, load_rows
from .measures import THRESHOLD, Measures, average, measure
from .paper import OWN_MODEL, PAPER

_CHUNK = 128  # texts scored at once


@dataclass(frozen=True)
class FileResult:
    """What was measured on one file."""

    filename: str
    truths: np.ndarray  # (n_texts,) bool
    probabilities: np.ndarray  # (n_texts,) float32, of `unsafe`
    measures: Measures


@dataclass(frozen=True)
class LanguageResult:
    """What was measured on a language's folder."""

    language: str
    files: tuple[FileResult, ...]
    missing: tuple[str, ...]  # file names

    @property
    def average(self) -> Measures:
        """Over the files that are there."""
        return average(file.measures for file in self.files)


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and with what."""

    model: str
    device: str
    precision: str
    is_papers_model: bool  # the paper's own row is of the same weights
    is_demo: bool
    languages: tuple[LanguageResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): All figures, fractions and not per cent, but for
        the paper's."""
        return {
            "model": self.model,
            "device": self.device,
            "precision": self.precision,
            "threshold": THRESHOLD,
            "languages": {own.language: _to_dict(own) for own in self.languages},
            "paper": {
                "comparable": {
                    own.language: self.is_papers_model and not own.missing
                    for own in self.languages
                },
                "rows": [row._asdict() for row in PAPER],
            },
        }


def _to_dict(own: LanguageResult) -> dict[str, Any]:
    files: dict[str, Any] = dict.fromkeys(own.missing)
    for file in own.files:
        counts = {"texts": len(file.truths), "unsafe": int(file.truths.sum())}
        files[file.filename] = {**counts, **asdict(file.measures)}
    return {
        "files": files,
        "missing": list(own.missing),
        "average": asdict(own.average),
        "averaged_files": len(own.files),
    }


def evaluate(
    folder: Path,
    languages: Sequence[str],
    load: Callable[[], Classifier],
    *,
    model: str,
    tick: Callable[[int, int], None] = lambda n, total: None,
) -> Evaluation:
    """Score and measure. All files are read before the model is loaded.

    folder (Path): With a folder for each language.
    languages (Sequence[str]): Which; none: all that are there.
    load (Callable): Loads the classifier.
    model (str): Its name.
    tick (Callable): Called with the number of texts that were scored since, and of all.
    RETURNS (Evaluation): The figures.
    RAISES (SettingsError): No file is there, or one is not what it should be.
    """
    wanted = languages or [own for own in LANGUAGES if (folder / own).is_dir()]
    if not wanted:
        raise SettingsError(Errors.E144.format(folder=folder))
    found = {language: _load_language(folder / language) for language in wanted}
    total = sum(len(rows) for files in found.values() for rows in files.values())
    classifier = load()
    classifier.score(["A first text, which the time of loading is taken out of."])
    results = []
    for language, files in found.items():
        names = [own.filename for own in DATASETS]
        scored = tuple(
            _score_file(classifier, name, rows, lambda n: tick(n, total))
            for name, rows in files.items()
        )
        missing = tuple(name for name in names if name not in files)
        results.append(LanguageResult(language, scored, missing))
    return Evaluation(
        model,
        str(classifier.decoder.device),
        _precision(classifier),
        _is_papers_model(classifier),
        classifier.provenance.get("model") == DEMO,
        tuple(results),
    )


def _precision(classifier: Classifier) -> str:
    if classifier.settings.precision == "int8":
        return "int8"
    return str(classifier.decoder.dtype).removeprefix("torch.")


def _is_papers_model(classifier: Classifier) -> bool:
    """By what was noted when the weights were downloaded, and not trained since."""
    untrained = classifier.decoder.trained_layers == 0
    return untrained and classifier.provenance.get("model") == OWN_MODEL


def _load_language(folder: Path) -> dict[str, list[Row]]:
    files = {
        own.filename: load_rows(own, folder / own.filename)
        for own in DATASETS
        if (folder / own.filename).is_file()
    }
    if not files:
        raise SettingsError(Errors.E144.format(folder=folder))
    return files


def _score_file(
    classifier: Classifier,
    filename: str,
    rows: Sequence[Row],
    tick: Callable[[int], None],
) -> FileResult:
    texts = [text for text, _ in rows]
    scores, seconds = [], 0.0
    for start in range(0, len(texts), _CHUNK):
        chunk = texts[start : start + _CHUNK]
        began = time.perf_counter()
        scores.append(classifier.score(chunk).max(axis=1))
        seconds += time.perf_counter() - began
        tick(len(chunk))
    truths = np.array([unsafe for _, unsafe in rows])
    probabilities = np.concatenate(scores)
    ms = 1000 * seconds / len(rows)
    measures = measure(truths, probabilities, ms=ms)
    return FileResult(filename, truths, probabilities, measures)
