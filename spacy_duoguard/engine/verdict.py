"""What a result is: scored, or not scored. All that shows or stores results asks here.

A result is scored if every category has a probability in [0, 1], `unsafe` is the
highest of them, and its status, flags and action agree with that. A result with the
status "error", and one that contradicts itself in any way, is not scored: every
category is flagged and has the probability 1.0, and the action is "block".
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..taxonomy import CATEGORIES, UNSAFE
from .decisions import ALLOWED, BLOCKED, Decision, decide
from .text.lossless import needs_token

ERROR = "error"
STATUSES: tuple[str, ...] = ("ok", "truncated", "empty", ERROR)

FAILED = "scoring failed"  # the problem of a result that says so itself

# The probability of every category of what was not scored.
HIGHEST = 1.0

_ALL_KEYS = {*CATEGORIES, UNSAFE}

# `unsafe` is the maximum of the categories; float32 is exact to seven digits.
_TOLERANCE = 1e-6


class ContradictionError(ValueError):
    """Why a result counts as not scored. The message never quotes a value."""


@dataclass(frozen=True)
class Verdict:
    """What a result is."""

    status: str  # one of STATUSES
    cats: dict[str, float]  # the probability of each category, then of `unsafe`
    flags: list[str]
    problem: str | None = None  # why it is not scored
    decision: Decision = BLOCKED

    @property
    def is_scored(self) -> bool:
        """Whether the probabilities are those of the text."""
        return self.problem is None

    @property
    def labels(self) -> list[str]:
        """The categories."""
        return [key for key in self.cats if key != UNSAFE]


class Limits(NamedTuple):
    """The thresholds that decided the flags and the action, one of each category."""

    thresholds: Any  # sequence of numbers
    review_thresholds: Any  # likewise; None where there is none


def not_scored(labels: Sequence[str], problem: str) -> Verdict:
    """labels (Sequence[str]): The categories.
    problem (str): Why it was not scored, without the text.
    RETURNS (Verdict): The highest probabilities, and every flag."""
    cats = dict.fromkeys((*labels, UNSAFE), HIGHEST)
    return Verdict(ERROR, cats, list(labels), problem)


def judge(
    status: Any,
    cats: Any,
    flags: Any,
    *,
    text: str | None = None,
    windows: Sequence[Sequence[float]] | None = None,
    limits: Limits | None = None,
    action: Any = None,
) -> Verdict:
    """Decide what a result is. Nothing in it can make this raise.

    status (Any): What it says about itself.
    cats (Any): The probability of each category, and of `unsafe`.
    flags (Any): The flagged categories.
    text (Optional[str]): The text, if known.
    windows (Optional[Sequence[Sequence[float]]]): The probabilities of each window, of
        which those of the text are the maximum, if known.
    limits (Optional[Limits]): What decided the flags and the action, if known. Files
        don't have it: their probabilities are rounded after that.
    action (Any): With `limits`, what was decided.
    RETURNS (Verdict): What it is.
    """
    try:
        if status == ERROR:
            raise ContradictionError(FAILED)
        if status not in STATUSES:
            raise ContradictionError("the record has an unknown status")
        scores = check_cats(cats)
        if not scores.keys() >= _ALL_KEYS:
            raise ContradictionError("the record does not have all scores")
        unsafe = scores.pop(UNSAFE)
        values = list(scores.values())
        if abs(unsafe - max(values)) > _TOLERANCE:
            raise ContradictionError("'unsafe' is not the maximum of the categories")
        checked = check_flags(flags, scores, limits and limits.thresholds)
        _check_emptiness(status, values, checked, text)
        if windows is not None:
            _check_windows(status, values, windows)
        decision = BLOCKED if checked else ALLOWED
        if limits is not None:
            decision = _decide_again(status, scores, limits, action)
    except Exception as e:
        known = isinstance(e, ContradictionError)
        problem = str(e) if known else "the record can't be read"
        return not_scored(all_labels(cats), problem)
    return Verdict(status, {**scores, UNSAFE: unsafe}, checked, decision=decision)


def are_scored(
    labels: Sequence[str],
    thresholds: Sequence[float],
    probabilities: np.ndarray,
    windows: np.ndarray,
    counts: Sequence[int],
) -> np.ndarray:
    """Judge many results at once. The status of each is "ok" or "truncated", its text
    isn't empty, and its flags are the categories above the thresholds.

    labels (Sequence[str]): The categories.
    thresholds (Sequence[float]): The threshold of each category.
    probabilities (ndarray): (n, n_labels), those of each result.
    windows (ndarray): (n_windows, n_labels), those of all windows, result by result.
    counts (Sequence[int]): The number of windows of each result, at least 1.
    RETURNS (ndarray): (n,) bool. Where it's true, `judge` finds no problem. Where it
        isn't, ask `judge`.
    """
    names = {*labels, UNSAFE}
    is_named = names >= _ALL_KEYS and set(map(type, names)) == {str}
    # As many, so that no category is there twice and none is called `unsafe`.
    if not (is_named and len(names) == len(labels) + 1 and are_scores(thresholds)):
        return np.zeros(len(probabilities), dtype=bool)
    highest = np.maximum.reduceat(windows, np.cumsum([0, *counts])[:-1])
    in_range = (probabilities >= 0.0) & (probabilities <= 1.0)  # false for NaN as well
    return np.asarray((in_range & (highest == probabilities)).all(axis=1))


def to_cats(labels: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    """labels (Sequence[str]): The categories.
    probabilities (Sequence[float]): One per category, in the same order.
    RETURNS (Dict[str, float]): Both, and `unsafe`, their maximum."""
    cats = dict(zip(labels, probabilities, strict=True))
    cats[UNSAFE] = max(probabilities)
    return cats


def is_score(value: Any) -> bool:
    """value (Any): Any value.
    RETURNS (bool): Whether it is a probability."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0.0 <= value <= 1.0  # false for NaN as well


def are_scores(values: Collection[Any]) -> bool:
    """values (Collection[Any]): Any values.
    RETURNS (bool): Whether all are probabilities."""
    if set(map(type, values)) == {float}:  # several times faster than one by one
        return min(values) >= 0.0 and max(values) <= 1.0 and math.isfinite(sum(values))
    return all(map(is_score, values))


def check_cats(cats: Any) -> dict[str, float]:
    """cats (Any): The scores of a text or a span.
    RETURNS (Dict[str, float]): The same.
    RAISES (ContradictionError): They aren't probabilities by name."""
    if not isinstance(cats, Mapping) or not set(map(type, cats)) <= {str}:
        raise ContradictionError("the record, or a sentence, has no scores")
    if not are_scores(cats.values()):
        raise ContradictionError("a score is not a number in [0, 1]")
    return dict(zip(cats, map(float, cats.values()), strict=True))


def check_flags(
    flags: Any,
    scores: Mapping[str, float],
    thresholds: Sequence[float] | None = None,
) -> list[str]:
    """flags (Any): The flagged categories of a text or a span.
    scores (Mapping[str, float]): The probability of each category.
    thresholds (Optional[Sequence[float]]): What decided the flags, if known.
    RETURNS (List[str]): The flags.
    RAISES (ContradictionError): They contradict the scores."""
    is_list = isinstance(flags, (list, tuple))  # `DocBin` returns tuples
    if not is_list or not all(type(flag) is str and flag in scores for flag in flags):
        raise ContradictionError("the flags are not a list of its categories")
    if len(set(flags)) < len(flags) or not all(scores[flag] > 0.0 for flag in flags):
        raise ContradictionError("a flag is there twice, or its score is 0")
    if thresholds is not None:
        if not are_scores(thresholds):
            raise ContradictionError("a threshold is not a number in [0, 1]")
        pairs = zip(scores.items(), thresholds, strict=True)
        if list(flags) != [label for (label, value), t in pairs if value > t]:
            raise ContradictionError("the flags are not those above the thresholds")
    return list(flags)


def _decide_again(
    status: str, scores: Mapping[str, float], limits: Limits, action: Any
) -> Decision:
    """RAISES (ContradictionError): The action doesn't follow from the scores."""
    thresholds, review = limits
    is_row = isinstance(review, (list, tuple)) and len(review) == len(thresholds)
    if not is_row or not are_scores([r for r in review if r is not None]):
        raise ContradictionError("a review threshold is not a number in [0, 1]")
    pairs = zip(review, thresholds, strict=True)
    if any(r is not None and r > threshold for r, threshold in pairs):
        raise ContradictionError("a review threshold is above its threshold")
    decision = decide(status, list(scores), list(scores.values()), thresholds, review)
    if action != decision.action:
        raise ContradictionError("the action does not follow from the scores")
    return decision


def _check_emptiness(
    status: str, values: Sequence[float], flags: Sequence[str], text: str | None
) -> None:
    """A text is empty if, and only if, there was nothing in it to score."""
    if status != "empty":
        if text == "":
            raise ContradictionError("the record has scores, but its text is empty")
        return
    if text is not None and any(map(needs_token, text)):
        raise ContradictionError("the status is 'empty', but there is a text")
    if any(values) or flags:
        raise ContradictionError("the status is 'empty', but there are scores")


def _check_windows(
    status: str, values: Sequence[float], windows: Sequence[Sequence[float]]
) -> None:
    highest = [0.0] * len(values)
    if windows:
        only_one = len(windows) == 1
        highest = list(windows[0] if only_one else map(max, zip(*windows, strict=True)))
    if highest != values:
        raise ContradictionError("the scores are not the maximum over the windows")
    if (status == "ok" and not windows) or (status == "empty" and windows):
        raise ContradictionError("the status contradicts the windows")


def all_labels(names: Any) -> list[str]:
    """names (Any): The categories that a result names, if they can be read.
    RETURNS (List[str]): DuoGuard's categories, then those."""
    known = names if isinstance(names, (Mapping, list, tuple)) else ()
    strings = [name for name in known if isinstance(name, str) and name != UNSAFE]
    return list(dict.fromkeys((*CATEGORIES, *strings)))
