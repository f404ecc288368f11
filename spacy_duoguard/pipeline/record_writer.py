"""Writing a record into a doc, in the place of an earlier one. `annotations.py` makes
it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from spacy.tokens import Doc, Span, SpanGroup

from ..engine.verdict import ERROR, to_cats
from .doc_record import KEY, read_record, text_digest

FlaggedSpans = Sequence[tuple[Span, dict[str, float]]]


class SpansGroup(NamedTuple):
    """The group of `doc.spans` that a component writes."""

    component: str
    spans_key: str


def write_record(
    doc: Doc,
    record: dict[str, Any],
    group: SpansGroup,
    spans: FlaggedSpans = (),
    cats: Mapping[str, float] | None = None,
) -> None:
    """doc (Doc), group (SpansGroup): As for `annotate`.
    record (Dict[str, Any]): From `make_record` or `to_record`.
    spans (FlaggedSpans): The spans that it was made of.
    cats (Optional[Mapping[str, float]]): Its scores by name, if known."""
    if cats is None:
        cats = to_cats(record["labels"], record["probs"])
    earlier = earlier_group(doc, group.component, spans_key=group.spans_key)
    before = read_record(doc) or {}
    bind_record(record, doc)
    _repair(doc)
    if before.get("labels") != record["labels"]:
        _forget_labels(doc, before, record)
    if record["status"] == ERROR:  # nothing may keep a doc from being marked
        _write_results(doc, record, cats)
    if earlier is not None:
        doc.spans.pop(earlier, None)
    if record["spans_key"] is not None:
        doc.spans[group.spans_key] = _to_group(doc, spans, group.spans_key)
    # After the spans: if this is interrupted, the doc remains marked as failed.
    if record["status"] != ERROR:
        _write_results(doc, record, cats)


def bind_record(record: dict[str, Any], doc: Doc) -> None:
    """record (Dict[str, Any]): From `make_record` or `to_record`. If it doesn't have a
        digest yet, it gets that of the text.
    doc (Doc): The doc."""
    if "digest" not in record:
        is_scored = record["status"] != ERROR
        record["digest"] = text_digest(doc.text) if is_scored else ""


def _forget_labels(
    doc: Doc, before: Mapping[str, Any], record: Mapping[str, Any]
) -> None:
    """Remove the scores of categories that the component doesn't have any more: it may
    have been loaded anew since."""
    labels = before.get("labels")
    if before.get("component") != record["component"] or not isinstance(
        labels, (list, tuple)
    ):
        return
    for label in labels:
        if isinstance(label, str) and label not in record["labels"]:
            doc.cats.pop(label, None)


def _write_results(doc: Doc, record: dict[str, Any], cats: Mapping[str, float]) -> None:
    doc.cats.update(cats)
    doc.user_data[KEY] = record


def earlier_group(
    doc: Doc, component: str, *, spans_key: str | None = None
) -> str | None:
    """doc (Doc): A doc.
    component (str): The name of a component.
    spans_key (Optional[str]): Its group of `doc.spans`, if known.
    RETURNS (Optional[str]): The group that the component wrote in an earlier run, or
        that had the same key; None if another component wrote another group."""
    record = read_record(doc) or {}
    key, earlier = record.get("spans_key"), record.get("component")
    if not isinstance(key, str):
        return None
    is_same = key == spans_key or (isinstance(earlier, str) and earlier == component)
    return key if is_same else None


def _repair(doc: Doc) -> None:
    """Make room for the results if other code replaced what holds them."""
    if not isinstance(doc.cats, dict):
        doc.cats = {}
    if not isinstance(doc.user_data, dict):
        doc.user_data = {}


def _to_group(doc: Doc, flagged_spans: FlaggedSpans, name: str) -> SpanGroup:
    """An entry for each span and each of its flagged categories."""
    entries: list[Span] = []
    probabilities: list[float] = []
    for span, flags in flagged_spans:
        entries += [Span(doc, span.start, span.end, label=label) for label in flags]
        probabilities += flags.values()
    return SpanGroup(doc, name=name, attrs={"scores": probabilities}, spans=entries)
