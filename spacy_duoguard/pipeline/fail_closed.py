"""A guard fails closed: a doc either gets its true scores or is marked unsafe, whatever
the error handler does."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from multiprocessing import parent_process
from typing import Any, TypeVar

from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span

from ..engine.decisions import Policy
from ..engine.fallbacks import HALVED, Fallbacks, describe
from ..engine.verdict import HIGHEST
from ..errors import Errors, ScoringError
from ..taxonomy import CATEGORIES, UNSAFE
from .annotations import annotate, make_record
from .architecture import get_shim
from .doc_record import text_length
from .doc_scores import DocScores, get_spans
from .record_writer import SpansGroup, earlier_group, write_record
from .settings import FACTORY, SPANS_KEY

_MOST_LOADS = 8  # while the same docs are scored

_Value = TypeVar("_Value")


def score_docs(component: TrainablePipe, docs: list[Doc]) -> None:
    """Mark docs as failed, and score them.

    component (DuoGuard), docs (List[Doc]): As for `score_marked`.
    RAISES (ScoringError): Something among them isn't a doc.
    """
    mark_docs(component, docs)
    score_marked(component, docs)


def mark_docs(component: TrainablePipe, docs: Sequence[Doc]) -> None:
    """Mark docs as failed, so that no interruption leaves a doc that looks safe.

    component (DuoGuard): The component.
    docs (Sequence[Doc]): The docs. What isn't one is left alone.
    """
    to_mark = [doc for doc in docs if isinstance(doc, Doc)]
    has_spans = getattr(component, "span_getter", None) is not None
    _mark_failed(component, to_mark, () if has_spans else None)


def score_marked(component: TrainablePipe, docs: list[Doc]) -> None:
    """Score docs that are marked as failed.

    component (DuoGuard): The component.
    docs (List[Doc]): The docs.
    RAISES (ScoringError): Something among them isn't a doc.
    """
    check_docs(docs)
    try:
        _ = component.classifier
    except Exception as e:  # the model doesn't load: there is no point in trying texts
        for doc in docs:
            _fail(component, doc)
        if parent_process() is None:
            raise
        # If a worker raises, and the handler doesn't, spaCy leaves out all its docs.
        component.get_error_handler()(component.name, component, docs, e)
        return
    score_or_halve(component, docs)


def check_docs(docs: Any) -> list[Doc]:
    """docs (Iterable[Doc]): The docs.
    RETURNS (List[Doc]): The same.
    RAISES (ScoringError): They aren't docs, or a single one."""
    if isinstance(docs, (str, bytes, Doc)) or not isinstance(docs, Iterable):
        raise ScoringError(Errors.E323.format(kind=type(docs).__name__))
    docs = docs if isinstance(docs, list) else list(docs)
    for doc in docs:
        if not isinstance(doc, Doc):
            raise ScoringError(Errors.E323.format(kind=type(doc).__name__))
    return docs


def score_or_halve(component: TrainablePipe, docs: list[Doc]) -> bool:
    """Score docs. If that fails, halve the batch down to the failing doc, so that the
    others keep their scores.

    component (DuoGuard): The component.
    docs (List[Doc]): The docs.
    RETURNS (bool): Whether all of them have scores. If they have although the batch
        failed, the error handler has not seen the error: W005 reports it.
    """
    try:
        _score(component, docs)
    except Exception as e:
        if len(docs) == 1:
            _handle(component, docs[0], e)
            return False
        cause, fallbacks = describe(e), _get_fallbacks(component)
        fallbacks.count(HALVED, cause)
        middle = len(docs) // 2
        scored = [
            score_or_halve(component, half) for half in (docs[:middle], docs[middle:])
        ]
        if all(scored):
            try:
                fallbacks.report(HALVED, cause)
            except UserWarning as warning:  # a filter made it an error, of no doc
                handler = component.get_error_handler()
                handler(component.name, component, [], warning)
        return all(scored)
    return True


def _score(component: TrainablePipe, docs: list[Doc]) -> None:
    """Score docs with the weights and the settings of one load. If another thread loads
    others meanwhile, the docs are scored again."""
    shim = get_shim(component.model)
    for _ in range(_MOST_LOADS):
        loads = shim.count_loads()
        try:
            scores = component.predict(docs)
            if not shim.has_loaded(loads):
                component.set_annotations(docs, scores)
        except Exception:
            if not shim.has_loaded(loads):
                raise
        if not shim.has_loaded(loads):
            return
        mark_docs(component, docs)  # they may have the scores of both
    raise ScoringError(Errors.E352.format(name=component.name, count=_MOST_LOADS))


def _get_fallbacks(component: TrainablePipe) -> Fallbacks:
    """The classifier's; others if it can't be used."""
    return _attempt(lambda: component.classifier.runner.fallbacks, Fallbacks())


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
    if (getter := getattr(component, "span_getter", None)) is not None:
        try:
            spans = get_spans(getter, [doc], name=component.name)[0]
        except Exception:  # then the getter's error is the one that is reported
            spans = ()
    try:
        _mark_failed(component, [doc], spans)
    except Exception:  # spans that don't fit the doc any more
        _mark_failed(component, [doc], ())


def _mark_failed(
    component: TrainablePipe, docs: Sequence[Doc], spans: Sequence[Span] | None
) -> None:
    """Write the results of docs that failed. Nothing here may raise, whatever the
    settings and the model have become: a doc would keep its earlier scores.

    spans (Optional[Sequence[Span]]): Those of the doc, if it's only one.
    """
    labels = _attempt(lambda: tuple(component.labels), ()) or CATEGORIES
    scores = DocScores.failed(
        len(labels),
        spans,
        deltas=_attempt(lambda: bool(component.in_context), True),
        curve=_attempt(lambda: component.cfg["curve"] is not False, True),
    )
    name = _attempt(lambda: component.name, FACTORY)
    policy = Policy(dict.fromkeys(labels, 0.0), dict.fromkeys(labels))
    shared = _get_group(component, name)
    cats = dict.fromkeys((*labels, UNSAFE), HIGHEST)
    records: dict[str, dict[str, Any]] = {}
    for doc in docs:
        group = shared or _find_group(component, doc, name)
        if spans:
            annotate(doc, scores, policy, group, patience=1)
            continue
        if (key := group.spans_key) not in records:
            records[key] = make_record(scores, policy, group, patience=1)
        record = _copy(records[key])
        record["length"] = _attempt(partial(text_length, doc), 0)
        write_record(doc, record, group, cats=cats)


def _copy(record: dict[str, Any]) -> dict[str, Any]:
    """Copy a record without spans. `deepcopy` takes twenty times as long."""
    copy = record.copy()
    for key, value in record.items():
        if type(value) is list or type(value) is dict:
            copy[key] = value.copy()
    if "curve" in copy:  # the only one with lists in a dict
        copy["curve"] = {key: value.copy() for key, value in copy["curve"].items()}
    return copy


def _get_group(component: TrainablePipe, name: str) -> SpansGroup | None:
    """The group of `doc.spans` for flagged spans; None if the setting can't be used."""
    key = _attempt(lambda: component.cfg["spans_key"], None)
    return SpansGroup(name, key) if isinstance(key, str) and key else None


def _find_group(component: TrainablePipe, doc: Doc, name: str) -> SpansGroup:
    """The group of an earlier run, or the one the component was created with."""
    keys = (
        earlier_group(doc, name),
        _attempt(lambda: component.configured["spans_key"], None),
    )
    key = next((key for key in keys if isinstance(key, str) and key), SPANS_KEY)
    return SpansGroup(name, key)


def _attempt(read: Callable[[], _Value], default: _Value) -> _Value:
    """Read what a user may have broken."""
    try:
        return read()
    except Exception:
        return default
