"""From the probabilities of windows to the scores of a text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .prefix_scores import Curve, PrefixScores, QueryPlan, SpanScores
from .text.lossless import needs_token
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

    def covers(self, text: str, start: int, end: int) -> bool:
        """text (str): The text that was scored.
        start (int), end (int): Character offsets of a part of it.
        RETURNS (bool): Whether all of the part that needs a token is in a window."""
        return not self.truncated or not any(self._left_out(text, start, end))

    def covers_none(self, text: str, start: int, end: int) -> bool:
        """text (str), start (int), end (int): As in `covers`.
        RETURNS (bool): Whether the part needs tokens, and none of them is in a
            window."""
        if not self.truncated:
            return False
        needed = sum(map(needs_token, text[start:end]))
        return 0 < needed == sum(self._left_out(text, start, end))

    def _left_out(self, text: str, start: int, end: int) -> Iterator[bool]:
        """YIELDS (bool): For each character of a part that is in no window whether it
        needs a token."""
        spans = sorted((w.start, w.end) for w in self.windows if w.view == TEXT)
        at = start
        for first, last in (*spans, (end, end)):
            yield from map(needs_token, text[at : min(first, end)])
            at = max(at, last)


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
    truncated = plan.text.truncated
    if plan.is_plain:
        return TextScores(maximum, window_scores, truncated)
    scores = list(map(PrefixScores, plan.tokens, windows))
    spans = tuple(plan.read_span(span, scores, n_labels) for span in plan.spans)
    curve = plan.read_curve(scores, n_labels) if plan.query.curve else None
    return TextScores(maximum, window_scores, truncated, spans, curve)


def _score_window(window: Window, probabilities: np.ndarray) -> WindowScores:
    segment, (start, end) = window.segment, window.char_span
    if segment.view is None:  # as nearly all windows
        return WindowScores(start, end, probabilities)
    return WindowScores(start, end, probabilities, segment.name, window.read_as)
