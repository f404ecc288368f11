"""Chosen thresholds are compared with a search over every threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_duoguard.calibration.thresholds import (
    FlagCounts,
    Goal,
    best_point,
    calibrate,
    choose_threshold,
    midpoint_threshold,
    operating_points,
)
from spacy_duoguard.errors import SettingsError

# Few distinct values, so that ties within and between the classes are common.
SCORES = st.one_of(
    st.sampled_from([0.0, 0.25, 0.5, 0.5000001, 0.75, 1.0]),
    st.floats(0, 1, width=32),
)
TEXTS = st.lists(st.tuples(SCORES, st.booleans()), min_size=2, max_size=30)
RATES = st.sampled_from([0.0, 0.05, 0.1, 0.5, 0.9, 1.0])


def split(texts):
    scores, gold = zip(*texts, strict=True)
    return np.array(scores), np.array(gold, dtype=float)


def rates(scores, gold, threshold):
    """Recall, false positive rate and F1, counted directly."""
    flagged, positive = scores > threshold, gold == 1
    hits, false = (flagged & positive).sum(), (flagged & ~positive).sum()
    f = 2 * hits / (hits + false + positive.sum())
    return hits / positive.sum(), false / (~positive).sum(), f


def all_thresholds(scores):
    """One threshold for every operating point: each score, 0, and 1."""
    return sorted({0.0, 1.0, *scores.tolist()})


@given(TEXTS)
def test_operating_points_count_what_each_threshold_flags(texts):
    scores, gold = split(texts)
    points = operating_points(scores, gold > 0.5)
    for i, low in enumerate(points.low):
        for threshold in (low, midpoint_threshold(low, points.high[i])):
            flagged = scores > threshold
            assert points.true_positives[i] == (flagged & (gold == 1)).sum()
            assert points.false_positives[i] == (flagged & (gold == 0)).sum()
    assert (np.diff(points.true_positives) <= 0).all()
    assert set(all_thresholds(scores)) - {1.0} <= set(points.low)


@given(TEXTS, RATES)
def test_target_fpr_is_met_with_the_highest_recall(texts, target):
    scores, gold = split(texts)
    choice = choose_threshold("x", scores, gold, Goal(target_fpr=target), old=0.5)
    if gold.all() or not gold.any():
        assert choice.new == 0.5
        assert "no " in choice.kept
        return
    assert choice.kept is None
    recall, fpr, _ = rates(scores, gold, choice.new)
    assert fpr <= target
    for threshold in all_thresholds(scores):
        other_recall, other_fpr, _ = rates(scores, gold, threshold)
        if other_fpr <= target:
            assert (other_recall, -other_fpr) <= (recall, -fpr)


@given(TEXTS, RATES)
def test_target_recall_is_met_with_the_lowest_fpr(texts, target):
    scores, gold = split(texts)
    choice = choose_threshold("x", scores, gold, Goal(target_recall=target), old=0.5)
    if gold.all() or not gold.any():
        assert choice.new == 0.5
        return
    reachable = rates(scores, gold, 0.0)[0] >= target
    assert (choice.kept is None) == reachable
    if not reachable:  # no threshold flags a score of 0.0
        assert choice.new == 0.5
        return
    recall, fpr, _ = rates(scores, gold, choice.new)
    assert recall >= target
    for threshold in all_thresholds(scores):
        other_recall, other_fpr, _ = rates(scores, gold, threshold)
        if other_recall >= target:
            assert (-other_fpr, other_recall) <= (-fpr, recall)


@given(TEXTS)
def test_best_f_is_the_highest(texts):
    scores, gold = split(texts)
    choice = choose_threshold("x", scores, gold, Goal(best_f=True), old=0.5)
    if gold.all() or not gold.any():
        assert choice.new == 0.5
        return
    best = max(rates(scores, gold, t)[2] for t in all_thresholds(scores))
    if best == 0.0:
        assert choice.kept == "no threshold meets the target"
        assert choice.new == 0.5
    else:
        assert rates(scores, gold, choice.new)[2] == best


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True))
def test_a_threshold_lies_between_neighbouring_scores(neighbours):
    low, high = sorted(neighbours)
    assert low <= midpoint_threshold(low, high) < high


def test_a_threshold_is_the_midpoint_with_few_decimals():
    assert midpoint_threshold(0.2, 0.8) == 0.5
    assert midpoint_threshold(0.123456, 0.123466) == 0.12346
    assert midpoint_threshold(0.9, np.nextafter(1.0, 2.0)) == 0.95
    assert midpoint_threshold(1.0, np.nextafter(1.0, 2.0)) == 1.0
    one_up = np.nextafter(0.3, 1.0)
    assert midpoint_threshold(0.3, one_up) == 0.3


def test_ties_are_flagged_together_or_not_at_all():
    scores, gold = np.array([0.5, 0.5, 0.9]), np.array([1.0, 0.0, 1.0])
    strict = choose_threshold("x", scores, gold, Goal(target_fpr=0.0), old=0.5)
    assert 0.5 <= strict.new < 0.9
    caught = choose_threshold("x", scores, gold, Goal(target_recall=1.0), old=0.9)
    assert 0.0 <= caught.new < 0.5


def test_unlabelled_texts_are_ignored():
    scores, gold = np.array([0.1, 0.9, 0.95]), np.array([0.0, 1.0, np.nan])
    choice = choose_threshold("x", scores, gold, Goal(best_f=True), old=0.5)
    assert (choice.points.positives, choice.points.negatives) == (1, 1)
    unknown = choose_threshold("x", scores, gold * np.nan, Goal(best_f=True), old=0.3)
    assert (unknown.new, unknown.kept) == (0.3, "no labelled text")


def test_measures_computed_by_hand():
    points = operating_points(
        np.array([0.2, 0.6, 0.6, 0.8]), np.array([0, 1, 0, 1], bool)
    )
    assert points.low.tolist() == [0.0, 0.2, 0.6, 0.8]
    assert points.recall.tolist() == [1.0, 1.0, 0.5, 0.0]
    assert points.fpr.tolist() == [1.0, 0.5, 0.0, 0.0]
    assert points.precision.tolist() == [0.5, pytest.approx(2 / 3), 1.0, 1.0]
    assert points.f1.tolist() == pytest.approx([2 / 3, 0.8, 2 / 3, 0.0])
    assert best_point(points, Goal(best_f=True)) == 1
    assert best_point(points, Goal(target_fpr=0.4)) == 2
    assert best_point(points, Goal(target_recall=0.5)) == 2


NAN = float("nan")
SCORED = np.array([[0.9, 0.1], [0.6, 0.2], [0.3, 0.7], [0.2, 0.1]])
GOLD = np.array([[1, 0, 1], [0, 0, 0], [0, 0, NAN], [0, NAN, 0]])


def test_each_category_is_calibrated_by_its_labels():
    calibration = calibrate(
        ["a", "b"],
        SCORED,
        GOLD,
        Goal(target_fpr=0.0),
        threshold=0.5,
        thresholds={"b": 0.65, "c": 0.4},
    )
    assert calibration.threshold == 0.5
    assert calibration.thresholds == {"a": 0.75, "b": 0.65, "c": 0.4}
    assert [choice.kept for choice in calibration.choices] == [None, "no positive text"]
    before, after = calibration.unsafe_before, calibration.unsafe_after
    assert before == FlagCounts(
        true_positives=1, positives=1, false_positives=1, negatives=2
    )
    assert after == FlagCounts(
        true_positives=1, positives=1, false_positives=0, negatives=2
    )


def test_one_threshold_for_all_categories_by_unsafe():
    settings = {"threshold": 0.5, "thresholds": {"b": 0.65}, "unsafe": True}
    calibration = calibrate(["a", "b"], SCORED, GOLD, Goal(target_fpr=0.0), **settings)
    assert (calibration.threshold, calibration.thresholds) == (0.75, {})
    assert calibration.unsafe_after.false_positives == 0
    unknown = np.full_like(GOLD, NAN)
    kept = calibrate(["a", "b"], SCORED, unknown, Goal(best_f=True), **settings)
    assert (kept.threshold, kept.thresholds) == (0.5, {"b": 0.65})
    assert kept.choices[0].kept == "no labelled text"


@pytest.mark.parametrize(
    ("goal", "code"),
    [
        ({}, "E080"),
        ({"best_f": True, "target_fpr": 0.1}, "E080"),
        ({"target_recall": 0.9, "target_fpr": 0.1}, "E080"),
        ({"target_fpr": 1.5}, "E081"),
        ({"target_recall": -0.1}, "E081"),
        ({"target_fpr": NAN}, "E081"),
    ],
)
def test_invalid_goals_are_refused(goal, code):
    with pytest.raises(SettingsError, match=code):
        Goal(**goal)
