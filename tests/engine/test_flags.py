"""Thresholds, and when a category that is above one is flagged."""

import numpy as np
import pytest

from spacy_duoguard.engine.flags import (
    Flag,
    FlagTracker,
    check_thresholds,
    exceeds,
    first_flag,
    flagged,
    resolve_review_thresholds,
    resolve_thresholds,
)
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

LIMITS = {"Hate": 0.5, "Privacy": 0.25}
NAN = float("nan")


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, 0.5])
def test_a_threshold_may_be_0_and_1(value):
    check_thresholds(value, {}, CATEGORIES)
    check_thresholds(0.5, {"Hate": value}, CATEGORIES)
    check_thresholds(value, {"Hate": value}, None)
    # A review threshold may equal its threshold.
    check_thresholds(value, {}, CATEGORIES, review_threshold=value)
    of_one = {"review_thresholds": {"Hate": value}}
    check_thresholds(0.5, {"Hate": value}, CATEGORIES, **of_one)
    check_thresholds(value, {}, None, **of_one)


@pytest.mark.parametrize("value", [NAN, -0.1, 1.1, -1, 2, True, False, "0.5", [0.5]])
def test_a_threshold_is_a_probability(value):
    with pytest.raises(SettingsError, match=r"E001\] threshold \("):
        check_thresholds(value, {}, CATEGORIES)
    with pytest.raises(SettingsError, match=r"E001.*thresholds\['Hate'\]"):
        check_thresholds(0.5, {"Privacy": 0.5, "Hate": value}, CATEGORIES)


def test_only_a_review_threshold_may_be_missing():
    check_thresholds(0.5, {}, CATEGORIES, review_threshold=None)
    with pytest.raises(SettingsError, match="E001"):
        check_thresholds(None, {}, CATEGORIES)
    for name in ("thresholds", "review_thresholds"):
        settings = {"thresholds": {}} | {name: {"Hate": None}}
        with pytest.raises(SettingsError, match=rf"E001.*{name}\['Hate'\]"):
            check_thresholds(0.5, labels=CATEGORIES, **settings)


def test_a_threshold_is_that_of_a_category():
    for labels in (CATEGORIES, None):
        with pytest.raises(SettingsError, match=r"E002.*thresholds.*'unsafe'"):
            check_thresholds(0.5, {UNSAFE: 0.5}, labels)
    with pytest.raises(SettingsError, match=r"E002.*thresholds.*'Spam'.*Hate"):
        check_thresholds(0.5, {"Spam": 0.5}, CATEGORIES)
    check_thresholds(0.5, {"Spam": 0.5}, [*CATEGORIES, "Spam"])
    check_thresholds(0.5, {"Spam": 0.5}, None)


def test_a_review_threshold_is_compared_with_the_threshold_of_its_category():
    check_thresholds(
        0.5, {"Hate": 0.9}, CATEGORIES, review_thresholds={"Hate": 0.8, "Privacy": 0.5}
    )
    with pytest.raises(SettingsError, match=r"E250.*review_thresholds\['Privacy'\]"):
        check_thresholds(
            0.5, {"Hate": 0.9}, CATEGORIES, review_thresholds={"Privacy": 0.51}
        )


def test_whoever_is_not_named_has_the_default():
    labels = ["Hate", "Privacy", "Spam"]
    thresholds = resolve_thresholds(labels, 0.5, {"Privacy": 0.0, "Other": 1.0})
    assert list(thresholds.items()) == [("Hate", 0.5), ("Privacy", 0.0), ("Spam", 0.5)]
    review = resolve_review_thresholds(labels, None, {"Privacy": 0.0})
    assert list(review.items()) == [("Hate", None), ("Privacy", 0.0), ("Spam", None)]
    assert resolve_review_thresholds(["Hate"], 0.25, {}) == {"Hate": 0.25}


def test_a_flag_is_strictly_above_its_threshold():
    assert exceeds([0.5, 0.5000001, 0.0], [0.5, 0.5, 0.0]).tolist() == [
        *[False, True, False]
    ]
    rows = exceeds(np.array([[0.3, 0.2], [0.2, 0.3]], "f4"), [0.25, 0.25])
    assert rows.tolist() == [[True, False], [False, True]]
    # The float32 next to 0.3 is above it.
    assert exceeds(np.array([0.3], "f4"), np.array([0.3])).tolist() == [True]
    assert exceeds(np.array([0.3], "f4"), np.array([0.3], "f4")).tolist() == [False]


def test_flags_have_their_probabilities():
    assert flagged([0.75, 0.25], LIMITS) == {"Hate": 0.75}
    assert flagged([0.5, 0.25], LIMITS) == {}
    assert list(flagged([0.75, 0.5], LIMITS).items()) == [
        *[("Hate", 0.75), ("Privacy", 0.5)]
    ]
    failed = flagged([1.0, 1.0], {"Hate": 1.0, "Privacy": 1.0}, failed=True)
    assert failed == {"Hate": 1.0, "Privacy": 1.0}
    for failed in (False, True):
        with pytest.raises(ValueError, match="argument"):
            flagged([1.0], LIMITS, failed=failed)


def rows(*values):
    return np.array([[value, 0.25] for value in values])


def test_a_flag_is_raised_once_after_patience():
    tracker = FlagTracker(LIMITS, patience=2)
    assert tracker.read([1, 2, 3], rows(0.75, 0.5, 0.75)) == []
    raised = tracker.read([5, 6, 7], rows(0.625, 0.875, 0.0))
    assert raised == [Flag("Hate", 5, 0.625)]
    assert tracker.held.tolist() == [True, False]
    assert tracker.read([8, 9], np.array([[0.75, 0.5], [0.75, 0.5]])) == [
        Flag("Privacy", 9, 0.5)
    ]
    assert tracker.close() == []
    with pytest.raises(ValueError, match="argument"):
        tracker.read([10, 11], rows(0.0))
    assert tracker.flags == [Flag("Hate", 5, 0.625), Flag("Privacy", 9, 0.5)]


def test_the_end_of_a_text_needs_no_patience():
    tracker = FlagTracker(LIMITS, patience=3)
    assert tracker.close() == []
    assert tracker.read([1, 2], rows(0.75, 0.625)) == []
    assert tracker.close() == [Flag("Hate", 2, 0.625)]
    assert tracker.close() == []
    assert tracker.flags == [Flag("Hate", 2, 0.625)]
    tracker = FlagTracker(LIMITS, patience=3)
    assert tracker.read([1, 2], rows(0.75, 0.5)) == []
    assert tracker.close() == []  # it was above its threshold, but isn't any more


@pytest.mark.parametrize(
    ("values", "patience", "offset"),
    [
        ([0.0, 0.75, 0.75, 0.0], 1, 4),
        ([0.0, 0.75, 0.75, 0.0], 2, 6),
        ([0.0, 0.75, 0.75, 0.0], 3, None),
        ([0.0, 0.0, 0.75], 3, 6),
        ([0.5, 0.5, 0.5], 1, None),
        ([], 1, None),
    ],
)
def test_the_first_flag_of_a_text(values, patience, offset):
    ends = range(2, 2 * len(values) + 1, 2)
    probabilities = rows(*values).reshape(len(values), 2)
    assert first_flag(ends, probabilities, LIMITS, patience) == offset


def test_the_first_of_two_flags_counts():
    probabilities = np.array([[0.0, 0.0], [0.0, 0.75], [0.75, 0.75]])
    assert first_flag([1, 2, 3], probabilities, LIMITS, 1) == 2
    assert first_flag([1, 2, 3], probabilities[:, ::-1], LIMITS, 1) == 2
