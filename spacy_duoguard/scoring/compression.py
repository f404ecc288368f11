"""gzip and zstd. Both allow files to consist of members (zstd: frames) that are
compressed on their own, so that one can be added at the end, or removed again."""

import io
import zlib
from collections.abc import Iterator
from typing import Any

from ..errors import Errors, SettingsError

_CHUNK = 2**16

# Without a time, a name or an operating system, equal data gives equal bytes.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_GZIP_LEVEL, _ZSTD_LEVEL = 6, 3  # the defaults of both tools
_GZIP_WBITS = 31  # for zlib: expect a gzip header

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = tuple(bytes([i]) + b"\x2a\x4d\x18" for i in range(0x50, 0x60))

# How files begin. No text in UTF-8 begins like this, except that of bzip2.
_MAGIC = {
    "gzip": (b"\x1f\x8b\x08",),
    "zstd": (_ZSTD_MAGIC, *_SKIPPABLE),
    "xz": (b"\xfd7zXZ\x00",),
    "bzip2": tuple(b"BZh%d1AY&SY" % level for level in range(1, 10)),
    "zip": (b"PK\x03\x04",),
}
MAGIC_SIZE = max(len(magic) for magics in _MAGIC.values() for magic in magics)


def detect_compression(start: bytes) -> str | None:
    """start (bytes): The first `MAGIC_SIZE` bytes of a file.
    RETURNS (Optional[str]): "gzip", "zstd", another program that files like this come
        from, or None."""
    for kind, magics in _MAGIC.items():
        if start.startswith(magics):
            return kind
    return None


def may_be_compressed(start: bytes) -> bool:
    """start (bytes): The first bytes of a stream, possibly only a few of them.
    RETURNS (bool): Whether it is compressed, or can turn out to be."""
    magics = (*_MAGIC["gzip"], _ZSTD_MAGIC)
    is_open = start and any(magic.startswith(start) for magic in magics)
    return bool(is_open or detect_compression(start))


def _load_zstd() -> Any:
    """RETURNS (module): `pyarrow`, which can read and write zstd.
    RAISES (SettingsError): It is not installed."""
    try:
        import pyarrow
    except ImportError as e:
        raise SettingsError(Errors.E176) from e
    if not pyarrow.Codec.is_available("zstd"):
        raise SettingsError(Errors.E176)
    return pyarrow


def describe_compressor(kind: str | None) -> dict[str, str]:
    """kind (Optional[str]): "gzip", "zstd" or None.
    RETURNS (Dict[str, str]): The version of what compresses: another may write other
        bytes.
    RAISES (SettingsError): pyarrow is missing."""
    if kind == "gzip":
        return {"version of zlib": zlib.ZLIB_RUNTIME_VERSION}
    if kind == "zstd":
        return {"version of pyarrow": _load_zstd().__version__}
    return {}


def compress(data: bytes, kind: str | None) -> bytes:
    """data (bytes): Any data.
    kind (Optional[str]): "gzip", "zstd" or None.
    RETURNS (bytes): One gzip member, one zstd frame, or the data."""
    if kind == "gzip":
        deflate = zlib.compressobj(_GZIP_LEVEL, wbits=-zlib.MAX_WBITS)
        content = deflate.compress(data) + deflate.flush()
        ends = (zlib.crc32(data), len(data) % 2**32)
        return _GZIP_HEADER + content + b"".join(n.to_bytes(4, "little") for n in ends)
    if kind == "zstd":
        codec = _load_zstd().Codec("zstd", compression_level=_ZSTD_LEVEL)
        frame: bytes = codec.compress(data, asbytes=True)
        return frame
    return data


def decompress(chunks: Iterator[bytes], kind: str, *, name: str) -> Iterator[bytes]:
    """Decompress all members or frames of a file in bounded memory.

    chunks (Iterator[bytes]): The content of the file.
    kind (str): "gzip" or "zstd".
    name (str): The name of the file, for messages.
    YIELDS (bytes): Decompressed data, at most 64 KiB at once.
    RAISES (SettingsError): The file is torn or damaged, or pyarrow is missing.
    """
    errors = (EOFError, zlib.error, OSError)  # the last one is pyarrow's
    try:
        if kind == "zstd":
            yield from _read_frames(_load_zstd(), chunks)
        else:
            yield from _inflate(chunks)
    except errors as e:
        raise SettingsError(Errors.E175.format(name=name, kind=kind)) from e


def _inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """YIELDS (bytes): Decompressed data.
    RAISES (EOFError, zlib.error): The file is torn, or has something else in it."""
    data = next(chunks, b"")
    while data:
        member = zlib.decompressobj(wbits=_GZIP_WBITS)
        while not member.eof:
            output = member.decompress(data, _CHUNK)
            rest = member.unused_data if member.eof else member.unconsumed_tail
            data = rest or next(chunks, b"")
            if not (output or data or member.eof):
                raise EOFError
            yield output


def _read_frames(pa: Any, chunks: Iterator[bytes]) -> Iterator[bytes]:
    # pyarrow closes the file that it reads.
    file = io.BufferedReader(ChunkReader(chunks), _CHUNK)
    with pa.CompressedInputStream(file, "zstd") as stream:
        while data := stream.read(_CHUNK):
            yield data


class ChunkReader(io.RawIOBase):
    """Makes a file of an iterator. To close it leaves the iterator's source open."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """chunks (Iterator[bytes]): The content of the file."""
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """RETURNS (bool): True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """buffer (WriteableBuffer): Where to write the next bytes.
        RETURNS (int): Their number, 0 at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
