"""Prefix scores: what one pass over a text says about every part of it.

The decoder is causal: the output at a token scores the text up to that token, as far
back as its window reaches. Spans and the risk curve are read from the windows in which
the text is scored anyway.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .text.views.view import TEXT
from .text.windows import Window, WindowedText


@dataclass(frozen=True)
class SpanScores:
    """The scores of a span in context."""

    probabilities: np.ndarray  # (n_labels,) float32, maximum over its windows
    # (n_labels + 1,) float32: for each category, and then for `unsafe`, the difference
    # from the prefix score before the span, in the window that gave the maximum.
    delta: np.ndarray


@dataclass(frozen=True)
class Curve:
    """The prefix scores of a text, one for each token."""

    ends: (
        np.ndarray
    )  # (n_tokens,) int64, character offsets at which they end, ascending
    probabilities: np.ndarray  # (n_tokens, n_labels) float32

    def up_to(self, end: int) -> np.ndarray:
        """end (int): A character offset.
        RETURNS (ndarray): (n_labels,), the score of the text up to the token that
            completes the character before it; 0.0 for an offset of 0."""
        n_tokens, n_labels = self.probabilities.shape
        if end <= 0 or not n_tokens:
            return np.zeros(n_labels, dtype=np.float32)
        holder = min(np.searchsorted(self.ends, end), n_tokens - 1)
        last = np.searchsorted(self.ends, self.ends[holder], "right") - 1
        return self.probabilities[last]

    def last_end(self, end: int) -> int:
        """end (int): A character offset.
        RETURNS (int): Where the last token that ends before it, or at it, ends."""
        n_tokens = int(np.searchsorted(self.ends, end, "right"))
        return int(self.ends[n_tokens - 1]) if n_tokens else 0


class Query(NamedTuple):
    """A text to score, and which parts of it to score too."""

    text: str
    spans: tuple[tuple[int, int], ...] = ()  # in context; character offsets
    curve: bool = False  # score every prefix
    messages: tuple[tuple[int, int], ...] = ()  # of a conversation, each read by itself


class SpanInWindow(NamedTuple):
    """The prefix scores of a window that belong to a span."""

    window: int  # its index
    before: int | None  # the token before the span, if the window has it
    last: int  # the last token of the span in this window


@dataclass(frozen=True)
class PrefixScores:
    """The scored tokens of a window."""

    tokens: np.ndarray  # (n_scored,) of the segment, ascending; ends with the window's
    probabilities: np.ndarray  # (n_scored, n_labels) float32

    def at(self, token: int) -> np.ndarray:
        """token (int): One of `tokens`.
        RETURNS (ndarray): (n_labels,), the score of the window up to there."""
        return self.probabilities[np.searchsorted(self.tokens, token)]


def visible_span(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The characters whose tokens stand for a span. A token often holds the space
    before a word, and so touches two spans: whitespace at the ends doesn't count.

    text (str): The text.
    start (int), end (int): The span, in characters.
    RETURNS (Optional[Tuple[int, int]]): The span without whitespace at its ends, or as
        it is if it's all whitespace. None for an empty span.
    """
    body = text[start:end]
    if not body:
        return None
    left = len(body) - len(body.lstrip())
    if left == len(body):
        return start, end
    return start + left, start + len(body.rstrip())


@dataclass(frozen=True)
class QueryPlan:
    """Which tokens of a text's windows have to be scored to answer a query."""

    query: Query
    text: WindowedText
    spans: tuple[tuple[int, int] | None, ...]  # of the query, without whitespace

    @classmethod
    def of(cls, query: Query, text: WindowedText) -> "QueryPlan":
        """query (Query): What to score. text (WindowedText): Its windows.
        RETURNS (QueryPlan): The tokens to score."""
        if not query.spans:
            return cls(query, text, ())
        spans = [visible_span(query.text, *span) for span in query.spans]
        return cls(query, text, tuple(spans))

    @property
    def is_plain(self) -> bool:
        """RETURNS (bool): Whether only the text is scored: its windows, up to their
        ends."""
        return not (self.query.spans or self.query.curve)

    @cached_property
    def tokens(self) -> list[np.ndarray]:
        """RETURNS (List[ndarray]): For each window the tokens of its segment to score,
        ascending. They end with the window's last one."""
        windows = self.text.windows
        wanted = [{window.stop - 1} for window in windows]
        for span in self.spans:
            for i, before, last in _find_span(self.text, span):
                wanted[i] |= {last} if before is None else {before, last}
        for i, window in enumerate(windows if self.query.curve else ()):
            wanted[i].update(range(_first_new(windows, i), window.stop))
        return [np.array(sorted(scored), dtype=np.int64) for scored in wanted]

    @property
    def positions(self) -> list[np.ndarray]:
        """RETURNS (List[ndarray]): For each window the positions to score."""
        pairs = zip(self.text.windows, self.tokens, strict=True)
        return [window.positions(tokens) for window, tokens in pairs]

    def outputs(self) -> list[np.ndarray]:
        """The prefix scores that the text and its spans are the maximum of.

        RETURNS (List[ndarray]): For the text and then for each span, indices into the
            prefix scores of all windows, one after the other. Empty for a span that a
            limit left out.
        """
        bounds = np.cumsum([0, *map(len, self.tokens)])
        outputs = [bounds[1:] - 1]
        for span in self.spans:
            indices = [
                bounds[i] + np.searchsorted(self.tokens[i], last)
                for i, _, last in _find_span(self.text, span)
            ]
            outputs.append(np.array(indices, dtype=np.int64))
        return outputs

    def read_span(
        self,
        span: tuple[int, int] | None,
        scores: Sequence[PrefixScores],
        n_labels: int,
    ) -> SpanScores | None:
        """span (Optional[Tuple[int, int]]): One of `spans`.
        scores (Sequence[PrefixScores]): The scores of each window.
        n_labels (int): The number of categories.
        RETURNS (Optional[SpanScores]): 0.0 for an empty span; None if a limit left out
            all of it."""
        zeros = np.zeros(n_labels, dtype=np.float32)
        if span is None:
            return SpanScores(zeros, np.zeros(n_labels + 1, dtype=np.float32))
        places = _find_span(self.text, span)
        if not places:
            return None
        after = np.stack([scores[i].at(last) for i, _, last in places])
        before = np.stack(
            [zeros if token is None else scores[i].at(token) for i, token, _ in places]
        )
        winners = after.argmax(axis=0)
        delta = (after - before)[winners, np.arange(n_labels)]
        unsafe = after.max(axis=1)
        top = unsafe.argmax()
        unsafe_delta = unsafe[top] - before[top].max()
        return SpanScores(after.max(axis=0), np.append(delta, unsafe_delta))

    def read_curve(self, scores: Sequence[PrefixScores], n_labels: int) -> Curve:
        """The score of the text up to each token, as if the text ended there: the
        maximum over the window that would be the last, all before it, and what each
        view reads up to there.

        scores (Sequence[PrefixScores]): The scores of each window.
        n_labels (int): The number of categories.
        RETURNS (Curve): For all tokens of the text itself that are in a window.
        """
        by_view: dict[str, list[int]] = {TEXT: []}
        for i, window in enumerate(self.text.windows):
            by_view.setdefault(window.segment.name, []).append(i)
        curve, *others = [
            _read_view(self.text.windows, scores, indices, n_labels)
            for indices in by_view.values()
        ]
        start = np.zeros((1, n_labels), dtype=np.float32)
        for other in others:
            n_read = np.searchsorted(other.ends, curve.ends, side="right")
            so_far = np.concatenate((start, other.probabilities))[n_read]
            curve = Curve(curve.ends, np.maximum(curve.probabilities, so_far))
        return curve


class QueryBatch:
    """The windows of several queries, one after the other."""

    def __init__(self, plans: Sequence[QueryPlan]) -> None:
        """plans (Sequence[QueryPlan]): What to score."""
        self.plans = plans
        self.ids = [window.ids for plan in plans for window in plan.text.windows]
        ends = np.array([len(ids) - 1 for ids in self.ids], dtype=np.int64)
        # For each window the positions to score: of most texts only the last one.
        self.positions = list(ends[:, None])
        for plan, of_plan in zip(plans, self.slices, strict=True):
            if not plan.is_plain:
                self.positions[of_plan] = plan.positions

    @property
    def slices(self) -> Iterator[slice]:
        """YIELDS (slice): For each plan which of the windows belong to it."""
        stop = 0
        for plan in self.plans:
            start, stop = stop, stop + len(plan.text.windows)
            yield slice(start, stop)


def _read_view(
    windows: Sequence[Window],
    scores: Sequence[PrefixScores],
    indices: Iterable[int],
    n_labels: int,
) -> Curve:
    """The curve over some of the windows."""
    ends, probabilities = [np.zeros(0, "i8")], [np.zeros((0, n_labels), "f4")]
    so_far = np.zeros(n_labels, dtype=np.float32)
    for i in indices:
        window, first = windows[i], _first_new(windows, i)
        ends.append(window.segment.token_ends[first : window.stop])
        fresh = scores[i].probabilities[-(window.stop - first) :]
        probabilities.append(np.maximum(so_far, fresh))
        so_far = np.maximum(so_far, fresh[-1])
    # Of a view in another order, the last segment can end before the first one.
    ascending = np.maximum.accumulate(np.concatenate(ends))
    return Curve(ascending, np.concatenate(probabilities))


def _first_new(windows: Sequence[Window], i: int) -> int:
    """The first token of a window that the previous window doesn't have."""
    window = windows[i]
    if i and windows[i - 1].segment is window.segment:
        return max(window.start, windows[i - 1].stop)
    return window.start


def _find_span(text: WindowedText, span: tuple[int, int] | None) -> list[SpanInWindow]:
    """Find a span in every window that overlaps it."""
    places: list[SpanInWindow] = []
    if span is None:
        return places
    for windows in text.segments:
        if (tokens := windows.segment.token_span(*span)) is None:
            continue
        first, stop = tokens
        begin = bisect_right(windows.stops, first)
        for i in range(begin, bisect_right(windows.starts, stop - 1)):
            before = first - 1 if first > windows.starts[i] else None
            last = min(stop, windows.stops[i]) - 1
            places.append(SpanInWindow(windows.first + i, before, last))
    return places
