"""What a scored record looks like: plain data, the same for every output format."""

from collections.abc import Mapping, Sequence
from typing import Any

from spacy.tokens import Doc

from ..pipeline.annotations import KEY
from ..taxonomy import UNSAFE
from .inputs import Record

# In the order in which they are written; the last two only where asked for.
FIELDS: tuple[str, ...] = (
    "record",
    "error",
    "cats",
    "flags",
    "status",
    "sentences",
    "curve",
    "first_unsafe",
)


def keep_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """fields (Mapping[str, Any]): Of an input record.
    RETURNS (Dict[str, Any]): The same, those that have the name of a field of ours
        under "input_…"."""
    kept: dict[str, Any] = {}
    names = kept_names(list(fields))
    for name, value in zip(names, fields.values(), strict=True):
        kept[name] = value
    return kept


def kept_names(names: Sequence[str]) -> list[str]:
    """names (Sequence[str]): Of the fields of an input record.
    RETURNS (List[str]): Theirs in the output, all different."""
    taken = set(FIELDS) | set(names)
    kept = []
    for name in names:
        new = name
        if name in FIELDS:
            while new in taken:
                new = f"input_{new}"
            taken.add(new)
        kept.append(new)
    return kept


def to_result(record: Record, doc: Doc, *, spans_key: str, curve: bool) -> dict:
    """The result of a record that was scored.

    record (Record): The record.
    doc (Doc): Its doc, after the component.
    spans_key (str): The component's.
    curve (bool): Whether the risk curve is wanted.
    RETURNS (Dict): Its own fields, then ours.
    """
    result = keep_fields(record.fields)
    labels = doc.user_data[KEY]["labels"]
    result["cats"] = {key: doc.cats[key] for key in (*labels, UNSAFE)}
    result["flags"] = doc._.duoguard_flags
    result["status"] = doc._.duoguard_status
    result["sentences"] = _flagged_sentences(doc, spans_key)
    if curve:
        rows = doc._.duoguard_curve or []
        result["curve"] = {
            "end": [row["end"] for row in rows],
            "unsafe": [max(row["probs"]) for row in rows],
        }
        result["first_unsafe"] = doc._.duoguard_first_unsafe
    return result


def failed_result(
    record: Record, problem: str, labels: Sequence[str], *, curve: bool
) -> dict:
    """The result of a record that could not be scored: a guard fails closed.

    record (Record): The record.
    problem (str): Why, without its text.
    labels (Sequence[str]): The categories.
    curve (bool): Whether the risk curve is wanted.
    RETURNS (Dict): What could be read of it, its number, and the highest scores.
    """
    result = keep_fields(record.fields)
    result["record"] = record.number
    result["error"] = problem
    result["cats"] = dict.fromkeys((*labels, UNSAFE), 1.0)
    result["flags"] = list(labels)
    result["status"] = "error"
    result["sentences"] = []
    if curve:
        result["curve"] = {"end": [], "unsafe": []}
        result["first_unsafe"] = 0
    return result


def _flagged_sentences(doc: Doc, spans_key: str) -> list[dict[str, Any]]:
    """The flagged spans in order, each with its flagged categories."""
    found: dict[tuple[int, int], dict[str, float]] = {}
    if spans_key in doc.spans:
        group = doc.spans[spans_key]
        for span, score in zip(group, group.attrs["scores"], strict=True):
            cats = found.setdefault((span.start_char, span.end_char), {})
            cats[span.label_] = score
    return [
        {"start": start, "end": end, "cats": cats}
        for (start, end), cats in found.items()
    ]
