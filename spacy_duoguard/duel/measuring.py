"""Measure a guard on dev, and tell a change from noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .guard import DevScores

LEVEL = 0.95  # of intervals
STOPPING: tuple[str, ...] = ("auroc", "f1")  # a fall of these ends a duel

Figures = dict[str, float | None]


def measure(
    gold: np.ndarray, probabilities: np.ndarray, flagged: np.ndarray
) -> Figures:
    """gold (ndarray): (n,) bool, whether texts are unsafe.
    probabilities (ndarray): (n,) of `unsafe`.
    flagged (ndarray): (n,) bool.
    RETURNS (Dict[str, Optional[float]]): `auroc`, `f1`, `fpr` and `recall`. None where
        there are no texts for it."""
    n_unsafe, n_safe = int(gold.sum()), int((~gold).sum())
    hits, false = int((flagged & gold).sum()), int((flagged & ~gold).sum())
    return {
        "auroc": _auroc(gold, probabilities) if n_unsafe and n_safe else None,
        "f1": 2 * hits / (hits + false + n_unsafe) if n_unsafe else None,
        "fpr": false / n_safe if n_safe else None,
        "recall": hits / n_unsafe if n_unsafe else None,
    }


def _auroc(gold: np.ndarray, probabilities: np.ndarray) -> float:
    """The probability that an unsafe text scores higher than a safe one; ties count as
    a half."""
    safe = np.sort(probabilities[~gold])
    unsafe = probabilities[gold]
    below = np.searchsorted(safe, unsafe, side="left")
    ties = np.searchsorted(safe, unsafe, side="right") - below
    return float((below + 0.5 * ties).sum() / (len(safe) * len(unsafe)))


def figures_of(scores: DevScores) -> dict[str, Any]:
    """scores (DevScores): What a guard says about dev.
    RETURNS (Dict[str, Any]): The figures of all texts, and by language."""
    all_of_them = measure(scores.gold, scores.probabilities, scores.flagged)
    languages = {}
    for language in dict.fromkeys(scores.languages):
        rows = np.array([name == language for name in scores.languages])
        of_rows = (values[rows] for values in _columns(scores))
        languages[language or "unknown"] = {"texts": int(rows.sum())} | measure(
            *of_rows
        )
    return {
        "texts": len(scores.gold),
        "not scored": scores.failed,
        **all_of_them,
        "languages": languages,
    }


def _columns(scores: DevScores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return scores.gold, scores.probabilities, scores.flagged


@dataclass(frozen=True)
class Change:
    """How a figure differs between two guards."""

    difference: float
    low: float  # of the interval
    high: float

    @property
    def is_fall(self) -> bool:
        """Whether it's lower, beyond the noise of dev."""
        return self.high < 0.0

    def as_dict(self) -> dict[str, float]:
        """RETURNS (Dict[str, float]): For the report."""
        return {"difference": self.difference, "low": self.low, "high": self.high}


def compare(
    before: DevScores, after: DevScores, *, samples: int, seed: int
) -> dict[str, Change]:
    """Compare two guards on the same texts with a paired bootstrap: texts are drawn
    with replacement, safe and unsafe ones separately, and both guards are measured on
    them.

    before (DevScores), after (DevScores): What the guards say about dev.
    samples (int): How often to draw.
    seed (int): The seed of the draws.
    RETURNS (Dict[str, Change]): For each figure the difference, and the interval that
        holds 95% of the differences.
    """
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(before.gold), np.flatnonzero(~before.gold)]
    drawn: dict[str, list[float]] = {}
    for _ in range(samples):
        rows = np.concatenate([rng.choice(rows, len(rows)) for rows in classes])
        for name, value in _differences(before, after, rows).items():
            drawn.setdefault(name, []).append(value)
    edges = 100 * (1 - LEVEL) / 2
    changes = {}
    for name, value in _differences(before, after, slice(None)).items():
        low, high = np.percentile(drawn[name], [edges, 100 - edges])
        changes[name] = Change(value, float(low), float(high))
    return changes


def _differences(before: DevScores, after: DevScores, rows: Any) -> dict[str, float]:
    old = measure(*(values[rows] for values in _columns(before)))
    new = measure(*(values[rows] for values in _columns(after)))
    differences = {}
    for name, value in old.items():
        other = new[name]
        if value is not None and other is not None:
            differences[name] = other - value
    return differences


def falls(changes: Mapping[str, Change]) -> list[str]:
    """changes (Mapping[str, Change]): From `compare`.
    RETURNS (List[str]): The figures whose fall ends a duel."""
    return [name for name in STOPPING if changes[name].is_fall]


def wrong_rates(scored: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """scored (Sequence[Dict[str, Any]]): Generated texts, scored by a guard.
    RETURNS (Dict[str, Dict[str, Any]]): For each language and for "all": the number of
        texts, and the share that the guard is wrong about, also of the unsafe and of
        the safe ones."""
    known = [result for result in scored if result["wrong"] is not None]
    languages = dict.fromkeys(result["language"] for result in known)
    groups = {
        language: [result for result in known if result["language"] == language]
        for language in languages
    }
    return {
        name: {
            "texts": len(results),
            "wrong": _share(results),
            "wrong of unsafe": _share([r for r in results if r["unsafe"]]),
            "wrong of safe": _share([r for r in results if not r["unsafe"]]),
        }
        for name, results in {"all": known, **groups}.items()
    }


def _share(results: Sequence[dict[str, Any]]) -> float | None:
    if not results:
        return None
    return sum(result["wrong"] for result in results) / len(results)
