"""Score a shard: read its records, score them and write the file with their results.
An actor does this on its own, so that no text is sent to it or back."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ...engine.checkpoint.files import sync, try_sync
from ...engine.checkpoint.manifest import digest_file
from ...errors import Errors, SettingsError
from ..batches import PART_SIZE, make_batches, size_of_record
from ..fingerprint import describe
from ..jsonl import to_line
from ..parquet import iter_batches, open_parquet
from ..parquet_schema import align, damaged, load_pyarrow
from ..pipelines import GuardOptions
from ..record import Record, Source, make_record
from ..results import Counts
from .dataset import make_scorer, score_rows
from .line_slices import open_slice, read_slice, scan_lines
from .shards import Shard, Slice, add_line, digest_of, stamp_of
from .table_rows import TableRow, make_table_rows

if TYPE_CHECKING:
    import pyarrow

NAMED = 20  # failed records of a shard that are named


@dataclass(frozen=True)
class Outcome:
    """What became of a shard."""

    shard: Shard
    output: str  # SHA-256 of its file
    counts: Counts
    failures: tuple[tuple[str, str], ...]  # the first: their names and problems
    is_written: bool = True


class ShardScorer:
    """An actor that scores shards."""

    def __init__(
        self,
        options: "GuardOptions | Mapping[str, Any] | None",
        source: Source,
        *,
        threads: int,
        schema: "pyarrow.Schema | None" = None,
        strict: bool = False,
    ) -> None:
        """options, threads: As in `ScoreTexts`.
        source (Source): The folder that is read.
        schema (Optional[pyarrow.Schema]): The columns of its Parquet files.
        strict (bool): Stop at the first record that cannot be scored.
        """
        self.scorer = make_scorer(options, threads)
        self.source, self.schema, self.strict = source, schema, strict

    def describe(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): What the results depend on."""
        return describe(self.scorer.nlp, self.source, curve=self.scorer.columns.curve)

    def score(self, shard: Shard, folder: Path) -> Outcome:
        """Score a shard.

        shard (Shard): The shard.
        folder (Path): Where its file goes. It appears once it is complete.
        RETURNS (Outcome): The counts. With `strict`, nothing is written if there is a
            record that cannot be scored, which is named.
        RAISES (SettingsError): The input was changed since the shard was planned.
        """
        run = _Run(self.source, shard)
        write = self._write_lines if self.schema is None else self._write_rows
        try:
            path = folder / file_name(shard, self.source.form)
            return run.outcome(_write_once(path, lambda aside: write(run, aside)))
        except _StoppedError:
            return run.outcome("", is_written=False)

    def _write_lines(self, run: "_Run", path: Path) -> None:
        named = _read_lines(run.shard, self.source.text_key)
        with path.open("wb") as handle:
            for batch in make_batches(
                named, measure=lambda pair: size_of_record(pair[1])
            ):
                results = self.scorer.score([record for _, record in batch])
                self._add(run, [(file, record.name) for file, record in batch], results)
                handle.writelines(map(to_line, results))

    def _write_rows(self, run: "_Run", path: Path) -> None:
        pa, schema, text_key = load_pyarrow(), self.schema, self.source.text_key
        # A shard without rows is written with its columns.
        columns = score_rows(self.scorer, [], schema, text_key)[0].schema
        rows = _read_rows(run.shard, schema, text_key)
        with pa.parquet.ParquetWriter(path, columns) as writer:
            group: list[Any] = []
            for batch in make_batches(rows, measure=lambda row: row.size):
                scored, results = score_rows(self.scorer, batch, schema, text_key)
                names = [(row.path, f"Record {row.record.number}") for row in batch]
                self._add(run, names, results)
                group.append(scored)
                if sum(table.nbytes for table in group) >= PART_SIZE:
                    writer.write_table(pa.concat_tables(group))
                    group = []
            if group:
                writer.write_table(pa.concat_tables(group))

    def _add(
        self, run: "_Run", names: Sequence[tuple[str, str]], results: Sequence[dict]
    ) -> None:
        """RAISES (_StoppedError): With `strict`, a record cannot be scored."""
        run.add(names, results)
        if self.strict and run.failures:
            raise _StoppedError


class _StoppedError(Exception):
    """A record cannot be scored, and is the first one of its shard that can't."""


class _Run:
    """Counts the results of a shard."""

    def __init__(self, source: Source, shard: Shard) -> None:
        self.shard = shard
        self.counts = Counts()
        self.failures: list[tuple[str, str]] = []
        self._is_folder = Path(source.name).is_dir()

    def add(
        self, names: Sequence[tuple[str, str]], results: Sequence[Mapping[str, Any]]
    ) -> None:
        """Add the results of a batch. Names are those of files and of records."""
        self.counts = self.counts.add(results)
        for (path, name), result in zip(names, results, strict=True):
            if result["status"] == "error" and len(self.failures) < NAMED:
                file = f"{Path(path).name}: " if self._is_folder else ""
                self.failures.append((file + name, result["error"]))

    def outcome(self, output: str, *, is_written: bool = True) -> Outcome:
        """RETURNS (Outcome): What became of the shard."""
        failures = tuple(self.failures)
        return Outcome(self.shard, output, self.counts, failures, is_written)


def file_name(shard: Shard, form: str) -> str:
    """shard (Shard): A shard.
    form (str): "jsonl" or "parquet".
    RETURNS (str): The name of its file. Names sort like the shards."""
    return f"part-{shard.index:07}.{form}"


def _write_once(path: Path, write: Callable[[Path], None]) -> str:
    """Write a file under a temporary name and rename it once it is on disk. An actor
    that was taken for dead may write the same file at the same time.

    RETURNS (str): SHA-256 of the file."""
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        write(aside)
        sync(aside)
        digest: str = digest_file(aside)["sha256"]
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    try_sync(path.parent)
    return digest


def _read_lines(shard: Shard, text_key: str) -> Iterator[tuple[str, Record]]:
    """YIELDS (Tuple[str, Record]): The records, each with the name of its file."""
    digest, number = sha256(), shard.first
    for part in shard.slices:
        with open_slice(part.path, part.start, part.end) as handle:
            for _, content in scan_lines(handle, is_first=part.line == 1):
                if content is not None:
                    add_line(digest, content)
    if digest_of(digest, ()) != shard.digest:
        raise SettingsError(Errors.E186.format(path=shard.slices[0].path))
    for part in shard.slices:
        rows = read_slice(part.path, part.start, part.end, line=part.line)
        for line, row in rows:
            yield part.path, make_record(number, row, text_key, line=line)
            number += 1


def _read_rows(shard: Shard, schema: Any, text_key: str) -> Iterator[TableRow]:
    """YIELDS (TableRow): The rows."""
    number = shard.first
    for part in shard.slices:
        for batch in _read_batches(part):
            for rows, problem in align(batch, schema):
                yield from make_table_rows(
                    rows, text_key, first=number, problem=problem, path=part.path
                )
                number += rows.num_rows


def _read_batches(part: Slice) -> "Iterator[pyarrow.RecordBatch]":
    """YIELDS (pyarrow.RecordBatch): The rows of a slice."""
    pa = load_pyarrow()
    path = Path(part.path)
    try:
        if stamp_of(path) != part.stamp:
            raise SettingsError(Errors.E186.format(path=path))
        with open_parquet(path) as file:
            groups, before = [], 0  # the row groups with the rows, and the rows before
            at = 0
            for i in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(i).num_rows
                if at + rows <= part.start:
                    before += rows
                elif at < part.end:
                    groups.append(i)
                at += rows
            skip, left = part.start - before, part.end - part.start
            for batch in iter_batches(file, groups):
                rows = batch.slice(skip, left)
                skip = max(0, skip - batch.num_rows)
                left -= rows.num_rows
                if rows.num_rows:
                    yield rows
                if not left:
                    return
    except (pa.ArrowException, OSError) as e:
        raise damaged(path, e) from e
