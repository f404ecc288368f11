"""Read the rows of CSV and TSV files in bounded memory."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from .record import BrokenRecordError, is_unicode
from .text_files import MAX_SIZE, too_long

# The number of the line where a row begins, and the row.
Cells = tuple[int, list[str] | BrokenRecordError]


@contextmanager
def csv_rows(handle: IO[bytes], dialect: str) -> Iterator[Iterator[Cells]]:
    """handle (IO[bytes]): An open file, which is left open.
    dialect (str): One of `csv.list_dialects()`.
    YIELDS (Iterator[Tuple[int, Union[List[str], BrokenRecordError]]]): The rows that
        aren't blank, with the numbers of the lines where they begin."""
    text = io.TextIOWrapper(
        handle, encoding="utf-8-sig", errors="surrogateescape", newline="\n"
    )
    limit_before = csv.field_size_limit(MAX_SIZE)
    try:
        yield _read_rows(_RowLines(text), dialect)
    finally:
        csv.field_size_limit(limit_before)
        if not handle.closed:  # as it is if this is collected after an error
            text.detach()


def _read_rows(lines: "_RowLines", dialect: str) -> Iterator[Cells]:
    rows = csv.reader(lines, dialect, strict=True)
    while True:
        line = lines.begin_row()
        try:
            row = next(rows)
        except StopIteration:
            return
        except BrokenRecordError as e:
            yield line, e
            continue
        except csv.Error as e:
            yield line, BrokenRecordError(f"not valid CSV: {_describe(e)}")
            continue
        content = "".join(row)
        if not is_unicode(content):
            yield line, BrokenRecordError("not valid UTF-8")
        elif "\0" in content:
            yield line, BrokenRecordError("a NUL byte")
        elif row:  # a blank line is not a record
            yield line, row


def _describe(error: csv.Error) -> str:
    """What is wrong, without the text in which it is."""
    if "new-line" in str(error):  # which would divide a text, if it ended the row
        return "a carriage return in a cell without quotes"
    return "a quote in the wrong place"


class _RowLines:
    """The lines of a file, for `csv.reader`. It goes on after an error."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._count = self._size = 0

    def begin_row(self) -> int:
        """RETURNS (int): The number of the next line."""
        self._size = 0
        return self._count + 1

    def __iter__(self) -> "_RowLines":
        return self

    def __next__(self) -> str:
        """RAISES (BrokenRecordError): The row is too long. Its last line is skipped."""
        line = self._text.readline(MAX_SIZE + 1)
        if not line:
            raise StopIteration
        self._count += 1
        self._size += len(line)
        if self._size <= MAX_SIZE:
            return line
        while line and not line.endswith("\n"):
            line = self._text.readline(2**16)
        raise too_long("row")
