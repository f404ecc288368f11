"""What the windows of a text cover of its parts."""

import numpy as np
import pytest

from spacy_duoguard.engine.text_scores import TextScores, WindowScores
from spacy_duoguard.engine.turn_scores import is_scored

TEXT = "ab cd  ef"
ROW = np.zeros(12, dtype=np.float32)


def scored(*windows, truncated=True):
    """The scores of TEXT in these windows, and in a view of all of it, which does not
    count."""
    spans = [WindowScores(start, end, ROW) for start, end in windows]
    spans.append(WindowScores(0, len(TEXT), ROW, "normalized", "abcdef"))
    return TextScores(ROW, tuple(spans), truncated)


@pytest.mark.parametrize(
    ("windows", "part", "covers", "covers_none"),
    [
        ([(0, 9)], (0, 9), True, False),
        ([(0, 2), (7, 9)], (0, 9), False, False),
        ([(0, 2), (7, 9)], (0, 2), True, False),
        ([(0, 2), (7, 9)], (0, 3), True, False),
        ([(7, 9), (0, 2)], (7, 9), True, False),
        ([(3, 9), (0, 2)], (0, 9), True, False),
        ([(0, 2), (7, 9)], (5, 9), True, False),
        ([(0, 2), (7, 9)], (3, 5), False, True),
        ([(0, 2), (7, 9)], (2, 7), False, True),
        ([(0, 2), (7, 9)], (1, 5), False, False),
        ([(0, 2), (7, 9)], (4, 8), False, False),
        ([(0, 2), (7, 9)], (5, 7), True, False),  # whitespace needs no window
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
        ([], (2, 3), True, False),
    ],
)
def test_a_part_is_covered_if_all_that_is_visible_is_in_a_window(
    windows, part, covers, covers_none
):
    scores = scored(*windows)
    assert scores.covers(TEXT, *part) is covers
    assert scores.covers_none(TEXT, *part) is covers_none


def test_a_text_that_no_limit_shortened_is_covered():
    scores = scored((0, 2), truncated=False)
    assert scores.covers(TEXT, 0, 9) is True
    assert scores.covers_none(TEXT, 3, 5) is False


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
