"""Read records from text files: plain text, JSON lines, CSV and TSV. A broken record
gets a problem of its own, and reading goes on with the next one."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

from ..errors import Errors, SettingsError
from .csv_rows import csv_rows
from .record import (
    BrokenRecordError,
    Record,
    Row,
    Source,
    check_columns,
    make_record,
    unique_keys,
)
from .text_files import BOM, check_encoding, open_bytes, peek, split_lines

# The number of a line, and what begins there.
Line = tuple[int, Row]


def read_text_file(source: Source) -> Iterator[Record]:
    """Read a text file or standard input, compressed or not.

    source (Source): Any source but a Parquet file.
    YIELDS (Record): The records, in order.
    RAISES (SettingsError): The file cannot be read, has no column for the texts, isn't
        UTF-8 but UTF-16, or is torn or damaged where it is compressed.
    """
    readers = {
        "txt": _read_lines,
        "jsonl": _read_json,
        "csv": _read_csv,
        "tsv": _read_tsv,
    }
    with open_bytes(source.name) as handle:
        check_encoding(peek(handle), name=source.name)
        rows = readers[source.form](handle, source)
        for number, (line, row) in enumerate(rows, start=1):
            yield make_record(number, row, source.text_key, line=line)


def _read_lines(handle: IO[bytes], source: Source) -> Iterator[Line]:
    return _parse_lines(handle, lambda line: {source.text_key: line})


def _read_json(handle: IO[bytes], source: Source) -> Iterator[Line]:
    return _parse_lines(handle, _parse_json)


def _parse_lines(
    handle: IO[bytes], parse: Callable[[str], dict[str, Any] | None]
) -> Iterator[Line]:
    for number, raw in enumerate(split_lines(handle), start=1):
        if isinstance(raw, BrokenRecordError):
            yield number, raw
            continue
        try:
            row = parse(_decode(raw.removeprefix(BOM) if number == 1 else raw))
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
    with suppress(UnicodeDecodeError):
        return line.decode("utf8")
    # Not in an `except` block: the error would keep that one, and the text in it.
    raise BrokenRecordError("not valid UTF-8")


def _parse_json(line: str) -> dict[str, Any] | None:
    """RETURNS (Optional[Dict[str, Any]]): The fields; None for a blank line, which is
    not a record."""
    if not line.strip():
        return None
    value, problem = None, ""
    try:
        value = json.loads(
            line,
            parse_constant=_no_constant,
            parse_float=_finite,
            object_pairs_hook=unique_keys,
        )
    except BrokenRecordError as e:
        problem = str(e)
    except (ValueError, RecursionError):
        problem = "not valid JSON"
    if problem:  # not in the block above, as in `_decode`
        raise BrokenRecordError(problem)
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
    return _read_table(handle, source, "excel")


def _read_tsv(handle: IO[bytes], source: Source) -> Iterator[Line]:
    return _read_table(handle, source, "excel-tab")


def _read_table(handle: IO[bytes], source: Source, dialect: str) -> Iterator[Line]:
    with csv_rows(handle, dialect) as rows:
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


def parse_json_lines(handle: IO[bytes]) -> Iterator[Line]:
    """Read JSON lines.

    handle (IO[bytes]): The lines.
    YIELDS (Tuple[int, Union[Dict[str, Any], BrokenRecordError]]): The number of each
        line, from 1, and its fields or why they can't be read. Blank lines are left
        out.
    """
    return _read_json(handle, Source("", "jsonl", ""))


def holds_record(raw: bytes, *, is_first: bool) -> bool:
    """raw (bytes): A line of a JSON lines file.
    is_first (bool): Whether it is the first line of the file.
    RETURNS (bool): Whether it is a record, broken or not: blank lines are none."""
    if raw.startswith(b"{"):
        return True
    try:
        return bool(_decode(raw.removeprefix(BOM) if is_first else raw).strip())
    except BrokenRecordError:
        return True
