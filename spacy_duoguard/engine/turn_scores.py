"""The scores of the turns of a conversation, from one pass over its text."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from .conversation import TurnSpan
from .prefix_scores import visible_span
from .text_scores import Coverage, TextScores
from .verdict import ERROR, HIGHEST

CONTEXT = "context"  # the status of a turn whose role is not scored


@dataclass(frozen=True)
class ScoredTurn:
    """A turn, and the score of the conversation up to its end."""

    span: TurnSpan
    status: str  # "ok", "truncated", "empty", "error" or "context"
    probabilities: np.ndarray | None  # (n_labels,) float32; None for context


def score_spans(text: str, spans: Sequence[TurnSpan], scores: TextScores) -> np.ndarray:
    """text (str): The text of a conversation.
    spans (Sequence[TurnSpan]): Its turns.
    scores (TextScores): The scores of the text, with its curve.
    RETURNS (ndarray): (n_turns, n_labels) float32: row i scores the conversation up to
        the end of turn i, with the spaces that join the turns. 0.0 if there is no text
        up to there, and 1.0 for a turn that a limit left out."""
    curve = scores.curve
    assert curve is not None
    rows = np.zeros((len(spans), len(scores.probabilities)), dtype=np.float32)
    coverage, end = scores.coverage(text), 0
    for row, span in zip(rows, spans, strict=True):
        if _has_no_text(span):
            continue
        if visible := visible_span(text, span.start, span.end):
            end = visible[1]
        # Whitespace after it counts too, if no token joins it to the next turn.
        row[:] = curve.up_to(max(end, curve.last_end(span.end)))
        if coverage.covers_none(span.start, span.end):
            row[:] = HIGHEST
    return rows


def score_turns(
    text: str,
    spans: Sequence[TurnSpan],
    scores: TextScores,
    roles: Collection[str] | None,
) -> tuple[ScoredTurn, ...]:
    """text, spans, scores: As in `score_spans`.
    roles (Optional[Collection[str]]): The roles to score; None for all. Turns without a
        role are always scored.
    RETURNS (Tuple[ScoredTurn, ...]): The turns. Those of other roles are context."""
    rows, coverage = score_spans(text, spans, scores), scores.coverage(text)
    return tuple(
        ScoredTurn(span, _status_of(span, scores, coverage), row)
        if is_scored(span.role, roles)
        else ScoredTurn(span, CONTEXT, None)
        for span, row in zip(spans, rows, strict=True)
    )


def is_scored(role: str | None, roles: Collection[str] | None) -> bool:
    """role (Optional[str]): The role of a turn; None if it has none.
    roles (Optional[Collection[str]]): The roles to score; None for all.
    RETURNS (bool): Whether the turn is scored, and not only context."""
    return roles is None or role is None or role in roles


def _has_no_text(span: TurnSpan) -> bool:
    """Whether the conversation has no text up to the end of a turn."""
    return span.end == 0


def _status_of(span: TurnSpan, scores: TextScores, coverage: Coverage) -> str:
    if not scores.windows or _has_no_text(span):
        return "empty"
    if coverage.covers_none(span.start, span.end):
        return ERROR
    # A limit may have left out what was said before it, which it scores, too.
    return "ok" if coverage.covers(0, span.end) else "truncated"
