"""What to do with a text: allow it, let a person review it, or block it.

This is the only place that decides. A category blocks above its threshold, which also
flags it, and asks for a review above its review threshold, if it has one. Whatever is
not scored is blocked.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .flags import Flag, exceeds, resolve_review_thresholds, resolve_thresholds

ALLOW, REVIEW, BLOCK = "allow", "review", "block"
ACTIONS: tuple[str, ...] = (ALLOW, REVIEW, BLOCK)  # the strictest one last


class Decision(NamedTuple):
    """What to do with a text, and what decided it."""

    action: str  # one of `ACTIONS`
    # The category that is furthest above its threshold, or closest to it if the text is
    # allowed. None if no probability decided: not scored, empty, or only truncated.
    category: str | None = None
    # Its probability minus the threshold: above 0 to block or review, else at most 0.
    margin: float | None = None

    @property
    def reason(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): The category and the margin."""
        return {"category": self.category, "margin": self.margin}


BLOCKED = Decision(BLOCK)  # of whatever is not scored
ALLOWED = Decision(ALLOW)  # of a text without tokens


@dataclass(frozen=True)
class Policy:
    """The thresholds that decide."""

    thresholds: dict[str, float]  # of each category, in order
    review_thresholds: dict[str, float | None]  # likewise; None: no review

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        threshold: float,
        thresholds: Mapping[str, float] | None = None,
        review_threshold: float | None = None,
        review_thresholds: Mapping[str, float] | None = None,
    ) -> "Policy":
        """labels (Sequence[str]): The categories, in order.
        threshold (float): For the categories that `thresholds` doesn't name.
        thresholds (Optional[Mapping[str, float]]): For single categories.
        review_threshold (Optional[float]): For the categories that `review_thresholds`
            doesn't name; None to review none of them.
        review_thresholds (Optional[Mapping[str, float]]): For single categories.
        RETURNS (Policy): The thresholds of each category."""
        return cls(
            resolve_thresholds(labels, threshold, thresholds or {}),
            resolve_review_thresholds(
                labels, review_threshold, review_thresholds or {}
            ),
        )

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (Tuple[str]): The categories."""
        return tuple(self.thresholds)

    @cached_property
    def values(self) -> tuple[float, ...]:
        """RETURNS (Tuple[float]): The threshold of each category."""
        return tuple(self.thresholds.values())

    @cached_property
    def review_values(self) -> tuple[float | None, ...]:
        """RETURNS (Tuple[Optional[float]]): The review threshold of each category."""
        return tuple(self.review_thresholds.values())

    @property
    def has_band(self) -> bool:
        """RETURNS (bool): Whether any category asks for a review."""
        return has_band(self.review_thresholds.values())

    def decide(self, status: str, probabilities: Sequence[float]) -> Decision:
        """status (str), probabilities (Sequence[float]): As in `decide`.
        RETURNS (Decision): What to do."""
        limits = self.values, self.review_values
        return decide(status, self.labels, probabilities, *limits)


def decide(
    status: str,
    labels: Sequence[str],
    probabilities: Sequence[float],
    thresholds: Sequence[float],
    review_thresholds: Sequence[float | None],
) -> Decision:
    """Decide what to do with a text. A higher probability never leads to a weaker
    action.

    status (str): "ok", "truncated", "empty" or "error".
    labels (Sequence[str]): The categories.
    probabilities (Sequence[float]): One per category, in the same order.
    thresholds (Sequence[float]): Likewise: above it, a category blocks.
    review_thresholds (Sequence[Optional[float]]): Likewise: above it, a category asks
        for a review. None if it never does.
    RETURNS (Decision): What to do. A truncated text is reviewed at least, if there is
        a review threshold: nobody has read all of it.
    """
    if status == "empty":
        return ALLOWED
    if status not in ("ok", "truncated"):
        return BLOCKED
    rows = zip(labels, probabilities, thresholds, review_thresholds, strict=True)
    above, near = Decision(BLOCK, None, 0.0), Decision(ALLOW)
    for label, value, threshold, review in rows:
        if value - threshold > above[2]:  # type: ignore[operator]
            above = Decision(BLOCK, label, value - threshold)
        margin = value - (threshold if review is None else review)
        if near.margin is None or margin > near.margin:
            action = REVIEW if review is not None and margin > 0.0 else ALLOW
            near = Decision(action, label, margin)
    if above.category is not None:
        return above
    if near.action == ALLOW and status == "truncated" and has_band(review_thresholds):
        return Decision(REVIEW)
    return near


def decide_actions(
    statuses: Sequence[str], probabilities: np.ndarray, policy: Policy
) -> list[str]:
    """Decide what to do with many texts at once.

    statuses (Sequence[str]): "ok" or "truncated", of each text. A text with any other
        status is blocked.
    probabilities (ndarray): (n_texts, n_labels), in the order of the thresholds.
    policy (Policy): The thresholds.
    RETURNS (List[str]): The action of each text, as `decide` returns it.
    """
    limits = list(policy.thresholds.values())
    reviews = [
        math.inf if review is None else review
        for review in policy.review_thresholds.values()
    ]
    blocked, reviewed = (
        np.any(exceeds(probabilities, rows), axis=1) for rows in (limits, reviews)
    )
    least = {"ok": 0, "truncated": 1 if policy.has_band else 0}
    rows = zip(statuses, blocked.tolist(), reviewed.tolist(), strict=True)
    return [
        ACTIONS[2 if is_blocked else max(is_reviewed, least.get(status, 2))]
        for status, is_blocked, is_reviewed in rows
    ]


def has_band(review_thresholds: Iterable[float | None]) -> bool:
    """review_thresholds (Iterable[Optional[float]]): Of each category.
    RETURNS (bool): Whether any of them asks for a review."""
    return any(review is not None for review in review_thresholds)


def decide_by_flags(
    flags: Iterable[Flag], reviews: Iterable[Flag], policy: Policy
) -> Decision:
    """Decide what to do with a text that is still arriving, by what has held for long
    enough. It never gets weaker.

    flags (Iterable[Flag]): All flags so far.
    reviews (Iterable[Flag]): All categories so far that were above their review
        thresholds.
    policy (Policy): The thresholds.
    RETURNS (Decision): With the greatest margin at the time of a flag. Without any,
        nothing has decided yet.
    """
    for action, held, limits in (
        (BLOCK, flags, policy.thresholds),
        (REVIEW, reviews, policy.review_thresholds),
    ):
        margins = [
            (flag.probability - limit, flag.category)
            for flag in held
            if (limit := limits[flag.category]) is not None
        ]
        if margins:
            margin, category = max(margins, key=lambda pair: pair[0])
            return Decision(action, category, margin)
    return ALLOWED
