"""How well safe and unsafe texts were told apart."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

THRESHOLD = 0.5  # of the paper and of the model card: unsafe is strictly more


@dataclass(frozen=True)
class Measures:
    """Of one file, or averages over files; None where one is not defined, as the false
    positive rate where no text is safe."""

    f1: float | None
    precision: float | None
    recall: float | None
    fpr: float | None
    auprc: float | None  # average precision
    ms: float  # per text


def measure(truths: np.ndarray, probabilities: np.ndarray, *, ms: float) -> Measures:
    """truths (ndarray): Whether each text is unsafe, (n_texts,).
    probabilities (ndarray): Of `unsafe`, (n_texts,).
    ms (float): Milliseconds per text.
    RETURNS (Measures): At the paper's threshold."""
    flagged = probabilities > THRESHOLD
    hits = int((flagged & truths).sum())
    n_flagged, n_unsafe, n_safe = flagged.sum(), truths.sum(), (~truths).sum()
    f1 = 2 * hits / int(n_flagged + n_unsafe) if n_unsafe else None
    return Measures(
        f1=f1,
        precision=hits / int(n_flagged) if n_flagged else None,
        recall=hits / int(n_unsafe) if n_unsafe else None,
        fpr=int((flagged & ~truths).sum()) / int(n_safe) if n_safe else None,
        auprc=_average_precision(truths, probabilities),
        ms=ms,
    )


def _average_precision(truths: np.ndarray, probabilities: np.ndarray) -> float | None:
    if truths.all() or not truths.any():
        return None  # it would be 1 or nothing, whatever the scores
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truths, probabilities))


def average(files: Iterable[Measures]) -> Measures:
    """files (Iterable[Measures]): One or more.
    RETURNS (Measures): The plain mean of each figure where it is defined, as in the
        paper; not weighted by the number of texts."""
    files = list(files)

    def mean(name: str) -> float | None:
        values = [getattr(own, name) for own in files]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    return Measures(
        f1=mean("f1"),
        precision=mean("precision"),
        recall=mean("recall"),
        fpr=mean("fpr"),
        auprc=mean("auprc"),
        ms=mean("ms") or 0.0,
    )
