"""Thresholds, and when they flag a category.

A category is flagged if its probability is strictly greater than its threshold. While a
text is read token by token, the score of half a sentence can misfire ("How to kill",
before "a python process"): there, a category must be above its threshold for several
tokens in a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import Errors, SettingsError
from ..taxonomy import CATEGORIES, UNSAFE


def check_thresholds(
    threshold: float,
    thresholds: Mapping[str, float],
    labels: Sequence[str] | None,
    *,
    review_threshold: float | None = None,
    review_thresholds: Mapping[str, float] | None = None,
) -> None:
    """Check the thresholds of a user.

    threshold (float): For the categories that `thresholds` doesn't name.
    thresholds (Mapping[str, float]): For single categories.
    labels (Optional[Sequence[str]]): The categories; None if they aren't known yet.
    review_threshold (Optional[float]): For the categories that `review_thresholds`
        doesn't name; None if there is no such threshold.
    review_thresholds (Optional[Mapping[str, float]]): For single categories.
    RAISES (SettingsError): A value isn't in [0, 1], a key isn't a category, or a review
        threshold is above the threshold of its category.
    """
    reviews = review_thresholds or {}
    _check_values("threshold", threshold, thresholds, labels)
    _check_values("review_threshold", review_threshold, reviews, labels)
    # Whoever is not named has the defaults, also the categories that are added later.
    for key in (None, *thresholds, *reviews):
        review, limit = review_threshold, threshold
        if key is not None:
            review, limit = reviews.get(key, review), thresholds.get(key, limit)
        if review is not None and review > limit:
            message = Errors.E250.format(
                review=_name_of("review_threshold", key, reviews),
                value=review,
                threshold=_name_of("threshold", key, thresholds),
                limit=limit,
            )
            raise SettingsError(message)


def _check_values(
    name: str,
    default: float | None,
    values: Mapping[str, float],
    labels: Sequence[str] | None,
) -> None:
    checked: dict[str, Any] = {name: default}
    if name == "review_threshold" and default is None:
        checked = {}
    for key, value in values.items():
        if key == UNSAFE or (labels is not None and key not in labels):
            names = ", ".join(labels or CATEGORIES)
            message = Errors.E002.format(name=f"{name}s", key=key, categories=names)
            raise SettingsError(message)
        checked[f"{name}s['{key}']"] = value
    for setting, value in checked.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not 0.0 <= value <= 1.0:  # false for NaN as well
            raise SettingsError(Errors.E001.format(name=setting, value=value))


def _name_of(name: str, key: str | None, values: Mapping[str, float]) -> str:
    """The setting that a category's threshold comes from."""
    return f"{name}s['{key}']" if key in values else name


def resolve_thresholds(
    labels: Sequence[str], threshold: float, thresholds: Mapping[str, float]
) -> dict[str, float]:
    """The threshold of each category.

    labels (Sequence[str]): The categories, in order.
    threshold (float): For categories that `thresholds` doesn't name.
    thresholds (Mapping[str, float]): For single categories.
    RETURNS (Dict[str, float]): One threshold per category, in the order of `labels`.
    """
    return {label: thresholds.get(label, threshold) for label in labels}


def resolve_review_thresholds(
    labels: Sequence[str],
    review_threshold: float | None,
    review_thresholds: Mapping[str, float],
) -> dict[str, float | None]:
    """labels, review_threshold, review_thresholds: As in `check_thresholds`.
    RETURNS (Dict[str, Optional[float]]): One threshold per category, in the order of
        `labels`; None for those that have none."""
    return {label: review_thresholds.get(label, review_threshold) for label in labels}


def exceeds(probabilities: ArrayLike, thresholds: ArrayLike) -> np.ndarray:
    """Which probabilities are flagged: those strictly greater than their threshold, as
    on the model card.

    probabilities (ArrayLike): One per category, or rows of them.
    thresholds (ArrayLike): One per category.
    RETURNS (ndarray): (n_labels,) bool, or rows of them.
    """
    # Not in float32, where the threshold 0.3 would be rounded up.
    return np.asarray(probabilities, np.float64) > np.asarray(thresholds, np.float64)


def flagged(
    probabilities: Sequence[float],
    thresholds: Mapping[str, float],
    *,
    failed: bool = False,
) -> dict[str, float]:
    """The categories that are flagged.

    probabilities (Sequence[float]): One per category.
    thresholds (Mapping[str, float]): For each category, in the same order.
    failed (bool): Scoring failed: every category is flagged, even at a threshold of
        1.0, which no probability exceeds.
    RETURNS (Dict[str, float]): The probabilities of the flagged categories, in order.
    """
    if failed:  # whatever the thresholds are
        return dict(zip(thresholds, probabilities, strict=True))
    flags = exceeds(probabilities, list(thresholds.values()))
    rows = zip(thresholds, probabilities, flags, strict=True)
    return {label: value for label, value, flag in rows if flag}


@dataclass(frozen=True)
class Flag:
    """A flagged category of a text that is read token by token."""

    category: str
    offset: int  # how many characters were read when the flag held
    probability: float  # of the text up to there


class FlagTracker:
    """Follows the prefix scores of a text that is read token by token."""

    def __init__(self, thresholds: Mapping[str, float], patience: int) -> None:
        """thresholds (Mapping[str, float]): For each category, in order.
        patience (int): Number of consecutive tokens for which a category must be above
            its threshold.
        """
        self.labels = list(thresholds)
        self.thresholds = np.array(list(thresholds.values()), dtype=np.float64)
        self.patience = patience
        self.held = np.zeros(len(self.labels), dtype=bool)
        self.flags: list[Flag] = []  # all so far
        self._n_above = np.zeros(len(self.labels), dtype=np.int64)
        self._last: tuple[int, np.ndarray] | None = None

    def read(self, ends: Sequence[int], probabilities: np.ndarray) -> list[Flag]:
        """Read the next tokens.

        ends (Sequence[int]): (n_tokens,), the character offset at which each token
            ends.
        probabilities (ndarray): (n_tokens, n_labels), the prefix score at each.
        RETURNS (List[Flag]): The new flags.
        """
        flags: list[Flag] = []
        for end, row in zip(ends, probabilities, strict=True):
            above = exceeds(row, self.thresholds)
            self._n_above = np.where(above, self._n_above + 1, 0)
            flags += self._raise_flags(self._n_above >= self.patience, int(end), row)
            self._last = int(end), row
        return flags

    def close(self) -> list[Flag]:
        """End the text. Categories above their threshold now are flagged without
        patience: no later token can change that.

        RETURNS (List[Flag]): The new flags.
        """
        if self._last is None:
            return []
        return self._raise_flags(self._n_above > 0, *self._last)

    def _raise_flags(self, now: np.ndarray, end: int, row: np.ndarray) -> list[Flag]:
        new = np.flatnonzero(now & ~self.held)
        self.held[new] = True
        flags = [Flag(self.labels[i], end, float(row[i])) for i in new]
        self.flags += flags
        return flags


def first_flag(
    ends: Sequence[int],
    probabilities: np.ndarray,
    thresholds: Mapping[str, float],
    patience: int,
) -> int | None:
    """Find out where a complete text is first flagged.

    ends (Sequence[int]), probabilities (ndarray): As in `FlagTracker.read`.
    thresholds (Mapping[str, float]), patience (int): As in `FlagTracker`.
    RETURNS (Optional[int]): A character offset; None if nothing is flagged.
    """
    tracker = FlagTracker(thresholds, patience)
    flags = tracker.read(ends, probabilities) + tracker.close()
    return min((flag.offset for flag in flags), default=None)
