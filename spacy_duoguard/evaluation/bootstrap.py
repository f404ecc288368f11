"""Figures with bootstrap intervals. Rows are drawn with replacement, and all systems
are measured on the same draws, so that differences between them have intervals too."""

from dataclasses import dataclass

import numpy as np

DRAWS = 1000
LEVEL = 0.95
RATES: tuple[str, ...] = ("f1", "precision", "recall", "fpr", "auroc", "auprc")


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval. All are None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


def draw_weights(n_rows: int, *, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """n_rows (int): The number of rows.
    draws (int): How often to draw as many rows.
    seed (int): Seed of the draws.
    RETURNS (ndarray): (1 + draws, n_rows), how often each row counts. In the first row
        each counts once: the figures themselves."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_rows, np.full(n_rows, 1.0 / n_rows), size=draws)
    return np.concatenate([np.ones((1, n_rows)), drawn])


def weigh_rates(
    gold: np.ndarray, scores: np.ndarray, flags: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """gold (ndarray): Whether each row is unsafe, (n_rows,) bool.
    scores (ndarray): Their scores, (n_rows,).
    flags (ndarray): Whether they are flagged, (n_rows,) bool.
    weights (ndarray): From `draw_weights`.
    RETURNS (Dict[str, ndarray]): Each of `RATES` for each row of `weights`, NaN where
        it is undefined."""
    hits, false = weights @ (flags & gold), weights @ (flags & ~gold)
    unsafe, safe = weights @ gold, weights @ ~gold
    auroc, auprc = _areas(gold, scores, weights)
    return {
        "f1": _divide(2 * hits, np.where(unsafe > 0, hits + false + unsafe, 0.0)),
        "precision": _divide(hits, hits + false),
        "recall": _divide(hits, unsafe),
        "fpr": _divide(false, safe),
        "auroc": auroc,
        "auprc": auprc,
    }


def _areas(
    gold: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The areas under the ROC and the precision-recall curve. Rows with equal scores
    are one point of a curve."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    hits = np.add.reduceat((weights * gold)[:, order], starts, axis=1)
    false = np.add.reduceat((weights * ~gold)[:, order], starts, axis=1)
    all_hits, all_false = hits.cumsum(axis=1), false.cumsum(axis=1)
    unsafe, safe = all_hits[:, -1], all_false[:, -1]
    # Of the pairs of an unsafe and a safe row, those in order, and half of the ties.
    pairs = (false * (all_hits - 0.5 * hits)).sum(axis=1)
    precision = all_hits / np.maximum(all_hits + all_false, 1.0)
    steps = (hits * precision).sum(axis=1)
    both = (unsafe > 0) & (safe > 0)
    auprc = _divide(steps, np.where(both, unsafe, 0.0))
    return _divide(pairs, unsafe * safe), auprc


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def estimate(values: np.ndarray) -> Estimate:
    """values (ndarray): The figure, then those of the draws.
    RETURNS (Estimate): The figure with its percentile interval."""
    known = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or not known.size:
        return Estimate(None, None, None)
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    return Estimate(float(values[0]), float(low), float(high))
