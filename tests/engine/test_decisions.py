"""What is done with a text, compared with the rule in plain words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_duoguard.engine.decisions import (
    ACTIONS,
    BLOCKED,
    Decision,
    Policy,
    decide_actions,
    decide_by_flags,
    has_band,
)
from spacy_duoguard.engine.flags import Flag, check_thresholds, flagged
from spacy_duoguard.engine.verdict import not_scored
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.taxonomy import CATEGORIES

# Few distinct values, so that a probability often equals a threshold.
VALUES = st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.75, 1.0]) | st.floats(0, 1)
ROWS = st.lists(VALUES, min_size=12, max_size=12)


@st.composite
def policies(draw, *, banded=None):
    thresholds = draw(ROWS)
    some = st.booleans() if banded is None else st.just(banded)
    review = [
        min(draw(VALUES), threshold) if draw(some) else None for threshold in thresholds
    ]
    return Policy(
        dict(zip(CATEGORIES, thresholds, strict=True)),
        dict(zip(CATEGORIES, review, strict=True)),
    )


def in_plain_words(status, row, policy):
    rows = list(
        zip(
            row,
            policy.thresholds.values(),
            policy.review_thresholds.values(),
            strict=True,
        )
    )
    if status == "error" or any(p > threshold for p, threshold, _ in rows):
        return "block"
    reviews = [(p, review) for p, _, review in rows if review is not None]
    if any(p > review for p, review in reviews):
        return "review"
    return "review" if reviews and status == "truncated" else "allow"


@given(policies(), ROWS, st.sampled_from(["ok", "truncated", "error"]))
def test_the_action_follows_from_the_thresholds(policy, row, status):
    decision = policy.decide(status, row)
    assert decision.action == in_plain_words(status, row, policy)
    flags = flagged(row, policy.thresholds, failed=status == "error")
    assert (decision.action == "block") == bool(flags)


@given(policies(), ROWS, st.sampled_from(["ok", "truncated"]))
def test_the_reason_is_the_greatest_margin(policy, row, status):
    action, category, margin = policy.decide(status, row)
    limits = policy.thresholds
    if action != "block":
        limits = {
            label: limits[label] if review is None else review
            for label, review in policy.review_thresholds.items()
        }
    margins = [p - limit for p, limit in zip(row, list(limits.values()), strict=True)]
    if category is None:
        assert (action, status) == ("review", "truncated")
        assert max(margins) <= 0.0
        return
    assert margin == max(margins)
    assert category == CATEGORIES[margins.index(margin)]
    assert (margin > 0.0) == (action != "allow")


@given(policies(), ROWS, ROWS, st.sampled_from(["ok", "truncated"]))
def test_a_higher_probability_never_weakens_the_action(policy, row, other, status):
    higher = np.maximum(row, other).tolist()
    before, after = policy.decide(status, row), policy.decide(status, higher)
    assert ACTIONS.index(after.action) >= ACTIONS.index(before.action)


@given(policies(), ROWS)
def test_a_truncated_text_is_never_treated_better(policy, row):
    whole, part = policy.decide("ok", row), policy.decide("truncated", row)
    assert ACTIONS.index(part.action) >= ACTIONS.index(whole.action)


@given(policies(), ROWS, st.sampled_from(["error", "", "fine", None, 0, ["ok"]]))
def test_what_is_not_scored_is_blocked(policy, row, status):
    assert policy.decide(status, row) == BLOCKED
    assert not_scored(CATEGORIES, "scoring failed").decision == BLOCKED


@given(policies(), st.lists(ROWS, min_size=1, max_size=4), st.data())
def test_many_texts_have_the_actions_they_have_one_by_one(policy, rows, data):
    rows = np.array(rows, dtype=np.float32)
    some = st.sampled_from(["ok", "truncated", "error", "fine", ""])
    statuses = data.draw(st.lists(some, min_size=len(rows), max_size=len(rows)))
    expected = [
        policy.decide(status, row).action
        for status, row in zip(statuses, rows.tolist(), strict=True)
    ]
    assert decide_actions(statuses, rows, policy) == expected


def test_without_review_thresholds_nothing_is_reviewed():
    policy = Policy.of(CATEGORIES, 0.5)
    assert not policy.has_band
    assert policy.decide("truncated", [0.5] * 12).action == "allow"
    assert policy.decide("truncated", [*[0.0] * 11, 0.6]).action == "block"
    assert policy.decide("empty", [0.0] * 12) == Decision("allow")


PAIR = Policy({"Hate": 0.5, "Privacy": 0.75}, {"Hate": 0.25, "Privacy": None})


@pytest.mark.parametrize(
    ("row", "status", "expected"),
    [
        ([0.125, 0.25], "ok", ("allow", "Hate", -0.125)),
        ([0.25, 0.0], "ok", ("allow", "Hate", 0.0)),
        ([0.0, 0.75], "ok", ("allow", "Privacy", 0.0)),
        ([0.0, 0.25], "ok", ("allow", "Hate", -0.25)),
        ([0.375, 0.75], "ok", ("review", "Hate", 0.125)),
        ([0.5, 0.75], "ok", ("review", "Hate", 0.25)),
        ([0.625, 0.75], "ok", ("block", "Hate", 0.125)),
        ([0.5, 1.0], "ok", ("block", "Privacy", 0.25)),
        ([0.75, 1.0], "ok", ("block", "Hate", 0.25)),  # the first of two
        ([0.0, 0.0], "truncated", ("review", None, None)),
        ([0.25, 0.75], "truncated", ("review", None, None)),
        ([0.375, 0.0], "truncated", ("review", "Hate", 0.125)),
        ([0.625, 0.0], "truncated", ("block", "Hate", 0.125)),
        ([1.0, 1.0], "empty", ("allow", None, None)),
        ([0.0, 0.0], "error", ("block", None, None)),
    ],
)
def test_one_category_with_a_review_threshold_and_one_without(row, status, expected):
    """Of twelve random scores one is nearly always above its threshold. Here, the
    actions are as frequent."""
    assert PAIR.decide(status, row) == Decision(*expected)


def test_one_review_threshold_makes_a_band():
    assert PAIR.has_band
    assert has_band([None, 0.0])
    assert not has_band([None, None])
    assert not has_band([])


def test_a_stream_is_decided_by_its_greatest_margin():
    low, high = Flag("Hate", 3, 0.625), Flag("Privacy", 5, 1.0)
    review = Flag("Hate", 3, 0.375)
    assert decide_by_flags([], [], PAIR) == Decision("allow")
    assert decide_by_flags([], [review], PAIR) == Decision("review", "Hate", 0.125)
    assert decide_by_flags([low], [review], PAIR) == Decision("block", "Hate", 0.125)
    for flags in ([low, high], [high, low]):
        assert decide_by_flags(flags, [], PAIR) == Decision("block", "Privacy", 0.25)
    tie = Flag("Hate", 6, 0.75)
    assert decide_by_flags([tie, high], [], PAIR) == Decision("block", "Hate", 0.25)
    assert decide_by_flags([high, tie], [], PAIR) == Decision("block", "Privacy", 0.25)
    # A category without a review threshold asks for no review.
    assert decide_by_flags([], [high], PAIR) == Decision("allow")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"review_threshold": 0.6}, ["review_threshold (0.6)", "threshold (0.5)"]),
        ({"review_thresholds": {"Hate": 0.6}}, ["review_thresholds['Hate'] (0.6)"]),
        (
            {"review_threshold": 0.4, "thresholds": {"Hate": 0.3}},
            ["review_threshold (0.4)", "thresholds['Hate'] (0.3)"],
        ),
        # Of a category that isn't there yet.
        (
            {"review_threshold": 0.4, "thresholds": {"Spam": 0.3}, "labels": None},
            ["thresholds['Spam'] (0.3)"],
        ),
        # All twelve are named, but a category that is added gets the defaults.
        (
            {
                "review_threshold": 0.6,
                "review_thresholds": dict.fromkeys(CATEGORIES, 0.1),
            },
            ["review_threshold (0.6)", "threshold (0.5)"],
        ),
    ],
)
def test_a_review_threshold_above_its_threshold_is_refused(settings, words):
    settings = {"threshold": 0.5, "thresholds": {}, "labels": CATEGORIES} | settings
    with pytest.raises(SettingsError, match="E250") as caught:
        check_thresholds(**settings)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("value", [1.5, -0.1, "0.3", True, float("nan")])
def test_a_review_threshold_is_a_probability(value):
    for settings in (
        {"review_threshold": value},
        {"review_thresholds": {"Hate": value}},
    ):
        with pytest.raises(SettingsError, match=r"E001.*review_threshold"):
            check_thresholds(1.0, {}, CATEGORIES, **settings)
    with pytest.raises(SettingsError, match=r"E002.*review_thresholds.*'Hat'"):
        check_thresholds(1.0, {}, CATEGORIES, review_thresholds={"Hat": 0.1})
