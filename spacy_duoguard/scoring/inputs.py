"""Read records from text files: plain text, JSON lines and CSV. A broken record gets a
problem of its own, and reading goes on with the next one."""

import codecs
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
    make_record,
    unique_keys,
)

# The number of a line, and what begins there.
Line = tuple[int, Row]
_Cells = tuple[int, list[str] | BrokenRecordError]

# Without a limit, an unclosed quote would read the rest of a file into one cell.
_MAX_CELL = 64 * 2**20  # characters

_BOM = b"\xef\xbb\xbf"


def read_text_file(source: Source) -> Iterator[Record]:
    """Read a text file or standard input.

    source (Source): Any source but a Parquet file.
    YIELDS (Record): The records, in order.
    RAISES (SettingsError): The file cannot be read, has no column for the texts, or
        isn't UTF-8 but UTF-16.
    """
    readers = {"txt": _read_lines, "jsonl": _read_json, "csv": _read_csv}
    with _open(source.name) as handle:
        _check_encoding(_peek(handle), name=source.name)
        rows = readers[source.form](handle, source)
        for number, (line, row) in enumerate(rows, start=1):
            yield make_record(number, row, source.text_key, line=line)


def guess_standard_input() -> str:
    """RETURNS (str): The format of standard input: JSON lines if it begins with "{",
    otherwise plain text."""
    start = _peek(sys.stdin.buffer)
    return "jsonl" if start.removeprefix(_BOM).lstrip()[:1] == b"{" else "txt"


def _peek(handle: IO[bytes]) -> bytes:
    """The next bytes, few or many, without reading them."""
    peek = getattr(handle, "peek", lambda size: b"")
    return peek(4096)


def _check_encoding(start: bytes, *, name: str) -> None:
    """Check that an input doesn't begin like UTF-16 or UTF-32, of which every line
    would be broken.

    start (bytes): Its first bytes.
    name (str): Its name, for messages.
    RAISES (SettingsError): It does.
    """
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise SettingsError(Errors.E163.format(name=name, encoding="UTF-32"))
    has_mark = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if has_mark or _alternates_with_nul(start):
        raise SettingsError(Errors.E163.format(name=name, encoding="UTF-16"))


def _alternates_with_nul(start: bytes) -> bool:
    """In UTF-16, every other byte of most European characters is a NUL."""
    if len(start) < 4:
        return False
    few, many = sorted(part.count(0) / len(part) for part in (start[::2], start[1::2]))
    return few == 0.0 and many > 0.5


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


def _read_lines(handle: IO[bytes], source: Source) -> Iterator[Line]:
    return _parse_lines(handle, lambda line: {source.text_key: line})


def _read_json(handle: IO[bytes], source: Source) -> Iterator[Line]:
    return _parse_lines(handle, _parse_json)


def _parse_lines(
    handle: IO[bytes], parse: Callable[[str], dict[str, Any] | None]
) -> Iterator[Line]:
    for number, raw in enumerate(handle, start=1):
        try:
            row = parse(_decode(raw.removeprefix(_BOM) if number == 1 else raw))
        except BrokenRecordError as e:
            yield number, e
        else:
            if row is not None:
                yield number, row


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
        value = json.loads(
            line,
            parse_constant=_no_constant,
            parse_float=_finite,
            object_pairs_hook=unique_keys,
        )
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


def _read_csv(handle: IO[bytes], source: Source) -> Iterator[Line]:
    with _csv_rows(handle) as rows:
        _, header = next(rows, (1, []))
        if isinstance(header, BrokenRecordError):
            problem = f"its first row: {header}"
            raise SettingsError(
                Errors.E139.format(name=source.name, problem=problem)
            ) from header
        check_columns(header, source.text_key, name=source.name)
        for line, row in rows:
            if isinstance(row, BrokenRecordError):
                yield line, row
            elif len(row) != len(header):
                problem = f"{len(row)} cells for {len(header)} columns"
                yield line, BrokenRecordError(problem)
            else:
                yield line, dict(zip(header, row, strict=True))


@contextmanager
def _csv_rows(handle: IO[bytes]) -> Iterator[Iterator[_Cells]]:
    text = io.TextIOWrapper(
        handle, encoding="utf-8-sig", errors="surrogateescape", newline=""
    )
    limit_before = csv.field_size_limit(_MAX_CELL)
    try:
        yield _check_rows(csv.reader(text, strict=True))
    finally:
        csv.field_size_limit(limit_before)
        text.detach()


def _check_rows(rows: Any) -> Iterator[_Cells]:
    """rows (csv.reader): Its `line_num` counts the lines that it has read."""
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            problem = "not valid CSV: a quote in the wrong place"
            yield line, BrokenRecordError(problem)
            continue
        content = "".join(row)
        if not is_unicode(content):
            yield line, BrokenRecordError("not valid UTF-8")
        elif "\0" in content:
            yield line, BrokenRecordError("a NUL byte")
        elif row:  # a blank line is not a record
            yield line, row


@contextmanager
def open_json_lines(name: str) -> Iterator[IO[bytes]]:
    """Open a JSON lines file to read its lines.

    name (str): The file.
    YIELDS (IO[bytes]): The file, at its start.
    RAISES (SettingsError): It cannot be opened, or isn't UTF-8 but UTF-16.
    """
    with _open(name) as handle:
        _check_encoding(_peek(handle), name=name)
        yield handle


def holds_record(raw: bytes, *, is_first: bool) -> bool:
    """raw (bytes): A line of a JSON lines file.
    is_first (bool): Whether it is the first line of the file.
    RETURNS (bool): Whether it is a record, broken or not: blank lines are none."""
    if raw.startswith(b"{"):
        return True
    try:
        return bool(_decode(raw.removeprefix(_BOM) if is_first else raw).strip())
    except BrokenRecordError:
        return True


def parse_json_lines(data: bytes, *, first_line: int) -> Iterator[Line]:
    """Read some lines of a JSON lines file.

    data (bytes): The lines.
    first_line (int): The number of the first of them, from 1.
    YIELDS (Tuple[int, Union[Dict[str, Any], BrokenRecordError]]): The number of each
        line, and its fields or why they can't be read. Blank lines are left out.
    """
    if first_line > 1:  # only the first line of a file may begin with a BOM
        data, first_line = b"\n" + data, first_line - 1
    for number, row in _parse_lines(io.BytesIO(data), _parse_json):
        yield number + first_line - 1, row
