"""Review thresholds, compared with a search over every threshold, and what a
calibration says about other texts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_duoguard.calibration.intervals import expected_range
from spacy_duoguard.calibration.review import (
    MISSED,
    LabelledScores,
    check_recall,
    choose_review,
    count_actions,
    keep_review,
    list_costs,
    to_policy,
)
from spacy_duoguard.calibration.review_report import format_review
from spacy_duoguard.calibration.thresholds import Goal, calibrate
from spacy_duoguard.engine.flags import check_thresholds
from spacy_duoguard.errors import SettingsError

LABELS = ("a", "b", "c")
VALUES = st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(
    0.0078125, 1, width=32
)
GOLD = st.sampled_from([0.0, 1.0, math.nan])
RATES = st.sampled_from([0.0, 0.05, 0.3, 0.8, 0.95, 1.0])


@st.composite
def labelled(draw, *, size=25):
    n = draw(st.integers(4, size))
    row = st.tuples(*[VALUES] * 3, *[GOLD] * 4, st.sampled_from(["ok", "truncated"]))
    rows = draw(st.lists(row, min_size=n, max_size=n))
    table = np.array([r[:7] for r in rows])
    return LabelledScores(LABELS, table[:, :3], table[:, 3:], [r[7] for r in rows])


def calibrated(texts, goal, *, unsafe, **old):
    old = {"threshold": 0.5, "thresholds": {}} | old
    return calibrate(LABELS, texts.scores, texts.gold, goal, unsafe=unsafe, **old)


@given(labelled(), RATES, RATES, st.booleans())
@settings(deadline=None)
def test_the_targets_hold_on_the_texts_with_the_fewest_reviews(
    texts, fpr, recall, unsafe
):
    made = calibrated(texts, Goal(target_fpr=fpr), unsafe=unsafe)
    review = choose_review(texts, recall, made, threshold=None, thresholds={})
    policy = to_policy(LABELS, made, review)
    for choice in review.choices:
        if choice.kept is not None:
            continue
        i = LABELS.index(choice.label) if choice.label in LABELS else -1
        scores = texts.scores[:, i] if i >= 0 else texts.scores.max(axis=1)
        limits = policy.thresholds, policy.review_thresholds
        label = choice.label if i >= 0 else "a"
        block, seen = (of[label] for of in limits)
        assert seen <= block
        positive = texts.gold[:, i] == 1
        assert (scores > seen)[positive].mean() >= recall
        # Any higher threshold misses the target, or reviews as many safe texts.
        negative = texts.gold[:, i] == 0
        for higher in {*scores.tolist(), 1.0}:
            if seen < higher <= block and (scores > higher)[positive].mean() >= recall:
                fewer = (scores > higher)[negative].sum()
                assert fewer == (scores > seen)[negative].sum()
    check_thresholds(
        made.threshold,
        made.thresholds,
        LABELS,
        review_threshold=review.threshold,
        review_thresholds=review.thresholds,
    )


@given(
    labelled(),
    RATES,
    st.none() | st.floats(0, 0.5),
    st.dictionaries(st.sampled_from(LABELS), st.floats(0, 0.5)),
    st.booleans(),
)
@settings(deadline=None)
def test_kept_review_thresholds_are_lowered_to_new_thresholds(
    texts, fpr, threshold, thresholds, unsafe
):
    made = calibrated(texts, Goal(target_fpr=fpr), unsafe=unsafe)
    review = keep_review(LABELS, made, threshold=threshold, thresholds=thresholds)
    policy = to_policy(LABELS, made, review)
    for label in LABELS:
        before = thresholds.get(label, threshold)
        after = policy.review_thresholds[label]
        if before is None:
            assert after is None
        else:
            assert after == min(before, policy.thresholds[label])
    assert review.choices == ()


def test_a_component_without_review_thresholds_keeps_none():
    texts = LabelledScores(LABELS, np.full((4, 3), 0.5), np.eye(4), ["ok"] * 4)
    made = calibrated(texts, Goal(best_f=True), unsafe=False)
    review = keep_review(LABELS, made, threshold=None, thresholds={})
    assert (review.threshold, review.thresholds) == (None, {})


@given(labelled(), st.booleans())
@settings(deadline=None, max_examples=40)
def test_the_costs_are_those_of_the_choices(texts, unsafe):
    made = calibrated(texts, Goal(target_fpr=0.0), unsafe=unsafe)
    costs = {cost.allowed: cost for cost in list_costs(texts, made)}
    assert set(costs) == set(MISSED)  # no score is 0.0, so any recall can be had
    reviewed = [costs[allowed].reviewed for allowed in MISSED]
    if unsafe:
        assert reviewed == sorted(reviewed, reverse=True)
    for allowed, cost in costs.items():
        recall = round(1 - allowed, 6)
        review = choose_review(texts, recall, made, threshold=None, thresholds={})
        counts = count_actions(texts, to_policy(LABELS, made, review))
        n = sum(counts.unsafe.values())
        assert sum(counts.every.values()) == len(texts.scores)
        assert cost.reviewed == counts.every["review"] / len(texts.scores)
        assert cost.missed == (counts.unsafe["allow"] / n if n else None)
        if unsafe and n and (texts.gold[:, -1] == 0).any():
            assert cost.missed <= allowed + 1e-9


def test_actions_are_counted_by_gold():
    scores = np.array([[0.9], [0.5], [0.1], [0.9], [0.1], [0.5]]).repeat(3, axis=1)
    gold = np.array([1, 1, 1, 0, 0, math.nan])[:, None].repeat(4, axis=1)
    statuses = ["ok", "ok", "ok", "ok", "truncated", "ok"]
    texts = LabelledScores(LABELS, scores, gold, statuses)
    made = calibrated(texts, Goal(target_fpr=1.0), unsafe=True, threshold=0.6)
    review = keep_review(LABELS, made, threshold=0.0, thresholds={})
    policy = to_policy(LABELS, made, review)
    policy.thresholds.update(dict.fromkeys(LABELS, 0.6))
    policy.review_thresholds.update(dict.fromkeys(LABELS, 0.3))
    counts = count_actions(texts, policy)
    assert counts.unsafe == {"block": 1, "review": 1, "allow": 1}
    assert counts.safe == {"block": 1, "review": 1, "allow": 0}  # one is truncated
    assert counts.every == {"block": 2, "review": 3, "allow": 1}


@pytest.mark.parametrize("recall", [-0.1, 1.1, math.nan])
def test_a_recall_is_a_share(recall):
    with pytest.raises(SettingsError, match=r"E081.*review-recall"):
        check_recall(recall)


@given(st.integers(1, 60), st.data())
@settings(deadline=None)
def test_the_expected_range_surrounds_the_count(total, data):
    count = data.draw(st.integers(0, total))
    low, high = expected_range(count, total)
    assert 0 <= low <= count <= high <= total
    assert (low, high) == tuple(
        total - n for n in expected_range(total - count, total)
    )[::-1]


def test_known_ranges():
    """With one text above the threshold or none, a beta-binomial is easy by hand."""
    # P(k of 1 above | 0 of 1 were) for a threshold at that score: 1/2 each.
    assert expected_range(0, 1) == (0, 1)
    # P(X > k) for B(1, n): prod over the others; at n = 19, P(X = 0) = 1/2.
    n = 19
    above = [
        math.comb(2 * n - k - 1, n - 1) / math.comb(2 * n, n) for k in range(n + 1)
    ]
    limit = next(k for k in range(n + 1) if sum(above[: k + 1]) >= 0.975)
    assert expected_range(0, n) == (0, limit)


@pytest.mark.parametrize(("n", "target"), [(60, 0.05), (60, 0.2), (200, 0.1)])
def test_other_texts_are_within_the_range_as_often_as_it_says(n, target):
    rng, inside, n_runs = np.random.default_rng(0), 0, 2000
    for _ in range(n_runs):
        safe, unsafe, others = rng.random((3, n))
        gold = np.repeat([0.0, 1.0], n)[:, None].repeat(2, axis=1)
        scores = np.concatenate([safe, np.sqrt(unsafe)])[:, None]
        made = calibrate(
            ("a",),
            scores,
            gold,
            Goal(target_fpr=target),
            threshold=0.5,
            thresholds={},
            unsafe=True,
        )
        count = int((safe > made.threshold).sum())
        assert count <= target * n
        low, high = expected_range(count, n)
        inside += low <= (others > made.threshold).sum() <= high
    # Not far above, either, or the range would say nothing.
    assert 0.94 <= inside / n_runs <= 0.995


def test_the_report_says_what_happens_to_texts():
    rng = np.random.default_rng(0)
    gold = np.repeat([0.0, 1.0], 100)[:, None].repeat(4, axis=1)
    scores = (rng.random((200, 3)) + gold[:, :3]) / 2
    texts = LabelledScores(LABELS, scores, gold, ["ok"] * 200)
    made = calibrated(texts, Goal(target_fpr=0.05), unsafe=True)
    review = choose_review(texts, 1.0, made, threshold=None, thresholds={})
    report = format_review(texts, made, review, 1.0)
    counts = count_actions(texts, to_policy(LABELS, made, review))
    for column in (counts.unsafe, counts.safe, counts.every):
        total = sum(column.values())
        for count in column.values():
            assert f"{count} of {total} ({count / total:.1%})" in report
    assert counts.unsafe["allow"] == 0
    blocked = counts.safe["block"]
    low, high = expected_range(blocked, 100)
    assert f"{blocked / 100:.3f} ({low / 100:.3f} to {high / 100:.3f})" in report
    assert "missed at most" in report
    assert counts.every["review"] == 0
    assert "No text is left to review" in report
    fewer = replace(made, threshold=0.8)
    review = choose_review(texts, 1.0, fewer, threshold=None, thresholds={})
    assert "is left to review" not in format_review(texts, fewer, review, 1.0)
    no_band = keep_review(LABELS, made, threshold=None, thresholds={})
    plain = format_review(texts, made, no_band, None)
    assert "missed at most" not in plain
    assert "all texts" not in plain
    assert "95% of the time" in plain
