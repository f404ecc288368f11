"""Read records from text files: plain text, JSON lines and CSV. A broken record gets a
problem of its own, and reading goes on with the next one."""

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from ..errors import Errors, SettingsError
from .record import (
    STANDARD,
    BrokenRecordError,
    Record,
    Row,
    Source,
    check_columns,
    is_unicode,
    make_records,
)

# Without a limit, an unclosed quote would read the rest of a file into one cell.
_MAX_CELL = 64 * 2**20  # characters

_BOM = b"\xef\xbb\xbf"


def read_text_file(source: Source) -> Iterator[Record]:
    """Read a text file or standard input.

    source (Source): Any source but a Parquet file.
    YIELDS (Record): The records, in order.
    RAISES (SettingsError): The file cannot be read, or has no column for the texts.
    """
    readers = {"txt": _read_lines, "jsonl": _read_json, "csv": _read_csv}
    with _open(source.name) as handle:
        yield from make_records(readers[source.form](handle, source), source.text_key)


def guess_standard_input() -> str:
    """RETURNS (str): The format of standard input: JSON lines if it begins with "{",
    otherwise plain text."""
    peek = getattr(sys.stdin.buffer, "peek", lambda size: b"")
    return "jsonl" if peek(1).removeprefix(_BOM).lstrip()[:1] == b"{" else "txt"


@contextmanager
def _open(name: str) -> Iterator[IO[bytes]]:
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


def _read_lines(handle: IO[bytes], source: Source) -> Iterator[Row]:
    return _parse_lines(handle, lambda line: {source.text_key: line})


def _read_json(handle: IO[bytes], source: Source) -> Iterator[Row]:
    return _parse_lines(handle, _parse_json)


def _parse_lines(
    handle: IO[bytes], parse: Callable[[str], dict[str, Any] | None]
) -> Iterator[Row]:
    for i, raw in enumerate(handle):
        try:
            row = parse(_decode(raw.removeprefix(_BOM) if i == 0 else raw))
        except BrokenRecordError as e:
            yield e
        else:
            if row is not None:
                yield row


def _decode(raw: bytes) -> str:
    """Lines end with LF or CR LF; Unicode's other line breaks belong to the text."""
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    if b"\0" in line:
        raise BrokenRecordError("a NUL byte")
    try:
        return line.decode("utf8")
    except UnicodeDecodeError as e:
        raise BrokenRecordError("not valid UTF-8") from e


def _parse_json(line: str) -> dict[str, Any] | None:
    """RETURNS (Optional[Dict[str, Any]]): The fields; None for a blank line, which is
    not a record."""
    if not line.strip():
        return None
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


def _read_csv(handle: IO[bytes], source: Source) -> Iterator[Row]:
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
                yield BrokenRecordError(f"{len(row)} cells for {len(header)} columns")
            else:
                yield dict(zip(header, row, strict=True))


@contextmanager
def _csv_rows(handle: IO[bytes]) -> Iterator[Iterator[list[str] | BrokenRecordError]]:
    text = io.TextIOWrapper(
        handle, encoding="utf-8-sig", errors="surrogateescape", newline=""
    )
    limit_before = csv.field_size_limit(_MAX_CELL)
    try:
        yield _check_rows(csv.reader(text, strict=True))
    finally:
        csv.field_size_limit(limit_before)
        text.detach()


def _check_rows(rows: Iterator[list[str]]) -> Iterator[list[str] | BrokenRecordError]:
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield BrokenRecordError("not valid CSV: a quote in the wrong place")
            continue
        content = "".join(row)
        if not is_unicode(content):
            yield BrokenRecordError("not valid UTF-8")
        elif "\0" in content:
            yield BrokenRecordError("a NUL byte")
        elif row:  # a blank line is not a record
            yield row
