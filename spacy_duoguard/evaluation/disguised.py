"""Measure what disguises do to a model: how many unsafe texts pass, as they are and
with each view, and how many more safe texts each view flags."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..disguises.disguise import Disguise
from ..disguises.suite import SUITE
from ..engine.classifier import Classifier
from ..engine.text.views.functions import Views, check_views, read_views
from ..engine.text.views.readings import READINGS
from ..engine.text.views.view import TEXT
from ..engine.text_scores import TextScores
from .datasets import DATASETS, Row, load_rows
from .measures import THRESHOLD
from .rates import Rate
from .run import Evaluation, FileResult, LanguageResult

ALL = "normalize"  # the text and all of its views

# Texts that are scored lower change sides with any change.
LEAST_SCORE = 0.6
MOST_CHARS = 400  # longer texts are disguised in parts, if at all
_BATCH_SIZE = 128

Rates = dict[str, Rate]  # by reading: "text", the views, and "normalize"


@dataclass(frozen=True)
class DisguiseResult:
    """How often one disguise succeeds."""

    disguise: Disguise
    success: Rates  # disguised unsafe texts that aren't flagged


@dataclass(frozen=True)
class SafeResult:
    """What the views do to the safe texts of one file."""

    filename: str
    flagged: Rates
    added: Rates  # flagged, but not as they are


@dataclass(frozen=True)
class LanguageDisguises:
    """The results in one language."""

    language: str
    texts: int  # unsafe texts that were disguised
    disguises: tuple[DisguiseResult, ...]
    safe: tuple[SafeResult, ...]

    def all_safe(self) -> SafeResult:
        """RETURNS (SafeResult): The sums over the files."""
        flagged, added = (
            _sum_rates([getattr(result, name) for result in self.safe])
            for name in ("flagged", "added")
        )
        return SafeResult("all files", flagged, added)


@dataclass(frozen=True)
class DisguiseReport:
    """The results in all languages."""

    readings: tuple[str, ...]  # "text", the views, and "normalize"
    languages: tuple[LanguageDisguises, ...]

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): All results, as fractions."""
        return {
            "readings": list(self.readings),
            "least_score": LEAST_SCORE,
            "most_chars": MOST_CHARS,
            "languages": {r.language: _to_dict(r) for r in self.languages},
        }


def measure_disguises(
    folder: Path,
    evaluation: Evaluation,
    classifier: Classifier,
    *,
    views: Views = None,
    n_texts: int = 100,
    seed: int = 0,
    tick: Callable[[int, int], None] = lambda n, total: None,
) -> DisguiseReport:
    """Disguise unsafe texts that the model recognizes, and read safe ones in all views.

    folder (Path): Has a folder for each language.
    evaluation (Evaluation): The results of the classifier on its files.
    classifier (Classifier): The classifier.
    views (Optional[Mapping[str, Callable]]): The user's views, as for `analyze`.
    n_texts (int): The most texts to disguise in each language.
    seed (int): The seed of their choice.
    tick (Callable): Called after each disguise with the number of its texts and of all
        texts to score.
    RETURNS (DisguiseReport): The results.
    RAISES (SettingsError): A file has been damaged since.
    """
    names = dict.fromkeys((*READINGS, *(name for name, _ in check_views(views))))
    score = _Readings(classifier, (TEXT, *names, ALL), views)
    chosen, rows = {}, {}
    for result in evaluation.languages:
        rows[result.language] = _load(folder / result.language, result)
        texts = _attackable(result, rows[result.language])
        draw = random.Random(seed)
        chosen[result.language] = draw.sample(texts, min(n_texts, len(texts)))
    total = len(SUITE) * sum(map(len, chosen.values()))
    measured = []
    for result in evaluation.languages:
        texts = chosen[result.language]
        attacked = []
        for disguise in SUITE.values():
            scores = score([disguise.apply(text) for text in texts])
            passed = {name: values <= THRESHOLD for name, values in scores.items()}
            attacked.append(DisguiseResult(disguise, _rates(passed)))
            tick(len(texts), total)
        safe = tuple(
            _measure_safe(score, file, rows[result.language][file.filename])
            for file in result.files
            if not file.gold.all()
        )
        measured.append(
            LanguageDisguises(result.language, len(texts), tuple(attacked), safe)
        )
    return DisguiseReport(score.readings, tuple(measured))


@dataclass(frozen=True)
class _Readings:
    """Scores texts in each reading."""

    classifier: Classifier
    readings: tuple[str, ...]  # "text", the names of views, and "normalize"
    views: Views

    def __call__(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """texts (Sequence[str]): The texts.
        RETURNS (Dict[str, ndarray]): For each reading the probabilities of `unsafe`,
            (n_texts,): that of the text, and the maximum with one or all views."""
        rows = []
        for start in range(0, len(texts), _BATCH_SIZE):
            batch = texts[start : start + _BATCH_SIZE]
            for scores in self.classifier.analyze(
                batch, normalize=True, views=self.views
            ):
                rows.append(self._read(scores))
        return {name: np.array([row[name] for row in rows]) for name in self.readings}

    def _read(self, scores: TextScores) -> dict[str, float]:
        highest = dict.fromkeys(self.readings, 0.0)
        for window in scores.windows:
            probability = float(window.probabilities.max())
            highest[window.view] = max(highest[window.view], probability)
        highest[ALL] = max(highest.values())
        return {name: max(highest[TEXT], value) for name, value in highest.items()}


def _load(folder: Path, result: LanguageResult) -> dict[str, list[Row]]:
    datasets = {dataset.filename: dataset for dataset in DATASETS}
    names = [file.filename for file in result.files]
    return {name: load_rows(datasets[name], folder / name) for name in names}


def _attackable(result: LanguageResult, rows: Mapping[str, list[Row]]) -> list[str]:
    """The unsafe texts that the model recognizes."""
    texts = {
        text: None
        for file in result.files
        for (text, unsafe), probability in zip(
            rows[file.filename], file.probabilities, strict=True
        )
        if unsafe and probability > LEAST_SCORE and len(text) <= MOST_CHARS
    }
    return list(texts)


def _measure_safe(
    score: _Readings, file: FileResult, rows: Sequence[Row]
) -> SafeResult:
    texts = [text for text, unsafe in rows if not unsafe]
    as_is = file.probabilities[~file.gold] > THRESHOLD
    functions = check_views(score.views)
    differ = [i for i, text in enumerate(texts) if read_views(text, functions)]
    scores = score([texts[i] for i in differ])
    flagged = {}
    for name in score.readings:
        flagged[name] = as_is.copy()
        flagged[name][differ] |= scores[name] > THRESHOLD
    added = {name: values & ~as_is for name, values in flagged.items()}
    return SafeResult(file.filename, _rates(flagged), _rates(added))


def _rates(flags: Mapping[str, np.ndarray]) -> Rates:
    return {name: Rate(int(of.sum()), len(of)) for name, of in flags.items()}


def _sum_rates(files: Sequence[Rates]) -> Rates:
    names = files[0] if files else {}
    return {
        name: Rate(
            sum(rates[name].count for rates in files),
            sum(rates[name].total for rates in files),
        )
        for name in names
    }


def _to_dict(result: LanguageDisguises) -> dict[str, Any]:
    def rates(of: Rates) -> dict[str, Any]:
        return {name: rate.to_dict() for name, rate in of.items()}

    return {
        "texts": result.texts,
        "attack_success": {
            of.disguise.name: {
                "source": of.disguise.source,
                "read_by": of.disguise.view,
                **rates(of.success),
            }
            for of in result.disguises
        },
        "safe": {
            of.filename: {"flagged": rates(of.flagged), "added": rates(of.added)}
            for of in (*result.safe, result.all_safe())
        },
    }
