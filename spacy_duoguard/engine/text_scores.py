"""From the probabilities of windows to the scores of a text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .prefix_scores import Curve, PrefixScores, QueryPlan, SpanScores


@dataclass(frozen=True)
class WindowScores:
    """The scores of one window of a text."""

    start: int  # character offsets into the text, half-open
    end: int
    probabilities: np.ndarray  # (n_labels,) float32


@dataclass(frozen=True)
class TextScores:
    """The scores of one text."""

    probabilities: np.ndarray  # (n_labels,) float32, maximum over the windows
    windows: tuple[WindowScores, ...]  # empty for a text without tokens
    truncated: bool  # `max_chars` or `max_windows` left out a part of the text
    spans: tuple[SpanScores | None, ...] = ()  # in context; None if left out
    curve: Curve | None = None


def read_scores(
    plan: QueryPlan, windows: Sequence[np.ndarray], n_labels: int
) -> TextScores:
    """plan (QueryPlan): What was scored.
    windows (Sequence[ndarray]): For each window of the plan the probabilities at its
        scored tokens, (n_scored, n_labels).
    n_labels (int): The number of categories.
    RETURNS (TextScores): The scores of the text, and of its spans and prefixes."""
    window_scores = tuple(
        [
            WindowScores(*window.char_span, probabilities[-1])
            for window, probabilities in zip(plan.text.windows, windows, strict=True)
        ]
    )
    if len(window_scores) == 1:
        maximum = window_scores[0].probabilities.copy()
    elif window_scores:
        maximum = np.max([window.probabilities for window in window_scores], axis=0)
    else:
        maximum = np.zeros(n_labels, dtype=np.float32)
    truncated = plan.text.truncated
    if not (plan.spans or plan.query.curve):
        return TextScores(maximum, window_scores, truncated)
    scores = list(map(PrefixScores, plan.tokens, windows))
    spans = tuple(plan.read_span(span, scores, n_labels) for span in plan.spans)
    curve = plan.read_curve(scores, n_labels) if plan.query.curve else None
    return TextScores(maximum, window_scores, truncated, spans, curve)
