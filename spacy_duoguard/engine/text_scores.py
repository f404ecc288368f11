"""From the probabilities of windows to the scores of a text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .prefix_scores import Curve, PrefixScores, QueryPlan, SpanScores
from .text.views.view import TEXT
from .text.windows import Window


class WindowScores(NamedTuple):
    """The scores of one window of a text."""

    start: int  # character offsets into the text, half-open
    end: int
    probabilities: np.ndarray  # (n_labels,) float32
    view: str = TEXT  # which reading of the text, or the text itself
    read_as: str | None = None  # what was scored; None for the text itself


@dataclass(frozen=True)
class TextScores:
    """The scores of one text."""

    probabilities: np.ndarray  # (n_labels,) float32, maximum over the windows
    windows: tuple[WindowScores, ...]  # empty for a text without tokens
    truncated: bool  # `max_chars` or `max_windows` left out a part of the text
    spans: tuple[SpanScores | None, ...] = ()  # in context; None if left out
    curve: Curve | None = None
    truncated_view: bool = False  # a limit left out a part of a view

    def copy(self) -> "TextScores":
        """RETURNS (TextScores): Equal scores, in arrays of their own."""
        windows = [
            window._replace(probabilities=window.probabilities.copy())
            for window in self.windows
        ]
        spans = [
            span and SpanScores(span.probabilities.copy(), span.delta.copy())
            for span in self.spans
        ]
        curve = self.curve
        return replace(
            self,
            probabilities=self.probabilities.copy(),
            windows=tuple(windows),
            spans=tuple(spans),
            curve=curve and Curve(curve.ends.copy(), curve.probabilities.copy()),
        )

    def coverage(self, text: str) -> "Coverage":
        """text (str): The text that was scored.
        RETURNS (Coverage): Which parts of it are in a window."""
        return Coverage(text, self)


class Coverage:
    """Which parts of a text are in a window. To ask takes no longer for long parts, so
    a text can have any number of them."""

    def __init__(self, text: str, scores: TextScores) -> None:
        """text (str): A text.
        scores (TextScores): Its scores."""
        self.truncated = scores.truncated
        if not self.truncated:
            return
        missing = np.ones(len(text), dtype=bool)
        for window in scores.windows:
            if window.view == TEXT:
                missing[window.start : window.end] = False
        # Also what is invisible: a model, or a view, may read it.
        written = ~np.fromiter(map(str.isspace, text), dtype=bool, count=len(text))
        # How many characters there are before each offset.
        self._missing = _count_before(missing)
        self._written = _count_before(written)
        self._left_out = _count_before(missing & written)
        # A window of a view that a limit left out isn't known, nor is one of the text
        # whose tokens are all in its neighbours: it could concern any part.
        views = any(window.view != TEXT for window in scores.windows)
        is_view_known = not (views or scores.truncated_view)
        self._is_known = bool(self._left_out[-1]) and is_view_known

    def covers(self, start: int, end: int) -> bool:
        """start (int), end (int): Character offsets of a part of the text.
        RETURNS (bool): Whether all of the part is in a window, with its whitespace, and
            no window that a limit left out can concern it."""
        if not self.truncated:
            return True
        is_whole = bool(self._missing[start] == self._missing[end])
        return self._is_known and is_whole

    def covers_none(self, start: int, end: int) -> bool:
        """start (int), end (int): As in `covers`.
        RETURNS (bool): Whether there is something in the part, and nothing of it in a
            window."""
        if not self.truncated:
            return False
        written = self._written[end] - self._written[start]
        return bool(0 < written == self._left_out[end] - self._left_out[start])


def _count_before(characters: np.ndarray) -> np.ndarray:
    return np.concatenate(([0], characters.cumsum()))


def unshared(scores: Iterable[TextScores]) -> list[TextScores]:
    """scores (Iterable[TextScores]): Scores, maybe the same ones several times.
    RETURNS (List[TextScores]): The same, with copies of those that were there before:
        callers may write into what they get."""
    seen: set[int] = set()
    separate = []
    for of_text in scores:
        separate.append(of_text.copy() if id(of_text) in seen else of_text)
        seen.add(id(of_text))
    return separate


def read_scores(
    plan: QueryPlan, windows: Sequence[np.ndarray], n_labels: int
) -> TextScores:
    """plan (QueryPlan): What was scored.
    windows (Sequence[ndarray]): For each window of the plan the probabilities at its
        scored tokens, (n_scored, n_labels).
    n_labels (int): The number of categories.
    RETURNS (TextScores): The scores of the text, and of its spans and prefixes."""
    pairs = zip(plan.text.windows, windows, strict=True)
    window_scores = tuple([_score_window(window, rows[-1]) for window, rows in pairs])
    if len(window_scores) == 1:
        maximum = window_scores[0].probabilities.copy()
    elif window_scores:
        maximum = np.max([window.probabilities for window in window_scores], axis=0)
    else:
        maximum = np.zeros(n_labels, dtype=np.float32)
    text = plan.text
    scores = TextScores(
        maximum, window_scores, text.truncated, truncated_view=text.truncated_view
    )
    if plan.is_plain:
        return scores
    rows = list(map(PrefixScores, plan.tokens, windows))
    spans = tuple(plan.read_span(span, rows, n_labels) for span in plan.spans)
    curve = plan.read_curve(rows, n_labels) if plan.query.curve else None
    return replace(scores, spans=spans, curve=curve)


def _score_window(window: Window, probabilities: np.ndarray) -> WindowScores:
    segment, (start, end) = window.segment, window.char_span
    if segment.view is None:  # as nearly all windows
        return WindowScores(start, end, probabilities)
    return WindowScores(start, end, probabilities, segment.name, window.read_as)
