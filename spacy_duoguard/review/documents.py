"""Records of a results file → documents to show. What is not a sound result reads as
unsafe: a review page must not make a damaged record look safe."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import Errors, ResultsError
from ..scoring.parquet import load_pyarrow
from ..scoring.results import FIELDS
from ..taxonomy import UNSAFE

STATUSES: tuple[str, ...] = ("ok", "truncated", "empty", "error")


@dataclass(frozen=True)
class Sentence:
    """A flagged sentence: its place in the text, in characters, and its scores."""

    start: int
    end: int
    cats: dict[str, float]


@dataclass(frozen=True)
class Document:
    """One record, checked."""

    record: int  # its number in the file, from 1
    text: str | None
    status: str  # one of STATUSES
    cats: dict[str, float] = field(default_factory=dict)  # none where it failed
    flags: tuple[str, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    curve: tuple[tuple[int, float], ...] = ()  # character offset, score up to there
    first_unsafe: int | None = None
    fields: dict[str, str] = field(default_factory=dict)  # of the input, for people
    note: str | None = None  # why it failed

    @property
    def risk(self) -> float:
        """RETURNS (float): The maximum of its categories; beyond 1.0 if it failed."""
        return 2.0 if self.status == "error" else max(self.cats.values())


class UnsoundError(Exception):
    """A part of a record is not as scoring writes it; the message never quotes it."""


def read_documents(path: Path, *, text_key: str = "text") -> Iterator[Document]:
    """Read the results of `score`, one record at a time.

    path (Path): A JSON lines file, or a folder of such files and of Parquet files,
        which are read in the order of their names.
    text_key (str): The field that holds the text.
    YIELDS (Document): One for each record, in order. A line that is no sound result is
        one with the status "error".
    RAISES (ResultsError): No results there, or none has a text under that key.
    """
    names: set[str] = set()
    found = 0
    for number, record in enumerate(_read_records(path), start=1):
        document = read_document(record, number, text_key=text_key)
        if document.text is not None:
            found += 1
        elif isinstance(record, Mapping) and record.get("status") != "error":
            names.update(key for key in record if key not in FIELDS)
        yield document
    if names and not found:
        listed = ", ".join(repr(name) for name in sorted(map(str, names))[:10])
        raise ResultsError(Errors.E151.format(path=path, key=text_key, names=listed))


def _read_records(path: Path) -> Iterator[Any]:
    """YIELDS (Any): What each line or row holds, None for one that cannot be read."""
    suffixes = {".jsonl", ".json", ".parquet"}
    paths = [path]
    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if p.suffix in suffixes)
    if not paths or not path.exists():
        raise ResultsError(Errors.E150.format(path=path))
    for part in paths:
        yield from _read_rows(part) if part.suffix == ".parquet" else _read_lines(part)


def _read_lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                yield None


def _read_rows(path: Path) -> Iterator[Any]:
    pyarrow = load_pyarrow()
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pyarrow.ArrowException as e:
        problem = f"damaged ({type(e).__name__})"
        raise ResultsError(Errors.E139.format(name=path, problem=problem)) from e


def read_document(record: Any, number: int, *, text_key: str = "text") -> Document:
    """record (Any): What a line holds; None for one that is no JSON.
    number (int): Its place in the file, from 1.
    text_key (str): The field that holds the text.
    RETURNS (Document): With the status "error" where it is not a sound result."""
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
    except UnsoundError as e:
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
        raise UnsoundError("its status is not one that scoring gives")
    if text is None:
        raise UnsoundError("it has no text")
    cats = _read_cats(record.get("cats"), "categories")
    cats.pop(UNSAFE, None)
    if not cats:
        raise UnsoundError("it has no categories")
    curve, first = _read_curve(record, len(text))
    return Document(
        record=number,
        text=text,
        status=status,
        cats=cats,
        flags=_read_flags(record.get("flags"), cats),
        sentences=_read_sentences(record.get("sentences") or [], len(text), cats),
        curve=curve,
        first_unsafe=first,
        fields=fields,
    )


def _read_cats(cats: Any, what: str) -> dict[str, float]:
    if isinstance(cats, list) and all(isinstance(pair, tuple) for pair in cats):
        cats = dict(cats)  # a map of Parquet
    if not isinstance(cats, Mapping):
        raise UnsoundError(f"it has no {what}")
    # A struct of Parquet has None for the categories that a row does not have.
    found = {str(key): value for key, value in cats.items() if value is not None}
    if not all(_is_score(value) for value in found.values()):
        raise UnsoundError(f"a score of its {what} does not lie in [0, 1]")
    return {key: float(value) for key, value in found.items()}


def _is_score(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0.0 <= value <= 1.0


def _read_flags(flags: Any, cats: Mapping[str, float]) -> tuple[str, ...]:
    if not isinstance(flags, list) or not all(
        isinstance(flag, str) and flag in cats for flag in flags
    ):
        raise UnsoundError("its flags are not among its categories")
    return tuple(flags)


def _read_sentences(
    sentences: Any, length: int, cats: Mapping[str, float]
) -> tuple[Sentence, ...]:
    if not isinstance(sentences, list):
        raise UnsoundError("its sentences are not a list")
    found = []
    for sentence in sentences:
        if not isinstance(sentence, Mapping):
            raise UnsoundError("a sentence of it is not an object")
        start: Any = sentence.get("start")
        end: Any = sentence.get("end")
        if not (_is_offset(start, length) and _is_offset(end, length) and start < end):
            raise UnsoundError("a sentence of it does not lie in the text")
        scores = _read_cats(sentence.get("cats"), "sentences")
        scores.pop(UNSAFE, None)
        if not scores or not set(scores) <= set(cats):
            raise UnsoundError("a sentence of it is flagged in none of its categories")
        found.append(Sentence(start, end, scores))
    return tuple(found)


def _is_offset(value: Any, length: int) -> bool:
    return type(value) is int and 0 <= value <= length


def _read_curve(
    record: Mapping[str, Any], length: int
) -> tuple[tuple[tuple[int, float], ...], int | None]:
    curve, first = record.get("curve"), record.get("first_unsafe")
    if first is not None and not _is_offset(first, length):
        raise UnsoundError("its first unsafe place does not lie in the text")
    if curve is None:
        return (), first
    try:
        points = tuple(zip(curve["end"], curve["unsafe"], strict=True))
    except (KeyError, TypeError, ValueError) as e:
        raise UnsoundError("its curve has not as many places as scores") from e
    ends = [end for end, _ in points]
    if not all(_is_offset(end, length) and _is_score(score) for end, score in points):
        raise UnsoundError("its curve does not lie in the text and in [0, 1]")
    if ends != sorted(ends):
        raise UnsoundError("the places of its curve are not in order")
    return points, first
