"""From characters to tokens and back: in a text, in a part of one, and in a view."""

import numpy as np
import pytest

from spacy_duoguard.engine.text.tokens import Tokens
from spacy_duoguard.engine.text.views.view import View
from spacy_duoguard.engine.text.windows import Segment, Window, WindowedText


def segment(text, offsets, *, offset=0, view=None):
    """A segment whose tokens have these offsets in its text."""
    spans = np.array(offsets, dtype=np.int32).reshape(-1, 2)
    ids = np.arange(len(spans), dtype=np.int32)
    return Segment(offset, Tokens(ids, text, lambda *_: spans), view)


def view_of(text, starts):
    return View("folded", text, np.array(starts))


# The last eight characters of a text.
PART = segment("ab cd ef", [(0, 2), (2, 5), (5, 8)], offset=10)
# Two tokens for the bytes of one character.
EMOJI = segment("\U0001f642b c", [(0, 1), (0, 1), (1, 2), (2, 4)])
# The accent has no token, and neither has the space at the start.
MARK = segment(" a\u0301x", [(1, 2), (3, 4)])
# The original is "h\u200bate".
WITHOUT = segment("hate", [(0, 2), (2, 4)], view=view_of("hate", [0, 2, 3, 4, 5]))
# The original is "\u202eetah\u202c".
TURNED = segment("hate", [(0, 2), (2, 4)], view=view_of("hate", [4, 3, 2, 0, 6]))
# The last two characters of the view.
HALF = segment("te", [(0, 1), (1, 2)], offset=2, view=WITHOUT.view)
EMPTY = segment("", [], offset=3)
EMPTY_VIEW = segment("", [], view=view_of("", [2]))


@pytest.mark.parametrize(
    ("part", "name", "span", "starts", "ends"),
    [
        (PART, "text", (10, 18), [10, 12, 15], [12, 15, 18]),
        (EMOJI, "text", (0, 4), [0, 0, 1, 2], [1, 1, 2, 4]),
        (MARK, "text", (0, 4), [1, 3], [3, 4]),
        (WITHOUT, "folded", (0, 5), [0, 3], [3, 5]),
        (TURNED, "folded", (0, 6), [2, 2], [4, 6]),
        (HALF, "folded", (3, 5), [3, 4], [4, 5]),
        (EMPTY, "text", (3, 3), [], []),
        (EMPTY_VIEW, "folded", (0, 0), [], []),
    ],
)
def test_where_the_tokens_of_a_segment_are(part, name, span, starts, ends):
    assert part.name == name
    assert (part.start, part.end) == span
    assert part.token_starts.tolist() == starts
    assert part.token_ends.tolist() == ends


def test_tokens_in_another_order_begin_and_end_in_order():
    jumps = segment("abcde", [(0, 1), (3, 4), (2, 3), (4, 5)])
    assert jumps.token_starts.tolist() == [0, 3, 3, 4]
    assert jumps.token_ends.tolist() == [3, 4, 4, 5]


@pytest.mark.parametrize(
    ("part", "tokens", "characters", "reading"),
    [
        (PART, (0, 3), (10, 18), None),
        (PART, (1, 2), (12, 15), None),
        (MARK, (0, 1), (0, 3), None),
        (MARK, (1, 2), (3, 4), None),
        (WITHOUT, (0, 1), (0, 3), "ha"),
        (WITHOUT, (1, 2), (3, 5), "te"),
        (TURNED, (0, 1), (3, 6), "ha"),
        (TURNED, (1, 2), (0, 3), "te"),
        (HALF, (1, 2), (4, 5), "e"),
        (HALF, (0, 2), (3, 5), "te"),
    ],
)
def test_the_characters_of_tokens(part, tokens, characters, reading):
    assert part.char_span(*tokens) == characters
    assert part.read(*tokens) == reading
    window = Window(np.arange(4), part, *tokens, 1)
    assert window.char_span == characters
    assert window.read_as == reading
    assert window.n_tokens == tokens[1] - tokens[0]


@pytest.mark.parametrize(
    ("part", "characters", "tokens"),
    [
        (PART, (10, 12), (0, 1)),
        (PART, (11, 13), (0, 2)),
        (PART, (12, 15), (1, 2)),
        (PART, (17, 18), (2, 3)),
        (PART, (17, 20), (2, 3)),
        (PART, (9, 11), (0, 1)),
        (PART, (9, 30), (0, 3)),
        (PART, (0, 10), None),
        (PART, (18, 20), None),
        (EMOJI, (0, 1), (0, 2)),
        (EMOJI, (0, 2), (0, 3)),
        (EMOJI, (3, 4), (3, 4)),
        (MARK, (0, 1), (0, 1)),
        (MARK, (2, 3), (0, 1)),
        (WITHOUT, (1, 2), (0, 1)),
        (WITHOUT, (2, 4), (0, 2)),
        (HALF, (0, 3), None),
        (HALF, (0, 4), (0, 1)),
        (HALF, (4, 5), (1, 2)),
    ],
)
def test_the_tokens_of_characters(part, characters, tokens):
    assert part.token_span(*characters) == tokens


@pytest.mark.parametrize(
    ("n_ids", "expected"), [(4, [1, 2, 3]), (5, [1, 2, 4]), (6, [1, 2, 5])]
)
def test_the_last_token_is_scored_after_what_follows_it(n_ids, expected):
    """There is one special token before the tokens, and up to two after them."""
    window = Window(np.arange(n_ids), PART, 4, 7, 1)
    assert window.positions(np.array([4, 5, 6])).tolist() == expected


def test_windows_are_grouped_by_segment():
    spans = [(PART, 0, 2), (PART, 1, 3), (WITHOUT, 0, 2), (PART, 2, 3)]
    windows = [Window(np.arange(2), *span, 0) for span in spans]
    text = WindowedText(windows, truncated=False)
    groups = text.segments
    assert [(group.first, group.starts, group.stops) for group in groups] == [
        (0, [0, 1], [2, 3]),
        (2, [0], [2]),
        (3, [2], [3]),
    ]
    expected = (PART, WITHOUT, PART)
    assert all(g.segment is part for g, part in zip(groups, expected, strict=True))
    assert [ids.tolist() for ids in text.ids] == [[0, 1]] * 4
