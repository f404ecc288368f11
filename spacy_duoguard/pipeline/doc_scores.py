"""From docs and spans to queries for the engine, and from its answers to scores."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span

from ..engine.conversation import TurnSpan, offsets_of
from ..engine.prefix_scores import Curve, Query, SpanScores, visible_span
from ..engine.text_scores import Coverage, TextScores, WindowScores
from ..engine.turn_scores import ScoredTurn, score_turns
from ..errors import Errors, ScoringError, SettingsError

# As in spacy-transformers' registry `span_getters`.
SpanGetter = Callable[[list[Doc]], Iterable[Iterable[Span]]]


@dataclass(frozen=True)
class ScoredSpan:
    """The scores of a span."""

    span: Span
    probabilities: np.ndarray  # (n_labels,)
    delta: np.ndarray | None  # (n_labels + 1,), last `unsafe`; None for isolated spans
    truncated: bool = False  # a limit left out a part of it


@dataclass(frozen=True)
class DocScores:
    """The scores of a doc."""

    status: str  # "ok", "empty", "truncated" or "error"
    probabilities: np.ndarray  # (n_labels,)
    windows: tuple[WindowScores, ...]
    spans: tuple[ScoredSpan, ...] | None  # None if no spans are scored
    curve: Curve | None  # None if no curve is stored
    turns: tuple[ScoredTurn, ...] | None = None  # None if it isn't a conversation
    # What they are the scores of, as far as it is known. A text is never shown.
    text: str | None = field(default=None, repr=False, compare=False)
    labels: tuple[str, ...] | None = field(default=None, repr=False, compare=False)

    @property
    def has_failed(self) -> bool:
        """RETURNS (bool): Whether the doc could not be scored."""
        return self.status == "error"

    @classmethod
    def failed(
        cls, n_labels: int, spans: Sequence[Span] | None, *, deltas: bool, curve: bool
    ) -> "DocScores":
        """The scores of a doc that could not be scored, which is marked unsafe.

        n_labels (int): Number of categories.
        spans (Optional[Sequence[Span]]): The doc's spans, None if none are scored.
        deltas (bool): Whether spans are scored in context.
        curve (bool): Whether a curve is stored.
        RETURNS (DocScores): With 1.0 for all probabilities and deltas.
        """
        ones = np.ones(n_labels, dtype=np.float32)
        delta = np.ones(n_labels + 1, dtype=np.float32) if deltas else None
        scored = None
        if spans is not None:
            scored = tuple(ScoredSpan(span, ones, delta) for span in spans)
        empty = Curve(np.zeros(0, dtype=np.int64), np.zeros((0, n_labels)))
        return cls("error", ones, (), scored, empty if curve else None)


@dataclass(frozen=True)
class Chats:
    """Which docs are conversations."""

    turns: Sequence[Sequence[TurnSpan] | None]  # of each doc; None if it isn't one
    roles: Collection[str] | None = None  # those whose turns are scored; None: all


@dataclass(frozen=True)
class DocQueries:
    """The queries to the engine: one for each doc, then one for each span that is
    scored as a text of its own."""

    queries: list[Query]
    spans: list[Sequence[Span] | None]  # of each doc; None if no spans are scored
    isolated: list[slice]  # of each doc: its spans in `queries`; empty if in context
    chats: "Chats"
    curve: bool  # whether the docs keep their curves

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        spans: Sequence[Sequence[Span]] | None,
        *,
        in_context: bool,
        curve: bool,
        chats: "Chats | None" = None,
    ) -> "DocQueries":
        """texts (Sequence[str]): The text of each doc.
        spans (Optional[Sequence[Sequence[Span]]]): The spans of each doc, None if none
            are scored.
        in_context (bool): Score spans in the pass of their doc, not as texts of their
            own.
        curve (bool): Whether to score the docs up to each token.
        chats (Optional[Chats]): Which of the docs are conversations.
        RETURNS (DocQueries): The queries."""
        groups: list[Sequence[Span] | None] = [*spans] if spans else [None] * len(texts)
        chats = chats or Chats([None] * len(texts))
        # The curve tells what a text scores up to the end of each turn.
        curves = [curve or turns is not None for turns in chats.turns]
        messages = [offsets_of(turns or ()) for turns in chats.turns]
        queries = [
            Query(text, curve=with_curve, messages=of_chat)
            for text, with_curve, of_chat in zip(texts, curves, messages, strict=True)
        ]
        if in_context:
            pairs = zip(queries, groups, strict=True)
            queries = [query._replace(spans=_offsets(group)) for query, group in pairs]
            return cls(queries, groups, [slice(0)] * len(texts), chats, curve)
        if spans is None:
            return cls(queries, groups, [slice(0)] * len(texts), chats, curve)
        isolated = []
        for group in groups:
            start = len(queries)
            queries += [Query(span.text) for span in group or ()]
            isolated.append(slice(start, len(queries)))
        return cls(queries, groups, isolated, chats, curve)

    def read(
        self, answers: Sequence[TextScores], labels: tuple[str, ...] | None = None
    ) -> list[DocScores]:
        """answers (Sequence[TextScores]): One for each query, in order.
        labels (Optional[Tuple[str, ...]]): The categories.
        RETURNS (List[DocScores]): One for each doc."""
        scores = []
        rows = zip(self.spans, self.isolated, self.chats.turns, strict=True)
        for i, (spans, part, turns) in enumerate(rows):
            text, answer = self.queries[i].text, answers[i]
            of_doc = _read_doc(text, answer, spans, answers[part], labels)
            if turns is not None:
                of_doc = replace(
                    of_doc,
                    turns=score_turns(text, turns, answer, self.chats.roles),
                    curve=answer.curve if self.curve else None,
                )
            scores.append(of_doc)
        return scores


def query_in_context(text: str, spans: Sequence[Span] | None) -> Query:
    """text (str): The text of a doc.
    spans (Optional[Sequence[Span]]): Spans of the doc to score in its pass.
    RETURNS (Query): The query to the engine."""
    return Query(text, _offsets(spans))


def _offsets(spans: Sequence[Span] | None) -> tuple[tuple[int, int], ...]:
    return tuple((span.start_char, span.end_char) for span in spans or ())


def _read_doc(
    whole: str,
    text: TextScores,
    spans: Sequence[Span] | None,
    isolated: Sequence[TextScores],
    labels: tuple[str, ...] | None,
) -> DocScores:
    """The scores of spans are in `text` if they were scored in context, or else in
    `isolated`. If a limit leaves out a span in context, it has no scores; if it cuts an
    isolated one, the doc counts as truncated."""
    scored = None
    if spans is not None:
        coverage = text.coverage(whole if text.spans else "")
        scored = tuple(
            _read_span(span, scores, coverage, whole)
            for span, scores in zip(spans, text.spans or isolated, strict=True)
            if scores is not None
        )
    status = "ok" if text.windows else "empty"
    if text.truncated or any(scores.truncated for scores in isolated):
        status = "truncated"
    return DocScores(
        *(status, text.probabilities, text.windows, scored, text.curve),
        text=whole,
        labels=labels,
    )


def _check_group(returned: Any) -> Iterable[Any]:
    """RAISES (ScoringError): What a span getter returned isn't a list, nor like one."""
    if not isinstance(returned, Iterable):
        raise ScoringError(Errors.E320.format(kind=type(returned).__name__))
    return returned


def _read_span(
    span: Span, scores: SpanScores | TextScores, coverage: Coverage, text: str
) -> ScoredSpan:
    if isinstance(scores, TextScores):
        return ScoredSpan(span, scores.probabilities, None, scores.truncated)
    part = span.start_char, span.end_char
    is_whole = coverage.covers(*(visible_span(text, *part) or part))
    return ScoredSpan(span, scores.probabilities, scores.delta, not is_whole)


def get_sentences(docs: list[Doc]) -> list[list[Span]]:
    """The span getter of `sents = true`.

    docs (List[Doc]): Docs with sentence boundaries.
    RETURNS (List[List[Span]]): Their sentences.
    """
    return [list(doc.sents) for doc in docs]


def get_spans(
    getter: SpanGetter, docs: list[Doc], *, name: str, unset: str = Errors.E041
) -> list[list[Span]]:
    """Call a span getter and check what it returns.

    getter (SpanGetter): The getter.
    docs (List[Doc]): The docs.
    name (str): The component's name, for messages.
    unset (str): The message if the getter needs sentence boundaries and none are set.
    RETURNS (List[List[Span]]): The spans of each doc.
    RAISES (SettingsError): The getter needs sentence boundaries and none are set.
    RAISES (ScoringError): The getter did not return one list per doc, with spans of
        that doc.
    """
    try:
        spans = [list(_check_group(group)) for group in _check_group(getter(docs))]
    except ValueError as e:
        if "[E030]" in str(e):  # spaCy's "sentence boundaries unset"
            raise SettingsError(unset.format(name=name)) from e
        raise
    if len(spans) != len(docs):
        message = Errors.E043.format(got=len(spans), expected=len(docs))
        raise ScoringError(message)
    for doc, group in zip(docs, spans, strict=True):
        if not all(isinstance(span, Span) and span.doc is doc for span in group):
            raise ScoringError(Errors.E050)
    return spans
