"""Divide a folder of files into shards: consecutive records whose results become one
file. Small files are joined and large ones split.

Shards depend on the input and on one limit only. They hold whole batches, so that each
text is scored with the same others as in a single process, and an input that has grown
begins with the same shards. To plan them, the input is read once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...engine.checkpoint.manifest import digest_file
from ..parquet_schema import load_pyarrow
from ..record import BATCH, PART
from .line_slices import open_json_lines, scan_lines

MOST_BYTES = 2**24  # of the input in a shard; the last batch may exceed it
_PER_ACTOR = 4  # shards, so that all actors are busy to the end

Stamp = tuple[int, int]


@dataclass(frozen=True)
class Slice:
    """Consecutive lines of a JSON lines file, or rows of a Parquet file."""

    path: str
    start: int  # a byte of what is decompressed, or a row
    end: int
    line: int = 1  # the number of the first line, from 1
    digest: str = ""  # SHA-256 of a Parquet file
    stamp: Stamp = (0, 0)  # size and time of a Parquet file


@dataclass(frozen=True)
class Shard:
    """Some records of a folder."""

    index: int
    first: int  # the number of the first record in all files, from 1
    records: int
    digest: str  # of the records
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class Plan:
    """The shards of a folder."""

    shards: list[Shard]
    prefix: str | None  # digest of the beginning of a shard, see `make_plan`

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(shard.records for shard in self.shards)


def shard_bytes(files: Sequence[Path], actors: int) -> int:
    """files (Sequence[Path]): The files of a folder.
    actors (int): How many actors need something to do.
    RETURNS (int): How many bytes of the input go into a shard."""
    total = sum(path.stat().st_size for path in files)
    return max(1, min(MOST_BYTES, total // (actors * _PER_ACTOR)))


def make_plan(files: Sequence[Path], limit: int, *, until: int | None = None) -> Plan:
    """Divide files into shards, at least one.

    files (Sequence[Path]): The files, all JSON lines or all Parquet.
    limit (int): A shard ends with the batch that reaches this number of bytes, or with
        `PART` records.
    until (Optional[int]): The number of a record. The digest of the records from the
        beginning of its shard up to it is the `prefix` of the plan.
    RETURNS (Plan): The shards, in the order of the files and their records.
    RAISES (SettingsError): A file cannot be read.
    """
    builder = _Builder(limit, until)
    for path in files:
        if path.suffix == ".parquet":
            _add_table(builder, path)
        else:
            _add_lines(builder, path)
    if builder.records or not builder.shards:
        builder.finish_shard()
    return Plan(builder.shards, builder.prefix)


def add_line(digest: Any, raw: bytes) -> None:
    """digest (Hash): A digest of the lines before, updated in place.
    raw (bytes): A line. How it ends does not count."""
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    digest.update(b"%d:" % len(raw) + raw)


def digest_of(lines: Any, slices: Sequence[Slice]) -> str:
    """lines (Hash): A digest of lines.
    slices (Sequence[Slice]): Slices, of Parquet files if there are no lines.
    RETURNS (str): The digest of a shard."""
    digest = lines.copy()
    for part in slices:
        if part.digest:
            digest.update(f"{part.digest} {part.start} {part.end}\n".encode())
    return str(digest.hexdigest())


def stamp_of(path: str | Path) -> Stamp:
    """path (Union[str, Path]): A file.
    RETURNS (Tuple[int, int]): What shows quickly that it was changed."""
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


class _Builder:
    """Collects the slices of a shard until it is full."""

    def __init__(self, limit: int, until: int | None) -> None:
        self.shards: list[Shard] = []
        self.prefix: str | None = None
        self.lines = sha256()
        self.records = 0  # of this shard
        self._limit, self._until = limit, until
        self._bytes = 0.0
        self._done = 0  # records of all shards
        self._slices: list[Slice] = []
        self._note_prefix()

    @property
    def room(self) -> int:
        """How many records may be added at once."""
        room = BATCH - self._done % BATCH
        if self._until is not None and self._until > self._done:
            return min(room, self._until - self._done)
        return room

    def add(self, new: Slice, *, records: int, size: float) -> None:
        """Add what follows in the input: at most as many records as there is room."""
        last = self._slices[-1] if self._slices else None
        if last is not None and last.path == new.path:
            new = Slice(new.path, last.start, new.end, last.line, new.digest, new.stamp)
            self._slices[-1] = new
        else:
            self._slices.append(new)
        self._bytes += size
        self.records += records
        self._done += records
        if records:
            self._note_prefix()
            is_full = self.records >= PART or self._bytes >= self._limit
            if is_full and self._done % BATCH == 0:
                self.finish_shard()

    def _note_prefix(self) -> None:
        if self._done == self._until:
            self.prefix = digest_of(self.lines, self._slices)

    def finish_shard(self) -> None:
        """End a shard."""
        digest = digest_of(self.lines, self._slices)
        first = self._done - self.records + 1
        index, slices = len(self.shards), tuple(self._slices)
        self.shards.append(Shard(index, first, self.records, digest, slices))
        self.lines, self._slices = sha256(), []
        self.records, self._bytes = 0, 0.0


def _add_lines(builder: _Builder, path: Path) -> None:
    start = 0
    with open_json_lines(str(path)) as handle:
        for number, (size, content) in enumerate(scan_lines(handle), start=1):
            if content is not None:
                add_line(builder.lines, content)
            part = Slice(str(path), start, start + size, number)
            builder.add(part, records=int(content is not None), size=size)
            start += size


def _add_table(builder: _Builder, path: Path) -> None:
    stamp, digest = stamp_of(path), digest_file(path)["sha256"]
    start = 0
    for rows, size in _row_groups(path):
        last = start + rows
        while start < last:
            end = min(last, start + builder.room)
            part = Slice(str(path), start, end, digest=digest, stamp=stamp)
            share = size * (end - start) / rows
            builder.add(part, records=end - start, size=share)
            start = end


def _row_groups(path: Path) -> Iterator[tuple[int, int]]:
    """YIELDS (Tuple[int, int]): The rows and the bytes of each row group."""
    metadata = load_pyarrow().parquet.read_metadata(path)
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        yield group.num_rows, group.total_byte_size
