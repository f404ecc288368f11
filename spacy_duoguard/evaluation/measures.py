"""Measure how well a classifier separates safe and unsafe texts."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

# As in the paper and on the model card: strictly greater is unsafe.
THRESHOLD = 0.5


@dataclass(frozen=True)
class Measures:
    """The measures of one file, or their averages over files. One that is undefined is
    None, such as the false positive rate if no text is safe."""

    f1: float | None
    precision: float | None
    recall: float | None
    fpr: float | None
    auprc: float | None  # average precision
    ms: float  # per text


def measure(gold: np.ndarray, probabilities: np.ndarray, *, ms: float) -> Measures:
    """gold (ndarray): Whether each text is unsafe, (n_texts,) bool.
    probabilities (ndarray): The probabilities of `unsafe`, (n_texts,).
    ms (float): Milliseconds per text.
    RETURNS (Measures): At the paper's threshold."""
    flagged = probabilities > THRESHOLD
    true_positives = int((flagged & gold).sum())
    n_flagged, n_unsafe, n_safe = flagged.sum(), gold.sum(), (~gold).sum()
    f1 = 2 * true_positives / int(n_flagged + n_unsafe) if n_unsafe else None
    return Measures(
        f1=f1,
        precision=true_positives / int(n_flagged) if n_flagged else None,
        recall=true_positives / int(n_unsafe) if n_unsafe else None,
        fpr=int((flagged & ~gold).sum()) / int(n_safe) if n_safe else None,
        auprc=_average_precision(gold, probabilities),
        ms=ms,
    )


def _average_precision(gold: np.ndarray, probabilities: np.ndarray) -> float | None:
    if gold.all() or not gold.any():
        return None  # it wouldn't depend on the scores
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(gold, probabilities))


def average(files: Iterable[Measures]) -> Measures:
    """files (Iterable[Measures]): The measures of one or more files.
    RETURNS (Measures): The mean of each measure over the files where it is defined. As
        in the paper, it isn't weighted by the number of texts."""
    files = list(files)

    def mean(name: str) -> float | None:
        values = [getattr(measures, name) for measures in files]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    means: dict[str, Any] = {field.name: mean(field.name) for field in fields(Measures)}
    return Measures(**means)
