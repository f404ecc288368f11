"""What one pass over a text says about its parts.

The decoder is causal: the row of a piece is the score of the text up to that piece,
as far as its window reaches back. Spans and the risk curve are rows of the windows
that the text is scored in anyway.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .text.windows import Cut


@dataclass(frozen=True)
class SpanScores:
    """The scores of a stretch of a text, in context."""

    probabilities: np.ndarray  # (n_labels,) float32, maximum over its windows
    # (n_labels + 1,) float32: the change against the row before the stretch in the
    # window that gave the maximum, for each category and then for the largest one.
    delta: np.ndarray


@dataclass(frozen=True)
class Curve:
    """The scores of a text up to each of its pieces."""

    ends: np.ndarray  # (n_pieces,) int64, characters of the text, ascending
    probabilities: np.ndarray  # (n_pieces, n_labels) float32

    def up_to(self, character: int) -> np.ndarray:
        """character (int): Of the text, -1 for none.
        RETURNS (ndarray): (n_labels,), the score of the text up to the piece that
            completes this character; 0.0 for none."""
        n_pieces, n_labels = self.probabilities.shape
        if character < 0 or not n_pieces:
            return np.zeros(n_labels, dtype=np.float32)
        holder = min(np.searchsorted(self.ends, character, "right"), n_pieces - 1)
        last = np.searchsorted(self.ends, self.ends[holder], "right") - 1
        return self.probabilities[last]


@dataclass(frozen=True)
class WindowRows:
    """The rows of a window that were scored."""

    pieces: np.ndarray  # (n_rows,) of the window, ascending; the last one is its last
    probabilities: np.ndarray  # (n_rows, n_labels) float32

    def at(self, piece: int) -> np.ndarray:
        """piece (int): Of the window, one of `pieces`.
        RETURNS (ndarray): (n_labels,), the window's score up to there."""
        return self.probabilities[np.searchsorted(self.pieces, piece)]


Stretch = tuple[int, int]  # the first and the last character


def find_stretch(text: str, start: int, end: int) -> Stretch | None:
    """The characters whose pieces stand for a span: a piece often holds the white
    space before a word, and so belongs to two spans.

    text (str): The text.
    start (int), end (int): Of the span, in characters.
    RETURNS (Optional[Tuple[int, int]]): Its first and last characters that are no
        white space; of nothing but white space, its first and last; None for an empty
        span.
    """
    body = text[start:end]
    if not body:
        return None
    left = len(body) - len(body.lstrip())
    if left == len(body):
        return start, end - 1
    return start + left, start + len(body.rstrip()) - 1


@dataclass(frozen=True)
class Query:
    """What is asked about a text beside its score."""

    text: str
    # To score in context, start and end characters.
    spans: tuple[tuple[int, int], ...] = ()
    curve: bool = False  # score it up to each of its pieces, too


@dataclass(frozen=True)
class TextPlan:
    """Which rows of a text's windows answer a query."""

    query: Query
    cut: Cut
    stretches: list[Stretch | None]  # of the spans
    pieces: list[np.ndarray]  # of each window, ascending; always its last one

    @classmethod
    def of(cls, query: Query, cut: Cut) -> "TextPlan":
        """query (Query): What is asked. cut (Cut): The text.
        RETURNS (TextPlan): The rows."""
        stretches = [find_stretch(query.text, *span) for span in query.spans]
        wanted = [{window.stop - window.first - 1} for window in cut.windows]
        for stretch in stretches:
            for i, before, last in _occurrences(cut, stretch):
                wanted[i] |= {last} if before is None else {before, last}
        for i, window in enumerate(cut.windows if query.curve else ()):
            fresh = _first_new(cut, i) - window.first
            wanted[i].update(range(fresh, window.stop - window.first))
        pieces = [np.array(sorted(own), dtype=np.int64) for own in wanted]
        return cls(query, cut, stretches, pieces)

    @property
    def tokens(self) -> list[np.ndarray]:
        """RETURNS (List[ndarray]): The rows as tokens of the framed windows: what the
        tokenizer puts after a text counts to its last piece."""
        pairs = zip(self.cut.windows, self.pieces, strict=True)
        return [window.tokens_of(pieces) for window, pieces in pairs]


def output_rows(plan: TextPlan) -> list[np.ndarray]:
    """Of which rows the logits of a text and its spans are the maximum.

    plan (TextPlan): The text. Its rows are counted window after window.
    RETURNS (List[ndarray]): Rows of the text, and then of each span; none of what a
        limit left out.
    """
    bounds = np.cumsum([0, *map(len, plan.pieces)])
    outputs = [bounds[1:] - 1]
    for stretch in plan.stretches:
        own = [
            bounds[i] + np.searchsorted(plan.pieces[i], last)
            for i, _, last in _occurrences(plan.cut, stretch)
        ]
        outputs.append(np.array(own, dtype=np.int64))
    return outputs


def read_span(
    cut: Cut, rows: Sequence[WindowRows], stretch: Stretch | None, n_labels: int
) -> SpanScores | None:
    """cut (Cut): The text.
    rows (Sequence[WindowRows]): Of each window.
    stretch (Optional[Tuple[int, int]]): From `find_stretch`.
    n_labels (int): The categories.
    RETURNS (Optional[SpanScores]): 0.0 for an empty span. None where a limit of the
        user's left out all of it."""
    if stretch is None:
        return SpanScores(np.zeros(n_labels, "f4"), np.zeros(n_labels + 1, "f4"))
    found = _occurrences(cut, stretch)
    if not found:
        return None
    scores = np.stack([rows[i].at(last) for i, _, last in found])
    nothing = np.zeros(n_labels, dtype=np.float32)
    before = np.stack(
        [nothing if piece is None else rows[i].at(piece) for i, piece, _ in found]
    )
    winners = scores.argmax(axis=0)
    delta = (scores - before)[winners, np.arange(n_labels)]
    largest = scores.max(axis=1)
    top = largest.argmax()
    of_largest = largest[top] - before[top].max()
    return SpanScores(scores.max(axis=0), np.append(delta, of_largest))


def read_curve(cut: Cut, rows: Sequence[WindowRows], n_labels: int) -> Curve:
    """The scores of a text up to each piece, as if the text ended there: the window
    that then would be the last, and all before it; and of what its second view reads
    up to there, if there is one.

    cut (Cut): The text.
    rows (Sequence[WindowRows]): Of each window.
    n_labels (int): The categories.
    RETURNS (Curve): Of all pieces of the text itself that are in a window.
    """
    views = [window.part.view is not None for window in cut.windows]
    n_own = views.index(True) if any(views) else len(views)
    curve = _read_view(cut, rows, range(n_own), n_labels)
    second = _read_view(cut, rows, range(n_own, len(views)), n_labels)
    if not len(second.ends):
        return curve
    read = np.searchsorted(second.ends, curve.ends, side="right")
    padded = np.concatenate((np.zeros((1, n_labels), "f4"), second.probabilities))
    return Curve(curve.ends, np.maximum(curve.probabilities, padded[read]))


def _read_view(
    cut: Cut, rows: Sequence[WindowRows], numbers: Iterable[int], n_labels: int
) -> Curve:
    """The curve of some windows."""
    ends, probabilities = [np.zeros(0, "i8")], [np.zeros((0, n_labels), "f4")]
    so_far = np.zeros(n_labels, dtype=np.float32)
    for i in numbers:
        window, fresh = cut.windows[i], _first_new(cut, i)
        ends.append(window.part.ends[fresh : window.stop])
        own = rows[i].probabilities[-(window.stop - fresh) :]
        probabilities.append(np.maximum(so_far, own))
        so_far = np.maximum(so_far, own[-1])
    return Curve(np.concatenate(ends), np.concatenate(probabilities))


def _first_new(cut: Cut, i: int) -> int:
    """The first piece of a window that the one before it does not reach."""
    window = cut.windows[i]
    if i and cut.windows[i - 1].part is window.part:
        return max(window.first, cut.windows[i - 1].stop)
    return window.first


def _occurrences(
    cut: Cut, stretch: Stretch | None
) -> list[tuple[int, int | None, int]]:
    """Where a stretch lies: for each window that overlaps it the window, the piece
    before the stretch if the window has it, and the last piece, of that window."""
    found: list[tuple[int, int | None, int]] = []
    if stretch is None:
        return found
    for run in cut.runs:
        pieces = run.part.pieces(*stretch)
        if pieces is None:
            continue
        first, last = pieces
        begin = bisect_right(run.stops, max(first, 0))
        for i in range(begin, bisect_right(run.firsts, last)):
            own, stop = run.firsts[i], run.stops[i]
            before = first - 1 - own if first > own else None
            found.append((run.index + i, before, min(last, stop - 1) - own))
    return found
