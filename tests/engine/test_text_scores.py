"""What the windows of a text cover of its parts."""

import numpy as np
import pytest

from spacy_duoguard.engine import text_scores
from spacy_duoguard.engine.conversation import Conversation, Turn
from spacy_duoguard.engine.prefix_scores import Curve, Query
from spacy_duoguard.engine.text_scores import TextScores, WindowScores
from spacy_duoguard.engine.turn_scores import is_scored, score_turns

TEXT = "ab cd  ef"
ROW = np.zeros(12, dtype=np.float32)


def scored(*windows, truncated=True, view=False):
    """The scores of TEXT in these windows, and maybe in a view of all of it."""
    spans = [WindowScores(start, end, ROW) for start, end in windows]
    if view:
        spans.append(WindowScores(0, len(TEXT), ROW, "normalized", "abcdef"))
    return TextScores(ROW, tuple(spans), truncated)


@pytest.mark.parametrize(
    ("windows", "part", "covers", "covers_none"),
    [
        ([(0, 2), (7, 9)], (0, 9), False, False),
        ([(0, 2), (7, 9)], (0, 2), True, False),
        ([(0, 2), (7, 9)], (0, 3), False, False),  # the score may count whitespace
        ([(7, 9), (0, 2)], (7, 9), True, False),
        ([(0, 2), (7, 9)], (5, 9), False, False),
        ([(0, 2), (7, 9)], (3, 5), False, True),
        ([(0, 2), (7, 9)], (2, 7), False, True),
        ([(0, 2), (7, 9)], (1, 5), False, False),
        ([(0, 2), (7, 9)], (4, 8), False, False),
        ([(0, 2), (7, 9)], (5, 7), False, False),  # nothing is written there
        ([(0, 2), (7, 9)], (4, 4), True, False),
        ([(0, 4), (3, 5)], (0, 5), True, False),
        ([(0, 5), (1, 2)], (0, 5), True, False),
        ([(0, 5), (1, 2)], (2, 9), False, False),
        ([(0, 5)], (7, 9), False, True),
        ([(0, 5)], (7, 8), False, True),
        ([(0, 5)], (8, 9), False, True),
        ([(3, 9)], (0, 2), False, True),
        ([(3, 9)], (0, 1), False, True),
        ([(1, 2)], (0, 1), False, True),
        ([], (0, 9), False, True),
        ([], (2, 3), False, False),
    ],
)
def test_a_part_is_covered_if_all_of_it_is_in_a_window(
    windows, part, covers, covers_none
):
    coverage = scored(*windows).coverage(TEXT)
    assert coverage.covers(*part) is covers
    assert coverage.covers_none(*part) is covers_none


@pytest.mark.parametrize("hidden", ["\U000e0041", "\u200b", "\ufe01"])
def test_invisible_characters_are_left_out_too(hidden):
    """They need no token, but a view may read them."""
    coverage = scored((0, 2), (7, 9)).coverage(f"ab {hidden * 3} ab")
    assert coverage.covers_none(3, 6) is True
    assert coverage.covers_none(2, 3) is False
    assert coverage.covers_none(0, 6) is False


@pytest.mark.parametrize(
    ("windows", "view"),
    [([(0, 9)], False), ([(3, 9), (0, 2)], False), ([(0, 2)], True)],
)
def test_what_a_limit_left_out_may_concern_any_part(windows, view):
    """Of a view, or of the text if other windows have its tokens."""
    coverage = scored(*windows, view=view).coverage(TEXT)
    assert coverage.covers(0, 2) is False
    assert coverage.covers_none(0, 2) is False
    assert coverage.covers_none(3, 5) is view  # that of the view doesn't count


@pytest.mark.parametrize("view", [False, True])
def test_a_text_that_no_limit_shortened_is_covered(view):
    coverage = scored((0, 2), truncated=False, view=view).coverage(TEXT)
    assert coverage.covers(0, 9) is True
    assert coverage.covers_none(3, 5) is False


def test_many_turns_take_no_longer_than_their_text(monkeypatch):
    """Each of them asks what is covered before it."""
    turns = (Turn(None, "abc"), *[Turn(None, "")] * 1999, Turn(None, "defg"))
    conversation = Conversation(turns)
    text, spans = conversation.text, conversation.spans
    curve = Curve(np.array([3, len(text)]), np.zeros((2, 12), np.float32))
    ends = ((0, 3), (len(text) - 4, len(text) - 1))
    windows = tuple(WindowScores(*end, ROW) for end in ends)
    counted = []
    count_before = text_scores._count_before

    def count(characters):
        counted.append(len(characters))
        return count_before(characters)

    monkeypatch.setattr(text_scores, "_count_before", count)
    scores = TextScores(ROW, windows, truncated=True, curve=curve)
    statuses = {turn.status for turn in score_turns(text, spans, scores, None)}
    assert statuses == {"ok", "truncated"}  # the last one
    assert sum(counted) <= 6 * (len(text) + 1)


def arrays(scores):
    """All arrays of the scores of a text."""
    spans = [array for s in scores.spans for array in (s.probabilities, s.delta)]
    curve = [scores.curve.ends, scores.curve.probabilities] if scores.curve else []
    windows = [window.probabilities for window in scores.windows]
    return [scores.probabilities, *windows, *spans, *curve]


def test_a_caller_who_writes_into_scores_changes_no_others(classifier):
    text, other = "How to kill a python process? " * 90, "A dog."
    plain, in_context = Query(text), Query(text, ((0, 3), (4, 600)), curve=True)
    queries = [plain, in_context, Query(other), plain, in_context, in_context]
    expected = [[a.copy() for a in arrays(s)] for s in classifier.answer(queries)]
    answers = classifier.answer(queries)
    for i, scores in enumerate(answers):
        for array in arrays(scores):
            array[:] = -1
        for others, values in zip(answers[i + 1 :], expected[i + 1 :], strict=True):
            for array, value in zip(arrays(others), values, strict=True):
                np.testing.assert_array_equal(array, value)


@pytest.mark.parametrize(
    ("role", "roles", "expected"),
    [
        ("user", None, True),
        (None, None, True),
        (None, ["user"], True),
        (None, [], True),
        ("user", ["user", "tool"], True),
        ("user", ["tool"], False),
        ("user", [], False),
    ],
)
def test_turns_of_other_roles_are_context(role, roles, expected):
    assert is_scored(role, roles) is expected
