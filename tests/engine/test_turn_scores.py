"""What a turn of a conversation scores, and its status if a limit left out a part."""

import numpy as np
import pytest

from spacy_duoguard.engine.conversation import TurnSpan
from spacy_duoguard.engine.prefix_scores import Curve
from spacy_duoguard.engine.text_scores import TextScores, WindowScores
from spacy_duoguard.engine.turn_scores import score_spans, score_turns

TEXT = "ab cd  ef"  # "ab", "cd", "" and "ef"
SPANS = [(0, 2), (3, 5), (6, 6), (7, 9)]
HIGHEST = [1.0, 1.0]


def row(i):
    """The probabilities at a token, which no other token has."""
    return [(i + 1) / 16, (i + 1) / 32]


def turns(spans, roles=()):
    roles = roles or ["user"] * len(spans)
    return [TurnSpan(role, *span) for role, span in zip(roles, spans, strict=True)]


def scored(ends, windows=(), *, truncated=False):
    """The scores of a text whose tokens end there."""
    rows = np.array([row(i) for i in range(len(ends))], dtype=np.float32).reshape(-1, 2)
    spans = tuple(WindowScores(start, end, rows[-1]) for start, end in windows)
    top = rows.max(axis=0, initial=0.0)
    return TextScores(top, spans, truncated, (), Curve(np.array(ends), rows))


@pytest.mark.parametrize(
    ("text", "spans", "ends", "expected"),
    [
        (TEXT, SPANS, [2, 5, 9], [row(0), row(1), row(1), row(2)]),
        # Nothing was said before an empty turn at the start.
        (" ab", [(0, 0), (1, 3)], [3], [[0.0, 0.0], row(0)]),
        # Whitespace at the end of a turn counts if it is a token.
        ("a  b", [(0, 2), (3, 4)], [1, 2, 4], [row(1), row(2)]),
        # A token that goes on in the next turn counts for both.
        ("ab cd", [(0, 2), (3, 5)], [1, 4, 5], [row(1), row(2)]),
        ("  ab", [(0, 1), (2, 4)], [4], [row(0), row(0)]),
        ("", [(0, 0)], [], [[0.0, 0.0]]),
    ],
)
def test_a_turn_scores_what_was_said_up_to_its_end(text, spans, ends, expected):
    rows = score_spans(text, turns(spans), scored(ends, [(0, len(text))][: len(ends)]))
    assert rows.tolist() == expected
    assert rows.dtype == np.float32


def test_a_turn_that_no_window_has_reads_as_unsafe():
    scores = scored([2, 5, 9], [(0, 2), (7, 9)], truncated=True)
    rows = score_spans(TEXT, turns(SPANS), scores)
    assert rows.tolist() == [row(0), HIGHEST, row(1), row(2)]


@pytest.mark.parametrize(
    ("windows", "truncated", "expected"),
    [
        ([(0, 9)], False, ["ok"] * 4),
        ([(0, 9)], True, ["truncated"] * 4),  # of which part, no one knows
        ([(0, 2), (7, 9)], True, ["ok", "error", "truncated", "truncated"]),
        ([(1, 9)], True, ["truncated"] * 4),  # of what was said before, too
        ([(3, 9)], True, ["error", "truncated", "truncated", "truncated"]),
        ([], False, ["empty"] * 4),
        ([], True, ["empty"] * 4),
    ],
)
def test_the_status_of_a_turn(windows, truncated, expected):
    scores = scored([2, 5, 9], windows, truncated=truncated)
    scored_turns = score_turns(TEXT, turns(SPANS), scores, None)
    assert [turn.status for turn in scored_turns] == expected
    rows = score_spans(TEXT, turns(SPANS), scores).tolist()
    assert [turn.probabilities.tolist() for turn in scored_turns] == rows


@pytest.mark.parametrize("windows", [[(0, 6)], [(3, 6)]])
def test_a_turn_up_to_which_there_is_no_text_is_empty(windows):
    """Whatever token of the model ends before the text, and whatever is left out."""
    scores = scored([0, 3, 6], windows, truncated=windows[0][0] > 0)
    turn, *others = score_turns(" ab cd", turns([(0, 0), (1, 3), (4, 6)]), scores, None)
    assert (turn.status, turn.probabilities.tolist()) == ("empty", [0.0, 0.0])
    assert all(other.status != "empty" for other in others)


def test_turns_of_other_roles_have_no_scores():
    spans = turns(SPANS, ["user", "assistant", None, "user"])
    scored_turns = score_turns(TEXT, spans, scored([2, 5, 9], [(0, 9)]), ["assistant"])
    assert [turn.span for turn in scored_turns] == spans
    assert [turn.status for turn in scored_turns] == ["context", "ok", "ok", "context"]
    values = [
        p if p is None else p.tolist() for p in (t.probabilities for t in scored_turns)
    ]
    assert values == [None, row(1), row(1), None]
