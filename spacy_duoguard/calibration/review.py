"""Choose the thresholds above which a text is reviewed: as few texts as possible, so
that together with the blocked ones they hold a share of the unsafe texts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..engine.decisions import ACTIONS, ALLOW, REVIEW, Policy
from ..engine.flags import resolve_review_thresholds, resolve_thresholds
from ..errors import Errors, SettingsError
from ..taxonomy import UNSAFE
from .thresholds import Calibration, Goal, ThresholdChoice, choose_threshold

# Shares of unsafe texts that may be missed, for the table of what that costs.
MISSED: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class LabelledScores:
    """The texts to choose thresholds on."""

    labels: Sequence[str]
    scores: np.ndarray  # (n_texts, n_labels), in [0, 1]
    # (n_texts, n_labels + 1), with `unsafe` last: 1 or 0, NaN where unknown
    gold: np.ndarray
    statuses: Sequence[str]  # "ok", "empty" or "truncated"


@dataclass(frozen=True)
class Review:
    """The review thresholds for a component."""

    threshold: float | None
    thresholds: dict[str, float]
    choices: tuple[ThresholdChoice, ...] = ()  # none if they were only kept


@dataclass(frozen=True)
class Actions:
    """How many texts get each action."""

    unsafe: Counter[str]
    safe: Counter[str]
    every: Counter[str]  # those of unknown gold too


def check_recall(recall: float | None) -> None:
    """recall (Optional[float]): The share of unsafe texts to review or block.
    RAISES (SettingsError): It isn't in [0, 1]."""
    if recall is not None and not 0.0 <= recall <= 1.0:  # false for NaN as well
        raise SettingsError(Errors.E081.format(name="review-recall", value=recall))


def keep_review(
    labels: Sequence[str],
    calibration: Calibration,
    *,
    threshold: float | None,
    thresholds: Mapping[str, float],
) -> Review:
    """Keep the review thresholds of a component, but lower those that would be above
    the new thresholds.

    labels (Sequence[str]): The categories.
    calibration (Calibration): The new thresholds.
    threshold (Optional[float]): The review threshold of categories that `thresholds`
        doesn't name.
    thresholds (Mapping[str, float]): Those of single categories.
    RETURNS (Review): The review thresholds.
    """
    wanted = resolve_review_thresholds(labels, threshold, thresholds)
    return _lower(calibration, threshold, {**thresholds, **_without_none(wanted)})


def choose_review(
    texts: LabelledScores,
    recall: float,
    calibration: Calibration,
    *,
    threshold: float | None,
    thresholds: Mapping[str, float],
) -> Review:
    """Choose one review threshold per category, or one for all, as `calibration` did.
    A category that lacks texts to choose by keeps the one it has.

    texts (LabelledScores): The texts.
    recall (float): The share of unsafe texts to review or block.
    calibration (Calibration): The thresholds above which texts are blocked.
    threshold (Optional[float]), thresholds (Mapping[str, float]): As for `keep_review`.
    RETURNS (Review): The review thresholds, none above its threshold.
    """
    goal, gold = Goal(target_recall=recall), texts.gold
    old = resolve_review_thresholds(texts.labels, threshold, thresholds)
    if [choice.label for choice in calibration.choices] == [UNSAFE]:
        highest = texts.scores.max(axis=1)
        kept = calibration.threshold if threshold is None else threshold
        choice = choose_threshold(UNSAFE, highest, gold[:, -1], goal, old=kept)
        choices = [choice]
        if choice.kept is None:
            threshold, old = choice.new, dict.fromkeys(texts.labels, choice.new)
    else:
        blocked = _resolve(texts.labels, calibration)
        choices = [
            choose_threshold(
                label,
                texts.scores[:, i],
                gold[:, i],
                goal,
                old=blocked[label] if (last := old[label]) is None else last,
            )
            for i, label in enumerate(texts.labels)
        ]
        old |= {choice.label: choice.new for choice in choices if not choice.kept}
    review = _lower(calibration, threshold, _without_none(old))
    limits = resolve_review_thresholds(
        texts.labels, review.threshold, review.thresholds
    )
    limits[UNSAFE] = review.threshold
    return replace(review, choices=tuple(_adopt(c, limits[c.label]) for c in choices))


def _adopt(choice: ThresholdChoice, value: float | None) -> ThresholdChoice:
    """A choice with the threshold that it led to."""
    return choice if value is None else replace(choice, new=value)


def _resolve(labels: Sequence[str], calibration: Calibration) -> dict[str, float]:
    return resolve_thresholds(labels, calibration.threshold, calibration.thresholds)


def _without_none(values: Mapping[str, float | None]) -> dict[str, float]:
    return {key: value for key, value in values.items() if value is not None}


def _lower(
    calibration: Calibration, threshold: float | None, thresholds: Mapping[str, float]
) -> Review:
    """Lower review thresholds to the thresholds, and name only those that differ from
    the default."""
    if threshold is not None:
        threshold = min(threshold, calibration.threshold)
    lowered = {
        label: min(value, calibration.thresholds.get(label, calibration.threshold))
        for label, value in thresholds.items()
    }
    differing = {label: v for label, v in lowered.items() if v != threshold}
    return Review(threshold, differing)


def to_policy(
    labels: Sequence[str], calibration: Calibration, review: Review
) -> Policy:
    """labels (Sequence[str]): The categories.
    calibration (Calibration), review (Review): The chosen thresholds.
    RETURNS (Policy): All of them by category."""
    return Policy.of(
        labels,
        calibration.threshold,
        calibration.thresholds,
        review.threshold,
        review.thresholds,
    )


def count_actions(texts: LabelledScores, policy: Policy) -> Actions:
    """texts (LabelledScores): The texts.
    policy (Policy): What decides.
    RETURNS (Actions): How many get each action."""
    counts = Actions(*(Counter(dict.fromkeys(ACTIONS, 0)) for _ in range(3)))
    rows = zip(texts.statuses, texts.scores.tolist(), texts.gold[:, -1], strict=True)
    for status, row, unsafe in rows:
        action = policy.decide(status, row).action
        counts.every[action] += 1
        if unsafe == 1:
            counts.unsafe[action] += 1
        elif unsafe == 0:
            counts.safe[action] += 1
    return counts


@dataclass(frozen=True)
class Cost:
    """What it costs to miss no more than a share of the unsafe texts."""

    allowed: float  # the share that may be missed, by category
    reviewed: float  # the share of all texts to review
    missed: float | None  # the share of unsafe texts that are allowed, if any are known


def list_costs(texts: LabelledScores, calibration: Calibration) -> list[Cost]:
    """texts (LabelledScores): The texts, at least one.
    calibration (Calibration): The thresholds above which texts are blocked.
    RETURNS (List[Cost]): For each of `MISSED`, with the review thresholds chosen for
        it. Shares that cost the same are left out, but the first."""
    costs: list[Cost] = []
    for allowed in MISSED:
        recall = round(1.0 - allowed, 6)
        review = choose_review(
            texts, recall, calibration, threshold=None, thresholds={}
        )
        if any(
            choice.kept == "no threshold meets the target" for choice in review.choices
        ):
            continue  # a text has a probability of 0
        counts = count_actions(texts, to_policy(texts.labels, calibration, review))
        n_unsafe = sum(counts.unsafe.values())
        missed = counts.unsafe[ALLOW] / n_unsafe if n_unsafe else None
        costs.append(Cost(allowed, counts.every[REVIEW] / len(texts.scores), missed))
    return costs
