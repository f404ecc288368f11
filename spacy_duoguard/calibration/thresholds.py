"""Which threshold to set: every cut between scores is counted, and the best is taken.

A score is flagged when it is strictly greater than the threshold, so tied scores are
flagged together or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import Errors, SettingsError
from ..taxonomy import UNSAFE


@dataclass(frozen=True)
class Goal:
    """What a threshold is chosen for: exactly one of the three.

    target_fpr: The highest recall among the cuts whose false positive rate is at most
        this.
    target_recall: The lowest false positive rate among the cuts whose recall is at
        least this.
    best_f: The highest F.
    """

    target_fpr: float | None = None
    target_recall: float | None = None
    best_f: bool = False

    def __post_init__(self) -> None:
        """RAISES (SettingsError): None or several of the three, or a target that is no
        rate."""
        targets = {
            "target-fpr": self.target_fpr,
            "target-recall": self.target_recall,
        }
        given = {name: value for name, value in targets.items() if value is not None}
        if len(given) + self.best_f != 1:
            raise SettingsError(Errors.E080)
        for name, value in given.items():
            if not 0.0 <= value <= 1.0:  # false for NaN as well
                raise SettingsError(Errors.E081.format(name=name, value=value))

    def __str__(self) -> str:
        if self.target_fpr is not None:
            return f"a false positive rate of at most {self.target_fpr:g}"
        if self.target_recall is not None:
            return f"a recall of at least {self.target_recall:g}"
        return "the best F"


@dataclass(frozen=True)
class Cuts:
    """All ways in which a threshold can divide scored texts, from the one that flags
    most to the one that flags none: one row for each."""

    low: np.ndarray  # (n_cuts,) float64, the lowest threshold that makes this cut
    high: np.ndarray  # (n_cuts,) float64, thresholds below it still make the same one
    hits: np.ndarray  # (n_cuts,) int64, positives that are flagged
    false: np.ndarray  # (n_cuts,) int64, negatives that are flagged
    positives: int
    negatives: int

    @property
    def recall(self) -> np.ndarray:
        """(n_cuts,) float64; NaN without positives."""
        return _ratio(self.hits, self.positives)

    @property
    def fpr(self) -> np.ndarray:
        """(n_cuts,) float64; NaN without negatives."""
        return _ratio(self.false, self.negatives)

    @property
    def precision(self) -> np.ndarray:
        """(n_cuts,) float64; 1.0 where nothing is flagged."""
        flagged = self.hits + self.false
        return np.where(flagged == 0, 1.0, self.hits / np.maximum(flagged, 1))

    @property
    def f(self) -> np.ndarray:
        """(n_cuts,) float64; NaN without positives."""
        return _ratio(2 * self.hits, self.hits + self.false + self.positives)


def _ratio(counts: np.ndarray, totals: np.ndarray | int) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return counts / np.asarray(totals, dtype=np.float64)


def count_cuts(scores: np.ndarray, gold: np.ndarray) -> Cuts:
    """scores (ndarray): (n_texts,), in [0, 1].
    gold (ndarray): (n_texts,) bool.
    RETURNS (Cuts): Of thresholds in [0, 1]. None of them flags a score of 0.0."""
    scores = np.asarray(scores, dtype=np.float64)
    gold = np.asarray(gold, dtype=bool)
    # 0.0 is the lowest threshold whether or not a text has that score.
    low = np.union1d(scores, [0.0])
    high = np.append(low[1:], np.nextafter(1.0, 2.0))
    of_positives, of_negatives = np.sort(scores[gold]), np.sort(scores[~gold])
    return Cuts(
        low=low,
        high=high,
        hits=len(of_positives) - np.searchsorted(of_positives, low, side="right"),
        false=len(of_negatives) - np.searchsorted(of_negatives, low, side="right"),
        positives=len(of_positives),
        negatives=len(of_negatives),
    )


def best_cut(cuts: Cuts, goal: Goal) -> int | None:
    """cuts (Cuts): Of both classes.
    goal (Goal): What to choose for.
    RETURNS (Optional[int]): The row of the best cut that meets the goal: of equal
        recalls the one with fewer false positives, of equal false positive rates or
        equal F the one with the higher recall. None where no cut meets it."""
    recall, fpr = cuts.recall, cuts.fpr
    if goal.target_fpr is not None:
        allowed, order = fpr <= goal.target_fpr, (fpr, -recall)
    elif goal.target_recall is not None:
        allowed, order = recall >= goal.target_recall, (-recall, fpr)
    else:
        allowed, order = cuts.f > 0, (-recall, -cuts.f)
    rows = np.flatnonzero(allowed)
    if not len(rows):
        return None
    # The last key of lexsort decides first.
    return int(rows[np.lexsort([key[rows] for key in order])[0]])


def place_threshold(low: float, high: float) -> float:
    """The middle between two neighbouring scores, where texts like those seen are least
    likely to fall on the wrong side, with as few decimals as tell them apart.

    low (float): The lowest threshold that will do.
    high (float): Above all that will do.
    RETURNS (float): A threshold in [low, high).
    """
    middle = (low + min(high, 1.0)) / 2
    for decimals in range(2, 17):
        rounded = round(middle, decimals)
        if low <= rounded < high:
            return rounded
    return low


@dataclass(frozen=True)
class Choice:
    """What was found out about one category, or about `unsafe`."""

    label: str
    cuts: Cuts
    old: float  # the threshold before
    new: float  # the threshold now
    kept: str | None = None  # why it is the old one

    def row(self, threshold: float) -> int:
        """RETURNS (int): Which of the cuts a threshold makes."""
        return int(np.searchsorted(self.cuts.low, threshold, side="right")) - 1


def choose_threshold(
    label: str, scores: np.ndarray, gold: np.ndarray, goal: Goal, *, old: float
) -> Choice:
    """Choose the threshold of one category.

    label (str): The category.
    scores (ndarray): (n_texts,), in [0, 1].
    gold (ndarray): (n_texts,): 1 and 0, NaN where it is not known.
    goal (Goal): What to choose for.
    old (float): The threshold so far. It is kept where texts of one class are missing,
        or no cut meets the goal.
    RETURNS (Choice): The threshold, and how all cuts do.
    """
    known = ~np.isnan(gold)
    cuts = count_cuts(scores[known], gold[known] > 0.5)
    if not cuts.positives or not cuts.negatives:
        missing = "positive" if cuts.negatives else "negative"
        missing = missing if cuts.positives or cuts.negatives else "labelled"
        return Choice(label, cuts, old, old, f"no {missing} text")
    row = best_cut(cuts, goal)
    if row is None:
        return Choice(label, cuts, old, old, "no threshold meets the target")
    new = place_threshold(float(cuts.low[row]), float(cuts.high[row]))
    return Choice(label, cuts, old, new)


@dataclass(frozen=True)
class FlagCounts:
    """How often texts are flagged, by any category."""

    hits: int
    positives: int
    false: int
    negatives: int


@dataclass(frozen=True)
class Calibration:
    """Thresholds for a component, and how they do on the texts they were chosen on."""

    threshold: float
    thresholds: dict[str, float]
    choices: list[Choice]  # of the categories, or of `unsafe` alone
    unsafe_before: FlagCounts
    unsafe_after: FlagCounts


def calibrate(
    labels: Sequence[str],
    scores: np.ndarray,
    gold: np.ndarray,
    goal: Goal,
    *,
    threshold: float,
    thresholds: Mapping[str, float],
    unsafe: bool = False,
) -> Calibration:
    """Choose thresholds: one for each category by its own gold labels; or, as flags of
    twelve categories add up, one for all by those of `unsafe`.

    labels (Sequence[str]): The categories.
    scores (ndarray): (n_texts, n_labels), in [0, 1].
    gold (ndarray): (n_texts, n_labels + 1), the last column is `unsafe`: 1 and 0, NaN
        where it is not known.
    goal (Goal): What to choose for.
    threshold (float): So far, of all categories that `thresholds` does not name.
    thresholds (Mapping[str, float]): So far, of single categories.
    unsafe (bool): One threshold for all categories.
    RETURNS (Calibration): Where a category keeps its threshold, the reason stands in
        its choice. With `unsafe`, thresholds of single categories are gone.
    """
    before = [thresholds.get(label, threshold) for label in labels]
    if unsafe:
        top = scores.max(axis=1)
        choices = [choose_threshold(UNSAFE, top, gold[:, -1], goal, old=threshold)]
        kept = choices[0].kept is not None
        limits = before if kept else [choices[0].new] * len(labels)
        threshold, thresholds = choices[0].new, dict(thresholds) if kept else {}
    else:
        choices = [
            choose_threshold(label, scores[:, i], gold[:, i], goal, old=before[i])
            for i, label in enumerate(labels)
        ]
        limits = [choice.new for choice in choices]
        changed = {choice.label: choice.new for choice in choices if not choice.kept}
        thresholds = {**thresholds, **changed}
    return Calibration(
        threshold,
        dict(thresholds),
        choices,
        _count_flags(scores, gold[:, -1], before),
        _count_flags(scores, gold[:, -1], limits),
    )


def _count_flags(
    scores: np.ndarray, gold: np.ndarray, limits: Sequence[float]
) -> FlagCounts:
    flagged = (scores > np.asarray(limits)).any(axis=1)
    positive, negative = gold == 1, gold == 0
    return FlagCounts(
        hits=int((flagged & positive).sum()),
        positives=int(positive.sum()),
        false=int((flagged & negative).sum()),
        negatives=int(negative.sum()),
    )
