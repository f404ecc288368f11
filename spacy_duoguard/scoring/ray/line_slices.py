"""Lines from the middle of a JSON lines file, in bounded memory. A compressed file is
decompressed from its start for that."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import IO

from ..compression import ChunkReader
from ..inputs import Line, holds_record, parse_json_lines
from ..text_files import MAX_SIZE, check_encoding, open_bytes, peek

_CHUNK = 2**16
_TOO_LONG = b"too long"  # no line that is a record, so nothing else looks like it


@contextmanager
def open_json_lines(name: str) -> Iterator[IO[bytes]]:
    """name (str): A JSON lines file.
    YIELDS (IO[bytes]): Its content, decompressed.
    RAISES (SettingsError): It cannot be opened, or isn't UTF-8 but UTF-16."""
    with open_bytes(name) as handle:
        check_encoding(peek(handle), name=name)
        yield handle


def scan_lines(
    handle: IO[bytes], *, is_first: bool = True
) -> Iterator[tuple[int, bytes | None]]:
    """Measure lines.

    handle (IO[bytes]): The lines.
    is_first (bool): Whether the first of them is the first of its file.
    YIELDS (Tuple[int, Optional[bytes]]): The length of each line in bytes, and what its
        result depends on: its content, None if it is blank, and always the same if it
        is too long to be scored.
    """
    while line := handle.readline(MAX_SIZE + 1):
        size = len(line)
        if size <= MAX_SIZE:
            yield size, line if holds_record(line, is_first=is_first) else None
        else:
            while line and not line.endswith(b"\n"):
                line = handle.readline(_CHUNK)
                size += len(line)
            yield size, _TOO_LONG
        is_first = False


@contextmanager
def open_slice(
    name: str, start: int, end: int, *, before: bytes = b""
) -> Iterator[IO[bytes]]:
    """name (str): A JSON lines file.
    start (int), end (int): The bytes to read, of the decompressed content.
    before (bytes): What to put before them.
    YIELDS (IO[bytes]): These bytes.
    RAISES (SettingsError): As in `open_json_lines`."""
    with open_json_lines(name) as handle:
        if handle.seekable():
            handle.seek(start)
        else:
            for _ in _read(handle, start):
                pass
        chunks = chain([before] if before else [], _read(handle, end - start))
        yield io.BufferedReader(ChunkReader(chunks), _CHUNK)


def read_slice(name: str, start: int, end: int, *, line: int) -> Iterator[Line]:
    """name, start, end: As in `open_slice`.
    line (int): The number of the first line.
    YIELDS (Tuple[int, Union[Dict[str, Any], BrokenRecordError]]): As in
        `parse_json_lines`, with the numbers of the lines in the file."""
    # Only the first line of a file may begin with a BOM.
    before = b"" if line == 1 else b"\n"
    with open_slice(name, start, end, before=before) as handle:
        for number, row in parse_json_lines(handle):
            yield number + line - 1 - len(before), row


def _read(handle: IO[bytes], size: int) -> Iterator[bytes]:
    while size and (chunk := handle.read(min(size, _CHUNK))):
        size -= len(chunk)
        yield chunk
