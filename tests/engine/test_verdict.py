"""What counts as scored: each contradiction is noticed, and what lies on a limit is
none."""

import numpy as np
import pytest

from spacy_duoguard.engine.decisions import ALLOWED, BLOCKED, Decision
from spacy_duoguard.engine.verdict import (
    Limits,
    all_labels,
    are_scores,
    check_cats,
    check_flags,
    is_score,
    judge,
    not_scored,
    to_cats,
)
from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

ROW = [i / 16 for i in range(12)]  # exact in float32, too
CATS = to_cats(CATEGORIES, ROW)
FLAGS = list(CATEGORIES[9:])
NONE = [None] * 12
LIMITS = Limits([0.5] * 12, NONE)
ZEROS = to_cats(CATEGORIES, [0.0] * 12)
NAN = float("nan")

SOUND = {
    "status": "ok",
    "cats": CATS,
    "flags": FLAGS,
    "windows": [ROW],
    "limits": LIMITS,
    "action": "block",
}
EMPTY = {
    "status": "empty",
    "cats": ZEROS,
    "flags": [],
    "windows": [],
    "limits": LIMITS,
    "action": "allow",
    "text": " \n",
}
SAFE = {**SOUND, "cats": ZEROS, "flags": [], "windows": [[0.0] * 12], "action": "allow"}
UNREADABLE = "the record can't be read"


def without(key):
    return {name: value for name, value in CATS.items() if name != key}


def with_row(**changes):
    """A sound result with other scores of some categories, by their position."""
    row = list(ROW)
    for name, value in changes.items():
        row[int(name[1:])] = value
    flags = [label for label, p in zip(CATEGORIES, row, strict=True) if p > 0.5]
    return {"cats": to_cats(CATEGORIES, row), "flags": flags, "windows": [row]}


def test_a_sound_result_is_what_it_says():
    verdict = judge(**SOUND)
    assert (verdict.status, verdict.cats) == ("ok", CATS)
    assert list(verdict.cats) == [*CATEGORIES, UNSAFE]
    assert verdict.flags == FLAGS
    assert (verdict.problem, verdict.is_scored) == (None, True)
    assert verdict.labels == list(CATEGORIES)
    assert verdict.decision == Decision("block", CATEGORIES[11], 11 / 16 - 0.5)
    verdict = judge(**EMPTY)
    assert (verdict.status, verdict.cats, verdict.flags) == ("empty", ZEROS, [])
    assert (verdict.problem, verdict.decision) == (None, ALLOWED)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "truncated"},
        {"cats": {**CATS, UNSAFE: 11 / 16 + 9e-7}},
        {"cats": {**CATS, UNSAFE: 11 / 16 - 9e-7}},
        {"windows": [ROW[:6] + [0.0] * 6, [0.0] * 6 + ROW[6:]]},
        {"windows": None},
        {"windows": [tuple(ROW)]},
        {"flags": tuple(FLAGS)},
        {"text": "a"},
        {"text": None},
        {"limits": Limits((0.5,) * 12, (None,) * 12)},
        {"limits": Limits([0.5] * 12, [0.5, *[None] * 11])},
        {"limits": Limits([0.5] * 12, [0.0] * 12)},
        {"limits": Limits([1, *[0.5] * 11], [1, *[None] * 11])},
        with_row(_0=1.0),
        {**with_row(_0=1), "limits": Limits([0.5] * 12, NONE)},
        {**with_row(_11=0.5), "cats": to_cats(CATEGORIES, [*ROW[:11], 0.5])},
        {**SAFE, "status": "truncated"},
        {**EMPTY, "text": None},
        {**EMPTY, "text": ""},
        {**EMPTY, "text": "\u200b\u0301"},
        {**EMPTY, "windows": None},
    ],
)
def test_what_lies_on_a_limit_is_scored(changes):
    verdict = judge(**SOUND | changes)
    assert (verdict.problem, verdict.is_scored) == (None, True)
    assert verdict.flags == list((SOUND | changes)["flags"])
    assert {type(value) for value in verdict.cats.values()} == {float}


CONTRADICTIONS = {
    "scoring failed": [{"status": "error"}],
    "the record has an unknown status": [
        {"status": status} for status in ("", "fine", None, 1, ["ok"], "OK")
    ],
    "the record, or a sentence, has no scores": [
        *[{"cats": cats} for cats in (None, [], 0.5, ROW, "Hate")],
        {"cats": {**CATS, 1: 0.0}},
        {"cats": {**CATS, None: 0.0}},
    ],
    "a score is not a number in [0, 1]": [
        {"cats": {**CATS, CATEGORIES[i]: value}}
        for value in (NAN, 1.01, -0.01, float("inf"), True, "0.5", None, 2, -1)
        for i in (0, 11)
    ],
    "the record does not have all scores": [
        {"cats": {}},
        {"cats": without(UNSAFE)},
        *[{"cats": without(label), "flags": FLAGS[:-1]} for label in CATEGORIES],
    ],
    "'unsafe' is not the maximum of the categories": [
        {"cats": {**CATS, UNSAFE: 11 / 16 + difference}}
        for difference in (2e-6, -2e-6, 0.1, -0.1)
    ],
    "the flags are not a list of its categories": [
        *[{"flags": flags} for flags in (None, "Hate", 7, {"Hate": 1}, set(FLAGS))],
        *[{"flags": [*FLAGS, flag]} for flag in ("Hat", UNSAFE, None, 7, ["Hate"])],
    ],
    "a flag is there twice, or its score is 0": [
        {"flags": [*FLAGS, FLAGS[0]]},
        {"flags": [CATEGORIES[0], *FLAGS], "limits": None},
    ],
    "a threshold is not a number in [0, 1]": [
        {"limits": Limits([value, *[0.5] * 11], NONE)}
        for value in (NAN, 1.5, -0.5, True, "0.5", None)
    ],
    "the flags are not those above the thresholds": [
        *[{"flags": flags} for flags in ([], FLAGS[:-1], FLAGS[1:], FLAGS[::-1])],
        {"flags": [CATEGORIES[8], *FLAGS]},  # its score equals its threshold
        {"limits": Limits([0.75] * 12, NONE)},
    ],
    "a review threshold is not a number in [0, 1]": [
        *[
            {"limits": Limits([0.5] * 12, [value, *[None] * 11])}
            for value in (NAN, 1.5, -0.5, True, "0.5")
        ],
        *[
            {"limits": Limits([0.5] * 12, review)}
            for review in (None, [], [None] * 11, [None] * 13, dict.fromkeys(range(12)))
        ],
    ],
    "a review threshold is above its threshold": [
        {"limits": Limits([0.5] * 12, [*[None] * 11, 0.51])},
        {"limits": Limits([0.5] * 12, [1.0, *[0.1] * 11])},
    ],
    "the action does not follow from the scores": [
        *[{"action": action} for action in ("allow", "review", None, "", "BLOCK")],
        {**SAFE, "action": "block"},
        {**SAFE, "action": "review"},
        {**SAFE, "status": "truncated", "limits": Limits([0.5] * 12, [0.0] * 12)},
        {**EMPTY, "action": "block"},
    ],
    "the record has scores, but its text is empty": [
        {"text": ""},
        {"text": "", "status": "truncated"},
    ],
    "the status is 'empty', but there is a text": [
        {**EMPTY, "text": text} for text in ("a", "  a", ".")
    ],
    "the status is 'empty', but there are scores": [
        {"status": "empty"},
        {**EMPTY, "cats": to_cats(CATEGORIES, [1e-7, *[0.0] * 11])},
        {
            **EMPTY,
            "cats": to_cats(CATEGORIES, [0.1, *[0.0] * 11]),
            "flags": [CATEGORIES[0]],
            "limits": None,
        },
    ],
    "the scores are not the maximum over the windows": [
        {"windows": []},
        {"windows": [[0.0] * 12]},
        {"windows": [[1.0] * 12]},
        {"windows": [ROW, [*ROW[:11], 0.7]]},
        {"windows": [ROW[:11]]},
        {"windows": [[*ROW, 0.0]]},
    ],
    "the status contradicts the windows": [
        {**SAFE, "windows": []},
        {**EMPTY, "windows": [[0.0] * 12]},
    ],
    UNREADABLE: [
        {"status": np.array(["ok", "ok"])},
        {"windows": 7},
        {"windows": [ROW, ROW[:11]]},
        {"limits": Limits([0.5] * 11, [None] * 11)},
        {"limits": Limits([0.5] * 13, [None] * 13)},
        {"limits": Limits(None, NONE)},
    ],
}


@pytest.mark.parametrize(
    ("problem", "changes"),
    [(problem, c) for problem, cases in CONTRADICTIONS.items() for c in cases],
)
def test_a_contradiction_makes_a_result_not_scored(problem, changes):
    verdict = judge(**SOUND | changes)
    assert verdict.problem == problem
    assert not verdict.is_scored
    assert verdict.status == "error"
    assert verdict.cats == dict.fromkeys([*verdict.labels, UNSAFE], 1.0)
    assert verdict.labels[:12] == list(CATEGORIES)
    assert verdict.flags == verdict.labels
    assert verdict.decision == BLOCKED


def test_without_limits_the_flags_decide():
    assert judge("ok", CATS, FLAGS[:1]).decision == BLOCKED
    assert judge("ok", CATS, []).decision == ALLOWED
    verdict = judge("ok", CATS, FLAGS[::-1], action="allow")
    assert (verdict.problem, verdict.flags) == (None, FLAGS[::-1])


def test_a_review_threshold_decides_below_the_threshold():
    row = [0.25, *[0.0] * 11]
    cats, limits = to_cats(CATEGORIES, row), Limits([0.5] * 12, [0.125, *[None] * 11])
    verdict = judge("ok", cats, [], windows=[row], limits=limits, action="review")
    assert verdict.decision == Decision("review", CATEGORIES[0], 0.125)


def test_more_categories_than_the_twelve_are_kept():
    cats = {"Spam": 0.5, **CATS}
    verdict = judge("ok", cats, ["Spam"])
    assert verdict.labels == ["Spam", *CATEGORIES]
    failed = judge("error", cats, ["Spam"])
    assert failed.flags == [*CATEGORIES, "Spam"]
    assert failed.cats == dict.fromkeys([*CATEGORIES, "Spam", UNSAFE], 1.0)


def test_what_is_not_scored_has_every_flag():
    verdict = not_scored(("Hate", "Spam"), "why")
    assert verdict.cats == {"Hate": 1.0, "Spam": 1.0, UNSAFE: 1.0}
    assert (verdict.status, verdict.flags) == ("error", ["Hate", "Spam"])
    assert (verdict.problem, verdict.decision) == ("why", BLOCKED)


@pytest.mark.parametrize(
    ("names", "more"),
    [
        (None, []),
        ("Spam", []),
        (7, []),
        ([], []),
        (["Spam", "Hate", 7, None, UNSAFE, "Spam"], ["Spam", "Hate"]),
        (("Spam",), ["Spam"]),
        ({"Spam": 0.5, UNSAFE: 0.5}, ["Spam"]),
    ],
)
def test_a_failed_result_has_the_categories_that_can_be_read(names, more):
    assert all_labels(names) == list(dict.fromkeys([*CATEGORIES, *more]))


SCORES = [0, 1, 0.0, 1.0, 0.5, 5e-324, np.float64(0.0), np.float64(1.0)]
OTHERS = [
    *[True, False, None, "0.5", b"", [0.5], 0.5j, np.float32(0.5)],
    *[NAN, float("inf"), -0.1, 1.1, -1, 2, np.float64(1.1), np.float64(-0.1)],
]


def test_probabilities_are_numbers_between_0_and_1():
    assert [value for value in SCORES if not is_score(value)] == []
    assert [value for value in OTHERS if is_score(value)] == []
    assert are_scores([])
    assert are_scores(SCORES)
    assert are_scores([0.0, 1.0])
    for value in SCORES:
        assert are_scores([value])
    for value in OTHERS:
        for others in ([], [0.5], [0], [0.5, 0.25]):
            assert not are_scores([value, *others])
            assert not are_scores([*others, value])


def test_scores_and_flags_are_copied():
    cats = {"Hate": 1, "Privacy": 0.5}
    checked = check_cats(cats)
    assert checked == cats
    assert checked is not cats
    assert type(checked["Hate"]) is float
    flags = ["Hate"]
    assert check_flags(flags, cats) == flags
    assert check_flags(flags, cats) is not flags
    assert check_flags(("Privacy",), cats, [1.0, 0.25]) == ["Privacy"]


def test_each_category_needs_a_probability():
    assert to_cats(["Hate", "Privacy"], [0.25, 0.5]) == {
        **{"Hate": 0.25, "Privacy": 0.5, UNSAFE: 0.5}
    }
    with pytest.raises(ValueError, match="shorter"):
        to_cats(["Hate", "Privacy"], [0.25])
