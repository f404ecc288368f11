"""What is asked of the engine about docs, and what its answers say about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc, Span

from ..engine.classifier import TextScores, WindowScores
from ..engine.prefix_scores import Curve, Query


@dataclass(frozen=True)
class ScoredSpan:
    """A span and what scoring found out about it."""

    span: Span
    probabilities: np.ndarray  # (n_labels,)
    # (n_labels + 1,), of the categories and of `unsafe`; None for a text of its own
    delta: np.ndarray | None


@dataclass(frozen=True)
class DocScores:
    """What scoring found out about one doc."""

    status: str  # "ok", "empty", "truncated" or "error"
    probabilities: np.ndarray  # (n_labels,)
    windows: tuple[WindowScores, ...]
    spans: tuple[ScoredSpan, ...] | None  # None where none are wanted
    curve: Curve | None  # None where none is wanted

    @classmethod
    def failed(
        cls, n_labels: int, spans: Sequence[Span] | None, *, deltas: bool, curve: bool
    ) -> "DocScores":
        """A guard fails closed: what could not be scored reads as unsafe.

        n_labels (int): The categories.
        spans (Optional[Sequence[Span]]): The doc's spans, None if none are wanted.
        deltas (bool): Whether spans are scored in context.
        curve (bool): Whether a curve is wanted.
        RETURNS (DocScores): All probabilities and changes are 1.0.
        """
        ones = np.ones(n_labels, dtype=np.float32)
        delta = np.ones(n_labels + 1, dtype=np.float32) if deltas else None
        found = None
        if spans is not None:
            found = tuple(ScoredSpan(span, ones, delta) for span in spans)
        nothing = Curve(np.zeros(0, dtype=np.int64), np.zeros((0, n_labels)))
        return cls("error", ones, (), found, nothing if curve else None)


def ask(
    docs: Sequence[Doc],
    spans: Sequence[Sequence[Span]] | None,
    *,
    in_context: bool,
    curve: bool,
) -> list[Query]:
    """docs (Sequence[Doc]): The docs.
    spans (Optional[Sequence[Sequence[Span]]]): Of each, None where none are wanted.
    in_context (bool): Score them in the pass of their doc, not as texts of their own.
    curve (bool): Whether the docs' curves are wanted.
    RETURNS (List[Query]): One for each doc, and then one for each span that is a text
        of its own."""
    if spans is None or not in_context:
        queries = [Query(doc.text, curve=curve) for doc in docs]
        return queries + [Query(span.text) for group in spans or () for span in group]
    places = [
        tuple((span.start_char, span.end_char) for span in group) for group in spans
    ]
    return [Query(doc.text, own, curve) for doc, own in zip(docs, places, strict=True)]


def read_answers(
    answers: Sequence[TextScores],
    spans: Sequence[Sequence[Span]] | None,
    *,
    n_docs: int,
    in_context: bool,
) -> list[DocScores]:
    """answers (Sequence[TextScores]): To what `ask` asked.
    spans (Optional[Sequence[Sequence[Span]]]): As for `ask`.
    n_docs (int): How many docs there are.
    in_context (bool): As for `ask`.
    RETURNS (List[DocScores]): One for each doc."""
    texts, rest = answers[:n_docs], iter(answers[n_docs:])
    if spans is None:
        return [_of_doc(text, None) for text in texts]
    pairs = zip(texts, spans, strict=True)
    if in_context:
        return [_of_doc(text, _in_context(text, group)) for text, group in pairs]
    return [_with_isolated(text, group, rest) for text, group in pairs]


def _of_doc(
    text: TextScores, spans: Sequence[ScoredSpan] | None, *, truncated: bool = False
) -> DocScores:
    """truncated (bool): Whether a limit left out part of a span."""
    status = "ok" if text.windows else "empty"
    if text.truncated or truncated:
        status = "truncated"
    found = None if spans is None else tuple(spans)
    return DocScores(status, text.probabilities, text.windows, found, text.curve)


def _in_context(text: TextScores, spans: Sequence[Span]) -> list[ScoredSpan]:
    return [
        ScoredSpan(span, own.probabilities, own.delta)
        for span, own in zip(spans, text.spans, strict=True)
        if own is not None
    ]


def _with_isolated(
    text: TextScores, spans: Sequence[Span], answers: Iterator[TextScores]
) -> DocScores:
    """Take the answers about a doc's spans from the iterator."""
    pairs = [(span, next(answers)) for span in spans]
    return _of_doc(
        text,
        [ScoredSpan(span, own.probabilities, None) for span, own in pairs],
        truncated=any(own.truncated for _, own in pairs),
    )
