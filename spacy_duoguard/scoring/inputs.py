"""Input files → records. What is wrong with a record is its own problem: it is noted,
and the ones after it are read."""

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import Errors, SettingsError

STANDARD = "-"  # standard input or output
FORMATS: tuple[str, ...] = ("txt", "jsonl", "csv", "parquet")

# A quote that is never closed would read the rest of a file into one cell.
_MAX_CELL = 64 * 2**20  # characters

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Record:
    """One record of an input file."""

    number: int  # from 1
    fields: dict[str, Any]  # its own, nothing where it is broken
    text: str
    problem: str | None = None  # why it cannot be scored; never quotes it


class BrokenRecordError(ValueError):
    """Why a record cannot be read, without its text."""


@dataclass(frozen=True)
class Source:
    """Where records come from."""

    name: str  # a path, or `STANDARD`
    form: str  # one of `FORMATS`
    text_key: str

    def records(self) -> Iterator[Record]:
        """YIELDS (Record): In order, with numbers from 1.
        RAISES (SettingsError): The file cannot be read, or has no column for texts.
        """
        if self.form == "parquet":
            from .parquet import read_rows

            yield from _numbered(read_rows(Path(self.name), self.text_key), self)
            return
        readers = {"txt": _read_lines, "jsonl": _read_json, "csv": _read_csv}
        with _opened(self.name) as handle:
            yield from _numbered(readers[self.form](handle, self), self)


def open_source(
    name: str, *, form: str | None = None, text_key: str = "text"
) -> Source:
    """Find out how an input is to be read.

    name (str): A file, a folder of Parquet files, or "-" for standard input.
    form (Optional[str]): One of `FORMATS`; None: by the name's ending. Standard input
        is taken for JSON lines where its first character is "{".
    text_key (str): The field or column with the text.
    RETURNS (Source): What to read.
    RAISES (SettingsError): The format is not known, or there is no such file.
    """
    if name == STANDARD:
        return Source(name, form or _guess_standard(), text_key)
    path = Path(name)
    if not path.exists():
        raise SettingsError(Errors.E139.format(name=name, problem="no such file"))
    form = form or ("parquet" if path.is_dir() else path.suffix[1:].lower())
    if form not in FORMATS:
        raise SettingsError(Errors.E134.format(name=name, formats=", ".join(FORMATS)))
    return Source(name, form, text_key)


def _guess_standard() -> str:
    peek = getattr(sys.stdin.buffer, "peek", lambda size: b"")
    return "jsonl" if peek(1).removeprefix(_BOM).lstrip()[:1] == b"{" else "txt"


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        handle = open(name, "rb")  # noqa: SIM115
    except OSError as e:
        problem = e.strerror or type(e).__name__
        raise SettingsError(Errors.E139.format(name=name, problem=problem)) from e
    with handle:
        yield handle


def _numbered(
    rows: Iterable[dict[str, Any] | BrokenRecordError], source: Source
) -> Iterator[Record]:
    for number, row in enumerate(rows, start=1):
        try:
            if isinstance(row, BrokenRecordError):
                raise row
            yield Record(number, row, _get_text(row, source.text_key))
        except BrokenRecordError as e:
            yield Record(number, {}, "", str(e))


def _get_text(fields: dict[str, Any], key: str) -> str:
    if key not in fields:
        raise BrokenRecordError(f"no field '{key}'")
    text = fields[key]
    if not isinstance(text, str):
        raise BrokenRecordError(f"'{key}' is {_kind(text)}, not a string")
    if not _is_unicode(text):
        raise BrokenRecordError("half of a surrogate pair, which is no character")
    return text


def _kind(value: Any) -> str:
    return "null" if value is None else f"of type '{type(value).__name__}'"


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return False
    return True


def _lines(handle: IO[bytes]) -> Iterator[str | BrokenRecordError]:
    """Lines end with LF or CR LF; other line breaks of Unicode are part of a text."""
    for i, raw in enumerate(handle):
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        if i == 0:
            line = line.removeprefix(_BOM)
        if b"\0" in line:
            yield BrokenRecordError("a NUL byte")
            continue
        try:
            yield line.decode("utf8")
        except UnicodeDecodeError:
            yield BrokenRecordError("not valid UTF-8")


def _read_lines(
    handle: IO[bytes], source: Source
) -> Iterator[dict[str, Any] | BrokenRecordError]:
    for line in _lines(handle):
        if isinstance(line, BrokenRecordError):
            yield line
        else:
            yield {source.text_key: line}


def _read_json(
    handle: IO[bytes], source: Source
) -> Iterator[dict[str, Any] | BrokenRecordError]:
    for line in _lines(handle):
        if isinstance(line, BrokenRecordError):
            yield line
        elif line.strip():  # a blank line is no record
            try:
                yield parse_object(line)
            except BrokenRecordError as e:
                yield e


def parse_object(line: str) -> dict[str, Any]:
    """line (str): A line of a JSON lines file.
    RETURNS (Dict[str, Any]): The object.
    RAISES (BrokenRecordError): Not an object, or with numbers that JSON lacks."""
    try:
        value = json.loads(line, parse_constant=_no_constant, parse_float=_finite)
    except BrokenRecordError:
        raise
    except (ValueError, RecursionError) as e:
        raise BrokenRecordError("not valid JSON") from e
    if not isinstance(value, dict):
        raise BrokenRecordError("not a JSON object")
    return value


def _no_constant(name: str) -> Any:
    raise BrokenRecordError(f"{name}, which is not valid JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BrokenRecordError("a number out of range")
    return value


def _read_csv(
    handle: IO[bytes], source: Source
) -> Iterator[dict[str, Any] | BrokenRecordError]:
    with _csv_rows(handle) as rows:
        header = next(rows, [])
        if isinstance(header, BrokenRecordError):
            problem = f"its first row: {header}"
            raise SettingsError(
                Errors.E139.format(name=source.name, problem=problem)
            ) from header
        check_columns(header, source.text_key, name=source.name)
        for row in rows:
            if isinstance(row, BrokenRecordError):
                yield row
            elif len(row) != len(header):
                found, wanted = len(row), len(header)
                yield BrokenRecordError(f"{found} cells for {wanted} columns")
            else:
                yield dict(zip(header, row, strict=True))


@contextmanager
def _csv_rows(handle: IO[bytes]) -> Iterator[Iterator[list[str] | BrokenRecordError]]:
    text = io.TextIOWrapper(
        handle, encoding="utf-8-sig", errors="surrogateescape", newline=""
    )
    before = csv.field_size_limit(_MAX_CELL)
    try:
        yield _checked_rows(csv.reader(text, strict=True))
    finally:
        csv.field_size_limit(before)
        text.detach()


def _checked_rows(rows: Iterator[list[str]]) -> Iterator[list[str] | BrokenRecordError]:
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield BrokenRecordError("not valid CSV: a quote in the wrong place")
            continue
        content = "".join(row)
        if not _is_unicode(content):
            yield BrokenRecordError("not valid UTF-8")
        elif "\0" in content:
            yield BrokenRecordError("a NUL byte")
        elif row:  # a blank line is no record
            yield row


def check_columns(columns: list[str], text_key: str, *, name: str) -> None:
    """columns (List[str]): Of a table.
    text_key (str): The one with the texts.
    name (str): Of the file, for messages.
    RAISES (SettingsError): It is not among them, or a name is there twice."""
    if text_key not in columns:
        found = ", ".join(repr(column) for column in columns[:20]) or "none"
        message = Errors.E136.format(name=name, key=text_key, found=found)
        raise SettingsError(message)
    if len(set(columns)) < len(columns):
        raise SettingsError(
            Errors.E139.format(name=name, problem="two columns have the same name")
        )
