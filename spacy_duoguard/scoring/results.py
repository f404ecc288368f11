"""Results of scored records: plain data, the same for every output format."""

import base64
import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spacy.tokens import Doc

from ..pipeline.annotations import KEY
from ..taxonomy import UNSAFE
from .record import Record

# In the order in which they are written; the last two only on request.
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


@dataclass(frozen=True)
class Counts:
    """How far a run has come."""

    done: int = 0  # records of the input, including those of the run it resumes
    flagged: int = 0  # with at least one flag, as every failed record has
    failed: int = 0

    def add(self, results: Sequence[Mapping[str, Any]]) -> "Counts":
        """results (Sequence[Mapping[str, Any]]): More results: their `status` and
            `flags` are enough.
        RETURNS (Counts): The counts with those results."""
        return Counts(
            self.done + len(results),
            self.flagged + sum(bool(result["flags"]) for result in results),
            self.failed + sum(result["status"] == "error" for result in results),
        )


def output_names(names: Sequence[str]) -> list[str]:
    """Rename the fields of an input that have the name of a result's field.

    names (Sequence[str]): The names in the input.
    RETURNS (List[str]): The names in the output, all different: "input_…" where
        renamed.
    """
    taken = set(FIELDS) | set(names)
    renamed = []
    for name in names:
        new = name
        if name in FIELDS:
            while new in taken:
                new = f"input_{new}"
            taken.add(new)
        renamed.append(new)
    return renamed


def _input_fields(record: Record) -> dict[str, Any]:
    names = output_names(list(record.fields))
    return dict(zip(names, record.fields.values(), strict=True))


def to_result(record: Record, doc: Doc, *, spans_key: str, curve: bool) -> dict:
    """Make the result of a record that was scored.

    record (Record): The record.
    doc (Doc): Its doc, processed by the pipeline.
    spans_key (str): The component's setting.
    curve (bool): Include the risk curve.
    RETURNS (Dict): The record's fields, then those of the result.
    """
    result = _input_fields(record)
    labels = doc.user_data[KEY]["labels"]
    result["cats"] = {key: doc.cats[key] for key in (*labels, UNSAFE)}
    result["flags"] = doc._.duoguard_flags
    result["status"] = doc._.duoguard_status
    result["sentences"] = _flagged_sentences(doc, spans_key)
    if curve:
        points = doc._.duoguard_curve or []
        result["curve"] = {
            "end": [point["end"] for point in points],
            "unsafe": [max(point["probs"]) for point in points],
        }
        result["first_unsafe"] = doc._.duoguard_first_unsafe
    return result


def failed_result(
    record: Record, problem: str, labels: Sequence[str], *, curve: bool
) -> dict:
    """Make the result of a record that could not be scored. It is marked unsafe.

    record (Record): The record.
    problem (str): What went wrong, without the text.
    labels (Sequence[str]): The categories.
    curve (bool): Include the risk curve, which is empty.
    RETURNS (Dict): The fields that could be read, the record's number, and the highest
        scores.
    """
    result = _input_fields(record)
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
    cats: dict[tuple[int, int], dict[str, float]] = {}
    if spans_key in doc.spans:
        group = doc.spans[spans_key]
        for span, score in zip(group, group.attrs["scores"], strict=True):
            offsets = (span.start_char, span.end_char)
            cats.setdefault(offsets, {})[span.label_] = score
    return [
        {"start": start, "end": end, "cats": scores}
        for (start, end), scores in cats.items()
    ]


def to_plain(value: Any) -> Any:
    """value (Any): The value of a cell in a table.
    RETURNS (Any): The closest JSON value: null for NaN and infinity, ISO 8601 for dates
        and times, base64 for bytes, else the value as a string."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)
