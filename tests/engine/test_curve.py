"""Which token of a curve scores a text up to an offset, and what a span is without the
whitespace around it."""

import numpy as np
import pytest

from spacy_duoguard.engine.prefix_scores import Curve, Query, QueryPlan, visible_span
from spacy_duoguard.engine.text.windows import WindowedText

# Two tokens end at the same character, as those of an emoji do.
ENDS = np.array([2, 2, 5, 9])
CURVE = Curve(ENDS, np.arange(8, dtype=np.float32).reshape(4, 2) + 1)


@pytest.mark.parametrize(
    ("end", "token"),
    [(1, 1), (2, 1), (3, 2), (5, 2), (6, 3), (9, 3), (10, 3), (99, 3)],
)
def test_the_token_that_completes_a_character_scores_the_text(end, token):
    assert CURVE.up_to(end).tolist() == CURVE.probabilities[token].tolist()


@pytest.mark.parametrize("end", [0, -1])
def test_nothing_scores_zero(end):
    assert CURVE.up_to(end).tolist() == [0.0, 0.0]
    assert CURVE.up_to(end).dtype == np.float32


def test_a_curve_without_tokens_is_zero():
    empty = Curve(np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.float32))
    assert empty.up_to(4).tolist() == [0.0] * 3
    assert empty.last_end(4) == 0


@pytest.mark.parametrize(
    ("end", "last"),
    [(-1, 0), (0, 0), (1, 0), (2, 2), (4, 2), (5, 5), (8, 5), (9, 9), (99, 9)],
)
def test_where_the_last_token_before_an_offset_ends(end, last):
    assert CURVE.last_end(end) == last


@pytest.mark.parametrize(
    ("text", "span", "expected"),
    [
        ("a dog", (0, 5), (0, 5)),
        ("a dog", (1, 5), (2, 5)),
        ("a dog ", (2, 6), (2, 5)),
        ("\n a  dog\t", (0, 9), (2, 8)),
        ("\n a  dog\t", (3, 9), (5, 8)),
        ("a   dog", (1, 4), (1, 4)),
        ("a   dog", (2, 2), None),
        ("", (0, 0), None),
    ],
)
def test_a_span_is_visible_without_the_whitespace_around_it(text, span, expected):
    assert visible_span(text, *span) == expected
    plan = QueryPlan.of(Query(text, (span,)), WindowedText([], truncated=False))
    assert plan.spans == (expected,)
