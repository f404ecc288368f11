"""Docs with gold, and the records that it came from."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from spacy.tokens import Doc, Span

from ..pipeline.gold import REJECTED, check_cats, read_listed, read_value
from ..pipeline.scored_gold import refuse_scores
from .merge import Merged

# The key of `doc.user_data` with the records, so that they can be written out again.
RECORDS = "duoguard_records"


def add_gold(
    doc: Doc, gold: Merged, records: Sequence[Mapping[str, Any]], *, spans_key: str
) -> Doc:
    """doc (Doc): A doc without gold.
    gold (Merged): Its gold. Spans must match token boundaries.
    records (Sequence[Mapping[str, Any]]): The fields of the records it came from.
    spans_key (str): The group of `doc.spans` for the gold of spans.
    RETURNS (Doc): The same doc, with gold in the form that training reads."""
    doc.cats = dict(gold.cats)
    if gold.covers_spans or gold.spans:
        _set_group(doc, gold, spans_key)
    lines = [json.dumps(fields) for fields in records]
    doc.user_data[RECORDS] = {"gold": digest_of(doc, spans_key), "lines": lines}
    return doc


def _set_group(doc: Doc, gold: Merged, spans_key: str) -> None:
    entries: list[Span] = []
    rejected: list[list[Any]] = []
    for (start, end), values in sorted(gold.spans.items()):
        for label, value in values.items():
            if value:
                # It matches tokens: that was checked when it was read.
                entries.append(cast(Span, doc.char_span(start, end, label=label)))
            else:
                rejected.append([start, end, label])
    doc.spans[spans_key] = entries
    if not gold.covers_spans:
        doc.spans[spans_key].attrs[REJECTED] = rejected


def gold_fields(doc: Doc, spans_key: str) -> dict[str, Any]:
    """doc (Doc): A doc with gold.
    spans_key (str): The group of `doc.spans` with the gold of spans.
    RETURNS (Dict[str, Any]): Its text and gold as a record.
    RAISES (SettingsError): A value isn't a number in [0, 1], as in training, what it
        says was rejected is damaged, or its gold are scores."""
    refuse_scores(doc)
    check_cats(doc.cats)
    cats = {label: read_value(doc.cats, label) for label in doc.cats}
    fields: dict[str, Any] = {"text": doc.text, "cats": cats}
    if spans_key in doc.spans:
        group = doc.spans[spans_key]
        rejected = read_listed(group)
        spans = [_span_fields(*_entry(span)) for span in group]
        if rejected is not None:
            spans = [{**span, "answer": "accept"} for span in spans]
            spans += [{**_span_fields(*e), "answer": "reject"} for e in rejected]
        if spans or rejected is None:
            fields["spans"] = sorted(spans, key=lambda s: (s["start"], s["end"]))
    return fields


def _entry(span: Span) -> tuple[int, int, str]:
    return span.start_char, span.end_char, span.label_


def _span_fields(start: int, end: int, label: str) -> dict[str, Any]:
    return {"start": start, "end": end, "label": label}


def digest_of(doc: Doc, spans_key: str) -> str:
    """doc (Doc), spans_key (str): As for `gold_fields`.
    RETURNS (str): A digest of the gold, to see whether it was changed."""
    fields = gold_fields(doc, spans_key)
    spans = fields.get("spans")
    content = [
        sorted(fields["cats"].items()),
        None if spans is None else sorted(json.dumps(s, sort_keys=True) for s in spans),
    ]
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()


def stored_records(doc: Doc, spans_key: str) -> Iterator[dict[str, Any]] | None:
    """doc (Doc), spans_key (str): As for `gold_fields`.
    RETURNS (Optional[Iterator[Dict[str, Any]]]): The records that the gold came from.
        None if there are none, or if the gold was changed since."""
    stored = doc.user_data.get(RECORDS)
    if stored is None or stored["gold"] != digest_of(doc, spans_key):
        return None
    return map(json.loads, stored["lines"])
