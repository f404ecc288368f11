"""Choose thresholds. Every operating point of the labelled scores is a candidate.

A score is flagged if it is strictly greater than the threshold, so tied scores are
always flagged together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..engine.flags import resolve_thresholds
from ..errors import Errors, SettingsError
from ..taxonomy import UNSAFE


@dataclass(frozen=True)
class Goal:
    """What to optimise: set exactly one of the three.

    target_fpr: The highest recall with a false positive rate of at most this.
    target_recall: The lowest false positive rate with a recall of at least this.
    best_f: The highest F1.
    """

    target_fpr: float | None = None
    target_recall: float | None = None
    best_f: bool = False

    def __post_init__(self) -> None:
        """RAISES (SettingsError): Not exactly one of the three is set, or a target
        isn't in [0, 1]."""
        targets = {"target-fpr": self.target_fpr, "target-recall": self.target_recall}
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
        return "the best F1"


@dataclass(frozen=True)
class OperatingPoints:
    """Every distinct result that a threshold can have on scored texts, in ascending
    order of the threshold. All thresholds in [low, high) give the same point."""

    low: np.ndarray  # (n_points,) float64
    high: np.ndarray  # (n_points,) float64
    true_positives: np.ndarray  # (n_points,) int64
    false_positives: np.ndarray  # (n_points,) int64
    positives: int
    negatives: int

    @property
    def recall(self) -> np.ndarray:
        """(n_points,) float64; NaN without positives."""
        return _ratio(self.true_positives, self.positives)

    @property
    def fpr(self) -> np.ndarray:
        """(n_points,) float64; NaN without negatives."""
        return _ratio(self.false_positives, self.negatives)

    @property
    def flagged(self) -> np.ndarray:
        """(n_points,) int64."""
        return self.true_positives + self.false_positives

    @property
    def precision(self) -> np.ndarray:
        """(n_points,) float64; 1.0 where nothing is flagged."""
        ratio = self.true_positives / np.maximum(self.flagged, 1)
        return np.where(self.flagged == 0, 1.0, ratio)

    @property
    def f1(self) -> np.ndarray:
        """(n_points,) float64; NaN without positives."""
        return _ratio(2 * self.true_positives, self.flagged + self.positives)


def _ratio(counts: np.ndarray, totals: np.ndarray | int) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return counts / np.asarray(totals, dtype=np.float64)


def operating_points(scores: np.ndarray, gold: np.ndarray) -> OperatingPoints:
    """scores (ndarray): (n_texts,), in [0, 1].
    gold (ndarray): (n_texts,) bool.
    RETURNS (OperatingPoints): For thresholds in [0, 1]; none of them flags a 0.0."""
    scores = np.asarray(scores, dtype=np.float64)
    gold = np.asarray(gold, dtype=bool)
    # 0.0 is the lowest threshold even if no text has that score.
    low = np.union1d(scores, [0.0])
    high = np.append(low[1:], np.nextafter(1.0, 2.0))
    positives, negatives = np.sort(scores[gold]), np.sort(scores[~gold])
    return OperatingPoints(
        low=low,
        high=high,
        true_positives=len(positives) - np.searchsorted(positives, low, side="right"),
        false_positives=len(negatives) - np.searchsorted(negatives, low, side="right"),
        positives=len(positives),
        negatives=len(negatives),
    )


def best_point(points: OperatingPoints, goal: Goal) -> int | None:
    """Find the best operating point. Ties in recall are broken by the lower false
    positive rate; ties in false positive rate or F1, by the higher recall.

    points (OperatingPoints): With positives and negatives.
    goal (Goal): What to optimise.
    RETURNS (Optional[int]): Its index; None if no point meets the goal.
    """
    recall, fpr = points.recall, points.fpr
    if goal.target_fpr is not None:
        allowed, order = fpr <= goal.target_fpr, (fpr, -recall)
    elif goal.target_recall is not None:
        allowed, order = recall >= goal.target_recall, (-recall, fpr)
    else:
        allowed, order = points.f1 > 0, (-recall, -points.f1)
    candidates = np.flatnonzero(allowed)
    if not len(candidates):
        return None
    # lexsort sorts by its last key first.
    return int(candidates[np.lexsort([key[candidates] for key in order])[0]])


def midpoint_threshold(low: float, high: float) -> float:
    """Take the middle between two neighbouring scores, where similar texts are least
    likely to end up on the wrong side, rounded to as few decimals as possible.

    low (float): The lowest threshold of an operating point.
    high (float): Above all of its thresholds.
    RETURNS (float): A threshold in [low, high).
    """
    middle = (low + min(high, 1.0)) / 2
    for decimals in range(2, 17):
        rounded = round(middle, decimals)
        if low <= rounded < high:
            return rounded
    return low


@dataclass(frozen=True)
class ThresholdChoice:
    """The threshold of one category, or of `unsafe`."""

    label: str
    points: OperatingPoints
    old: float
    new: float
    kept: str | None = None  # why the old threshold was kept

    @property
    def new_point(self) -> int:
        """The index of the new threshold's operating point."""
        return int(np.searchsorted(self.points.low, self.new, side="right")) - 1


def choose_threshold(
    label: str, scores: np.ndarray, gold: np.ndarray, goal: Goal, *, old: float
) -> ThresholdChoice:
    """Choose the threshold of one category.

    label (str): The category.
    scores (ndarray): (n_texts,), in [0, 1].
    gold (ndarray): (n_texts,): 1 or 0, NaN where unknown.
    goal (Goal): What to optimise.
    old (float): The current threshold. It is kept if there are no positive or no
        negative texts, or if no threshold meets the goal.
    RETURNS (ThresholdChoice): The threshold and all operating points.
    """
    known = ~np.isnan(gold)
    points = operating_points(scores[known], gold[known] > 0.5)
    if not points.positives or not points.negatives:
        missing = "positive" if points.negatives else "negative"
        missing = missing if points.positives or points.negatives else "labelled"
        return ThresholdChoice(label, points, old, old, f"no {missing} text")
    best = best_point(points, goal)
    if best is None:
        reason = "no threshold meets the target"
        return ThresholdChoice(label, points, old, old, reason)
    new = midpoint_threshold(float(points.low[best]), float(points.high[best]))
    return ThresholdChoice(label, points, old, new)


@dataclass(frozen=True)
class FlagCounts:
    """How many texts are flagged for any category."""

    true_positives: int
    positives: int
    false_positives: int
    negatives: int


@dataclass(frozen=True)
class Calibration:
    """The thresholds for a component, and their effect on the labelled texts."""

    threshold: float
    thresholds: dict[str, float]
    choices: list[ThresholdChoice]  # one per category, or one for `unsafe`
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
    """Choose one threshold per category by its gold labels, or one for all categories
    by the gold labels of `unsafe`, as false positives add up over the categories.

    labels (Sequence[str]): The categories.
    scores (ndarray): (n_texts, n_labels), in [0, 1].
    gold (ndarray): (n_texts, n_labels + 1), with `unsafe` in the last column: 1 or 0,
        NaN where unknown.
    goal (Goal): What to optimise.
    threshold (float): The current threshold of categories that `thresholds` doesn't
        name.
    thresholds (Mapping[str, float]): The current thresholds of single categories.
    unsafe (bool): Whether to choose one threshold for all categories. This removes the
        thresholds of single categories.
    RETURNS (Calibration): The thresholds. If one was kept, its choice says why.
    """
    old = resolve_thresholds(labels, threshold, thresholds)
    if unsafe:
        highest = scores.max(axis=1)
        choice = choose_threshold(UNSAFE, highest, gold[:, -1], goal, old=threshold)
        choices = [choice]
        if choice.kept is None:
            threshold, thresholds = choice.new, {}
    else:
        choices = [
            choose_threshold(label, scores[:, i], gold[:, i], goal, old=old[label])
            for i, label in enumerate(labels)
        ]
        chosen = {choice.label: choice.new for choice in choices if not choice.kept}
        thresholds = {**thresholds, **chosen}
    new = resolve_thresholds(labels, threshold, thresholds)
    return Calibration(
        threshold,
        dict(thresholds),
        choices,
        _count_flags(scores, gold[:, -1], old),
        _count_flags(scores, gold[:, -1], new),
    )


def _count_flags(
    scores: np.ndarray, gold: np.ndarray, thresholds: Mapping[str, float]
) -> FlagCounts:
    flagged = (scores > np.array(list(thresholds.values()))).any(axis=1)
    positive, negative = gold == 1, gold == 0
    return FlagCounts(
        true_positives=int((flagged & positive).sum()),
        positives=int(positive.sum()),
        false_positives=int((flagged & negative).sum()),
        negatives=int(negative.sum()),
    )
