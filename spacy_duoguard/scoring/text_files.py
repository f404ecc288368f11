"""Open text files, compressed or not, check what they look like, and read their lines
in bounded memory."""

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import IO

from ..errors import Errors, SettingsError
from .compression import (
    MAGIC_SIZE,
    ChunkReader,
    decompress,
    detect_compression,
    may_be_compressed,
)
from .file_names import FORMATS, compression_of
from .record import STANDARD, BrokenRecordError
from .standard_streams import standard_input

# A line, a row or a cell. Without a limit, a file without line breaks, or an unclosed
# quote, would be read into memory as a whole, and a small file can decompress to
# terabytes.
MAX_SIZE = 64 * 2**20  # bytes of a line; characters in CSV

BOM = b"\xef\xbb\xbf"

_CHUNK = 2**16
_SUFFIX = {"gzip": ".gz", "zstd": ".zst"}


@contextmanager
def open_bytes(name: str) -> Iterator[IO[bytes]]:
    """Open a file by its name, and a pipe by its first bytes: if it is compressed, its
    content is decompressed.

    name (str): A file, or "-" for standard input.
    YIELDS (IO[bytes]): The content. To read from it raises a `SettingsError` where the
        file is torn or damaged.
    RAISES (SettingsError): The file can't be opened, or isn't what its name says.
    """
    if name == STANDARD:
        yield _decompress(standard_input(), name)
        return
    try:
        handle = open(name, "rb")  # noqa: SIM115
    except OSError as e:
        problem = e.strerror or type(e).__name__
        raise SettingsError(Errors.E139.format(name=name, problem=problem)) from e
    with handle:
        yield _decompress(handle, name)


def _decompress(handle: IO[bytes], name: str) -> IO[bytes]:
    start = _read_start(handle)
    kind = detect_compression(start)
    is_file = name != STANDARD and handle.seekable()
    expected = compression_of(name) if is_file else None
    if kind != expected if is_file else kind not in (None, *_SUFFIX):
        raise _unexpected(name, kind, expected)
    if kind is None and is_file:
        handle.seek(0)
        return handle
    # `read1` doesn't wait for more than there is.
    read = getattr(handle, "read1", handle.read)
    rest = iter(lambda: read(_CHUNK), b"")
    chunks: Iterator[bytes] = chain([start] if start else [], rest)
    if kind is not None:
        chunks = decompress(chunks, kind, name=name)
    return io.BufferedReader(ChunkReader(chunks), _CHUNK)


def _read_start(handle: IO[bytes]) -> bytes:
    start = b""
    while len(start) < MAGIC_SIZE and (more := handle.read(MAGIC_SIZE - len(start))):
        start += more
    return start


def _unexpected(name: str, kind: str | None, expected: str | None) -> SettingsError:
    if expected is not None:
        return SettingsError(Errors.E175.format(name=name, kind=expected))
    remedy = "Decompress it: only gzip and zstd are read."
    if kind in _SUFFIX:
        remedy = f"End its name with {_SUFFIX[kind]}."
    return SettingsError(Errors.E177.format(name=name, kind=kind, remedy=remedy))


def guess_standard_input() -> str:
    """Only JSON lines can be guessed: a line that is none is a broken record, while a
    damaged JSON line that is read as a text gets the score of its escapes and keys.

    RETURNS (str): The format of standard input: "jsonl", if it begins with "{".
    RAISES (SettingsError): It is closed, compressed, or begins otherwise."""
    start = peek(standard_input())
    if may_be_compressed(start):
        raise SettingsError(Errors.E178.format(formats=", ".join(FORMATS[:-1])))
    if start.removeprefix(BOM).lstrip()[:1] != b"{":
        raise SettingsError(Errors.E220.format(formats=", ".join(FORMATS[:-1])))
    return "jsonl"


def peek(handle: IO[bytes]) -> bytes:
    """handle (IO[bytes]): An open file.
    RETURNS (bytes): The next bytes, few or many, without reading them."""
    peek = getattr(handle, "peek", lambda size: b"")
    start: bytes = peek(4096)
    return start


def check_encoding(start: bytes, *, name: str) -> None:
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


def split_lines(handle: IO[bytes]) -> Iterator[bytes | BrokenRecordError]:
    """handle (IO[bytes]): An open file.
    YIELDS (Union[bytes, BrokenRecordError]): Its lines with their ends. One that is too
        long is broken."""
    while line := handle.readline(MAX_SIZE + 1):
        if len(line) <= MAX_SIZE:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = handle.readline(_CHUNK)
        yield too_long("line")


def too_long(kind: str) -> BrokenRecordError:
    """kind (str): What is too long.
    RETURNS (BrokenRecordError): The problem of its record."""
    return BrokenRecordError(f"a {kind} longer than {MAX_SIZE // 2**20} MiB")
