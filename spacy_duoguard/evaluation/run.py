"""Score the evaluation files of each language and measure the results."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.checkpoint.repository import DEMO
from ..engine.classifier import Classifier
from ..engine.text_scores import TextScores
from ..errors import Errors, SettingsError
from .datasets import DATASETS, LANGUAGES, Row, load_rows
from .measures import THRESHOLD, Measures, average, measure
from .paper import PAPER, PAPER_MODEL

_BATCH_SIZE = 128  # texts scored in one call


@dataclass(frozen=True)
class FileResult:
    """The results on one file."""

    filename: str
    gold: np.ndarray  # (n_texts,) bool, whether each text is unsafe
    probabilities: np.ndarray  # (n_texts,) float32, of `unsafe`
    truncated: np.ndarray  # (n_texts,) bool, whether `max_windows` left out a part
    measures: Measures


@dataclass(frozen=True)
class LanguageResult:
    """The results on the files of one language."""

    language: str
    files: tuple[FileResult, ...]
    missing: tuple[str, ...]  # file names

    @property
    def average(self) -> Measures:
        """Averages over the files that aren't missing."""
        return average(file.measures for file in self.files)


@dataclass(frozen=True)
class Evaluation:
    """The results on all languages, and how they were measured."""

    model: str
    device: str
    precision: str
    is_papers_model: bool  # the weights are those of the paper
    is_demo: bool
    languages: tuple[LanguageResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): All results, as fractions. The paper's are in per
        cent."""
        return {
            "model": self.model,
            "device": self.device,
            "precision": self.precision,
            "threshold": THRESHOLD,
            "languages": {r.language: _to_dict(r) for r in self.languages},
            "paper": {
                "comparable": {
                    r.language: self.is_papers_model and not r.missing
                    for r in self.languages
                },
                "rows": [row._asdict() for row in PAPER],
            },
        }


def _to_dict(result: LanguageResult) -> dict[str, Any]:
    files: dict[str, Any] = dict.fromkeys(result.missing)
    for file in result.files:
        files[file.filename] = {
            "texts": len(file.gold),
            "unsafe": int(file.gold.sum()),
            "truncated": int(file.truncated.sum()),
            **asdict(file.measures),
        }
    return {
        "files": files,
        "missing": list(result.missing),
        "average": asdict(result.average),
        "averaged_files": len(result.files),
    }


def evaluate(
    folder: Path,
    languages: Sequence[str],
    load: Callable[[], Classifier],
    *,
    model: str,
    tick: Callable[[int, int], None] = lambda n, total: None,
) -> Evaluation:
    """Score the files and measure. All files are read before the model is loaded.

    folder (Path): Has a folder for each language.
    languages (Sequence[str]): The languages, or none for all that have a folder.
    load (Callable): Loads the classifier.
    model (str): The name of the model.
    tick (Callable): Called after each batch with the number of its texts and of all
        texts.
    RETURNS (Evaluation): The results.
    RAISES (SettingsError): A language has no files, or a file is damaged.
    """
    languages = languages or [name for name in LANGUAGES if (folder / name).is_dir()]
    if not languages:
        raise SettingsError(Errors.E144.format(folder=folder))
    datasets = {language: _load_language(folder / language) for language in languages}
    total = sum(len(rows) for files in datasets.values() for rows in files.values())
    classifier = load()
    classifier.score(["A warm-up text, so that loading isn't timed."])
    results = []
    for language, files in datasets.items():
        scored = tuple(
            _score_file(classifier, name, rows, lambda n: tick(n, total))
            for name, rows in files.items()
        )
        missing = tuple(d.filename for d in DATASETS if d.filename not in files)
        results.append(LanguageResult(language, scored, missing))
    return Evaluation(
        model,
        str(classifier.decoder.device),
        precision_of(classifier),
        _is_papers_model(classifier),
        classifier.provenance.get("model") == DEMO,
        tuple(results),
    )


def precision_of(classifier: Classifier) -> str:
    """classifier (Classifier): A classifier.
    RETURNS (str): "float32", "bfloat16" or "int8"."""
    if classifier.settings.precision == "int8":
        return "int8"
    return str(classifier.decoder.dtype).removeprefix("torch.")


def _is_papers_model(classifier: Classifier) -> bool:
    """Whether the weights were downloaded from the paper's repository and haven't been
    trained since."""
    untrained = classifier.decoder.trained_layers == 0
    return untrained and classifier.provenance.get("model") == PAPER_MODEL


def _load_language(folder: Path) -> dict[str, list[Row]]:
    files = {
        dataset.filename: load_rows(dataset, folder / dataset.filename)
        for dataset in DATASETS
        if (folder / dataset.filename).is_file()
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
    scores: list[TextScores] = []
    seconds = 0.0
    for start in range(0, len(texts), _BATCH_SIZE):
        batch = texts[start : start + _BATCH_SIZE]
        started = time.perf_counter()
        scores += classifier.analyze(batch)
        seconds += time.perf_counter() - started
        tick(len(batch))
    gold = np.array([unsafe for _, unsafe in rows])
    probabilities = np.array([text.probabilities.max() for text in scores])
    truncated = np.array([text.truncated for text in scores])
    ms = 1000 * seconds / len(rows)
    measures = measure(gold, probabilities, ms=ms)
    return FileResult(filename, gold, probabilities, truncated, measures)
