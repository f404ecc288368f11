"""Read the records of a results file as documents to review. An invalid record is
marked unsafe: the review page must not make a damaged record look safe."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import Errors, ResultsError
from ..scoring.record import list_files
from ..scoring.result_files import read_results
from ..scoring.results import FIELDS
from ..taxonomy import UNSAFE

STATUSES: tuple[str, ...] = ("ok", "truncated", "empty", "error")
_SUFFIXES = (".jsonl", ".json", ".parquet")


@dataclass(frozen=True)
class Sentence:
    """A flagged sentence: its character offsets and its scores."""

    start: int
    end: int
    cats: dict[str, float]


@dataclass(frozen=True)
class Document:
    """A validated record."""

    record: int  # its number in the file, starting at 1
    text: str | None
    status: str  # one of STATUSES
    cats: dict[str, float] = field(default_factory=dict)  # empty if scoring failed
    flags: tuple[str, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    curve: dict[str, list[Any]] | None = None  # as in the results file
    first_unsafe: int | None = None
    fields: dict[str, str] = field(default_factory=dict)  # of the input, to display
    note: str | None = None  # why scoring failed, or why the record is invalid

    @property
    def risk(self) -> float:
        """RETURNS (float): The highest score of a category; 2.0 if scoring failed."""
        return 2.0 if self.status == "error" else max(self.cats.values())


class InvalidRecordError(Exception):
    """A record is not in the form that `score` writes. The message never quotes its
    values."""


def read_documents(path: Path, *, text_key: str = "text") -> Iterator[Document]:
    """Read the results of `score`, one record at a time.

    path (Path): A JSON lines file, or a folder of JSON lines and Parquet files, which
        are read in the order of their names.
    text_key (str): The field that holds the text.
    YIELDS (Document): One document per record, in order. An invalid record has the
        status "error".
    RAISES (ResultsError): There are no results, or none has a text under that key.
    """
    names: set[str] = set()
    has_text = False
    for number, record in enumerate(_read_records(path), start=1):
        document = read_document(record, number, text_key=text_key)
        if document.text is not None:
            has_text = True
        elif isinstance(record, Mapping) and record.get("status") != "error":
            names.update(key for key in record if key not in FIELDS)
        yield document
    if names and not has_text:
        listed = ", ".join(repr(name) for name in sorted(map(str, names))[:10])
        raise ResultsError(Errors.E151.format(path=path, key=text_key, names=listed))


def _read_records(path: Path) -> Iterator[Any]:
    """YIELDS (Any): The content of each line or row, None if it can't be read."""
    files = list_files(path, *_SUFFIXES) if path.is_dir() else [path]
    if not files or not path.exists():
        raise ResultsError(Errors.E150.format(path=path))
    for file in files:
        yield from read_results(file)


def read_document(record: Any, number: int, *, text_key: str = "text") -> Document:
    """record (Any): The content of a line, None if it isn't JSON.
    number (int): Its number in the file, starting at 1.
    text_key (str): The field that holds the text.
    RETURNS (Document): Has the status "error" if the record is invalid."""
    if not isinstance(record, Mapping):
        return Document(number, None, "error", note="the line is not a JSON object")
    key = f"input_{text_key}" if text_key in FIELDS else text_key
    text = record.get(key)
    text = text if isinstance(text, str) else None
    fields = {
        str(name): value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in record.items()
        if name != key and name not in FIELDS and value is not None
    }
    try:
        return _read_scores(record, number, text, fields)
    except InvalidRecordError as e:
        return Document(number, text, "error", fields=fields, note=str(e))


def _read_scores(
    record: Mapping[str, Any], number: int, text: str | None, fields: dict[str, str]
) -> Document:
    status = record.get("status")
    if status == "error":
        reason = record.get("error")
        note = reason if isinstance(reason, str) else "scoring failed"
        return Document(number, text, "error", fields=fields, note=note)
    if status not in STATUSES:
        raise InvalidRecordError("the record has an unknown status")
    if text is None:
        raise InvalidRecordError("the record has no text")
    cats = _read_cats(record.get("cats"))
    if not cats:
        raise InvalidRecordError("the record has no scores")
    first_unsafe = record.get("first_unsafe")
    if first_unsafe is not None and not _is_offset(first_unsafe, len(text)):
        raise InvalidRecordError("the offset of the first flag is outside the text")
    return Document(
        record=number,
        text=text,
        status=status,
        cats=cats,
        flags=_read_flags(record.get("flags"), cats),
        sentences=_read_sentences(record.get("sentences") or [], len(text), cats),
        curve=_read_curve(record.get("curve"), len(text)),
        first_unsafe=first_unsafe,
        fields=fields,
    )


def _read_cats(cats: Any) -> dict[str, float]:
    """The scores of categories, without `unsafe`."""
    if isinstance(cats, list) and all(isinstance(pair, tuple) for pair in cats):
        cats = dict(cats)  # a Parquet map
    if not isinstance(cats, Mapping):
        raise InvalidRecordError("the record, or a sentence, has no scores")
    # A Parquet struct has None for the categories that a row doesn't have.
    scores = {str(key): value for key, value in cats.items() if value is not None}
    if not all(_is_score(value) for value in scores.values()):
        raise InvalidRecordError("a score is not a number in [0, 1]")
    return {key: float(value) for key, value in scores.items() if key != UNSAFE}


def _is_score(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0.0 <= value <= 1.0  # false for NaN as well


def _read_flags(flags: Any, cats: Mapping[str, float]) -> tuple[str, ...]:
    if not isinstance(flags, list) or not all(
        isinstance(flag, str) and flag in cats for flag in flags
    ):
        raise InvalidRecordError("the flags are not a list of its categories")
    return tuple(flags)


def _read_sentences(
    sentences: Any, length: int, cats: Mapping[str, float]
) -> tuple[Sentence, ...]:
    if not isinstance(sentences, list):
        raise InvalidRecordError("the sentences are not a list")
    checked = []
    for sentence in sentences:
        if not isinstance(sentence, Mapping):
            raise InvalidRecordError("a sentence is not an object")
        start: Any = sentence.get("start")
        end: Any = sentence.get("end")
        if not (_is_offset(start, length) and _is_offset(end, length) and start < end):
            raise InvalidRecordError("a sentence is outside the text")
        scores = _read_cats(sentence.get("cats"))
        if not scores or not set(scores) <= set(cats):
            raise InvalidRecordError("a sentence has no scores of known categories")
        checked.append(Sentence(start, end, scores))
    return tuple(checked)


def _is_offset(value: Any, length: int) -> bool:
    return type(value) is int and 0 <= value <= length


def _read_curve(curve: Any, length: int) -> dict[str, list[Any]] | None:
    if curve is None:
        return None
    try:
        points = list(zip(curve["end"], curve["unsafe"], strict=True))
    except (KeyError, TypeError, ValueError) as e:
        raise InvalidRecordError("the curve needs a score for each offset") from e
    ends, scores = [end for end, _ in points], [score for _, score in points]
    if not all(_is_offset(end, length) for end in ends) or ends != sorted(ends):
        raise InvalidRecordError("the curve is outside the text, or out of order")
    if not all(map(_is_score, scores)):
        raise InvalidRecordError("a score of the curve is not a number in [0, 1]")
    return {"end": ends, "unsafe": scores} if ends else None
