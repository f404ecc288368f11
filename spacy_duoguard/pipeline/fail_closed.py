"""A guard fails closed: a doc either gets its true scores or is marked unsafe, whatever
the error handler does."""

from collections.abc import Sequence

from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span

from ..errors import Errors, ScoringError
from .doc_scores import DocScores, get_spans


def score_docs(component: TrainablePipe, docs: list[Doc]) -> None:
    """Mark docs as failed, then score them, so that no interruption leaves a doc that
    looks safe.

    component (DuoGuard): The component.
    docs (List[Doc]): The docs.
    """
    for doc in docs:
        _mark_failed(component, doc, () if component.span_getter else None)
    try:
        _ = component.classifier
    except Exception:  # the model doesn't load, so there is no point in trying texts
        for doc in docs:
            _fail(component, doc)
        raise
    score_or_halve(component, docs)


def score_or_halve(component: TrainablePipe, docs: list[Doc]) -> None:
    """Score docs. If that fails, halve the batch down to the failing doc, so that the
    others keep their scores.

    component (DuoGuard): The component.
    docs (List[Doc]): The docs.
    """
    try:
        component.set_annotations(docs, component.predict(docs))
    except Exception as e:
        if len(docs) == 1:
            _handle(component, docs[0], e)
            return
        middle = len(docs) // 2
        score_or_halve(component, docs[:middle])
        score_or_halve(component, docs[middle:])


def _handle(component: TrainablePipe, doc: Doc, error: Exception) -> None:
    """Mark a doc as failed and pass the error on to the error handler."""
    _fail(component, doc)
    if isinstance(error, KeyError):
        cause, error = error, ScoringError(Errors.E044.format(name=component.name))
        error.__cause__ = cause
    component.get_error_handler()(component.name, component, [doc], error)


def _fail(component: TrainablePipe, doc: Doc) -> None:
    """Mark a doc as failed, and its spans if the getter returns them."""
    spans: Sequence[Span] | None = None
    if component.span_getter is not None:
        try:
            spans = get_spans(component.span_getter, [doc], name=component.name)[0]
        except Exception:  # then the getter's error is the one that is reported
            spans = ()
    _mark_failed(component, doc, spans)


def _mark_failed(
    component: TrainablePipe, doc: Doc, spans: Sequence[Span] | None
) -> None:
    curve = bool(component.cfg["curve"])
    scores = DocScores.failed(
        len(component.labels), spans, deltas=component.in_context, curve=curve
    )
    component.set_annotations([doc], [scores])
