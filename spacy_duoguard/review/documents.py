"""Read the records of a results file as documents to review. A record that is invalid,
or that contradicts itself, is marked unsafe: the review page must not make a damaged
record look safe."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine.checkpoint.files import is_regular
from ..engine.decisions import Decision
from ..engine.verdict import FAILED, ContradictionError, judge
from ..errors import Errors, ResultsError
from ..scoring.record import BrokenRecordError, can_be_written, list_files
from ..scoring.result_files import read_results
from ..scoring.results import FIELDS
from ..scoring.run_state import Output
from . import decisions
from .details import (
    Reading,
    Sentence,
    is_offset,
    read_curve,
    read_readings,
    read_sentences,
    read_turns,
    to_dict,
)

_SUFFIXES = (".jsonl", ".json", ".parquet")


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
    decision: Decision | None = None
    readings: tuple[Reading, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)  # of the input, to display
    note: str | None = None  # why scoring failed, or why the record is invalid

    @property
    def risk(self) -> float:
        """RETURNS (float): The highest score of a category, of the text or of a flagged
        part of it; 2.0 if scoring failed."""
        if self.status == "error":
            return 2.0
        parts = (sentence.cats for sentence in self.sentences if sentence.is_flagged)
        return max(score for cats in (self.cats, *parts) for score in cats.values())


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
    has_text = has_lines = has_results = False
    for number, record in enumerate(_read_records(path), start=1):
        document = read_document(record, number, text_key=text_key)
        has_lines, has_results = True, has_results or _is_result(record)
        if document.text is not None:
            has_text = True
        elif isinstance(record, Mapping) and record.get("status") != "error":
            names.update(key for key in record if key not in FIELDS)
        yield document
    if has_lines and not has_results:
        raise ResultsError(Errors.E231.format(path=path))
    if names and not has_text:
        message = Errors.E151.format(path=path, key=text_key, count=len(names))
        raise ResultsError(message)


def list_inputs(path: Path) -> list[Path]:
    """path (Path): A file or folder of results.
    RETURNS (List[Path]): What must not be replaced: the path, the files in a folder,
        and the file that says how far the run has come."""
    files = list_files(path, *_SUFFIXES) if path.is_dir() else []
    return [path, *files, Output(path, path.is_dir()).state]


def _is_result(record: Any) -> bool:
    """Whether a record looks like a result, valid or not."""
    return isinstance(record, Mapping) and any(
        key in record for key in ("cats", "flags", "status")
    )


def _read_records(path: Path) -> Iterator[Any]:
    """YIELDS (Any): The content of each line or row, or why it can't be read."""
    files = list_files(path, *_SUFFIXES) if path.is_dir() else [path]
    if not files or not path.exists():
        raise ResultsError(Errors.E150.format(path=path))
    if path.is_dir():
        for file in files:
            is_regular(file)  # or reading might never end
    for file in files:
        yield from read_results(file)


def read_document(record: Any, number: int, *, text_key: str = "text") -> Document:
    """record (Any): The content of a line, or a `BrokenRecordError`.
    number (int): Its number in the file, starting at 1.
    text_key (str): The field that holds the text.
    RETURNS (Document): Has the status "error" if the record is invalid."""
    if isinstance(record, BrokenRecordError):
        return Document(number, None, "error", note=str(record))
    if not isinstance(record, Mapping):
        return Document(number, None, "error", note="the line is not a JSON object")
    key = f"input_{text_key}" if text_key in FIELDS else text_key
    text = _text_of(record.get("scored_text"), record.get(key))
    hidden = {key, *FIELDS}
    if not decisions.has_decision(record):
        hidden.difference_update(decisions.FIELDS)  # of the input
    fields = {
        str(name): _show(name, value)
        for name, value in record.items()
        if name not in hidden and value is not None
    }
    try:
        return _read_scores(record, number, text, fields)
    except ContradictionError as e:
        return Document(number, text, "error", fields=fields, note=str(e))


def _text_of(of_messages: Any, value: Any) -> str | None:
    """The text that was scored: that of messages, which can be empty, or the value."""
    if isinstance(of_messages, str) and (of_messages or not _is_text(value)):
        return of_messages
    return value if isinstance(value, str) else None


def _is_text(value: Any) -> bool:
    """Whether a value isn't messages, or the JSON of messages, as in Parquet."""
    if not isinstance(value, str) or not value.startswith("["):
        return isinstance(value, str)
    try:
        return not isinstance(json.loads(value), list)
    except (ValueError, RecursionError):
        return True


def _show(name: Any, value: Any) -> str:
    if isinstance(value, str):
        return value
    is_plain = can_be_written(str(name), value)
    return json.dumps(value, default=str) if is_plain else "(can't be shown)"


def _read_scores(
    record: Mapping[str, Any], number: int, text: str | None, fields: dict[str, str]
) -> Document:
    cats = to_dict(record.get("cats"))
    verdict = judge(record.get("status"), cats, record.get("flags"), text=text)
    reason = record.get("error")
    if not verdict.is_scored:
        is_ours = verdict.problem == FAILED and isinstance(reason, str)
        raise ContradictionError(reason if is_ours else verdict.problem)
    if reason is not None or record.get("record") is not None:
        raise ContradictionError("the record has an error, but another status")
    if text is None:
        raise ContradictionError("the record has no text")
    first_unsafe = record.get("first_unsafe")
    if first_unsafe is not None and not is_offset(first_unsafe, len(text)):
        raise ContradictionError("the offset of the first flag is outside the text")
    document = Document(
        record=number,
        text=text,
        status=verdict.status,
        cats={label: verdict.cats[label] for label in verdict.labels},
        flags=tuple(verdict.flags),
        sentences=(
            *read_sentences(record.get("sentences"), len(text), verdict),
            *read_turns(record.get("turns"), len(text), verdict),
        ),
        curve=read_curve(record.get("curve"), len(text)),
        readings=read_readings(record.get("read_as"), len(text), verdict),
        first_unsafe=first_unsafe,
        decision=decisions.read_decision(record, verdict),
        fields=fields,
    )
    if document.status == "empty" and (document.sentences or document.curve):
        raise ContradictionError("the status is 'empty', but there are scores")
    return document


def check_labels(documents: Sequence[Document]) -> list[Document]:
    """Check that all documents have the same categories, as the results of one model
    have: a score that is missing is not a low one.

    documents (Sequence[Document]): All documents of a page.
    RETURNS (List[Document]): The documents. One that lacks a category of another has
        the status "error"."""
    labels = {label for document in documents for label in document.cats}
    return [
        document
        if document.status == "error" or document.cats.keys() == labels
        else Document(
            record=document.record,
            text=document.text,
            status="error",
            fields=document.fields,
            note="the record lacks a category that other records have",
        )
        for document in documents
    ]
