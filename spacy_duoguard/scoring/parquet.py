"""Parquet: rows of files as records, and results as a folder of parts.

A part holds the results of a fixed number of records and is written aside and renamed:
what is there is whole. All parts have the same columns, which are known before the
first record is scored.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.checkpoint.files import write_aside
from ..errors import Errors, SettingsError
from ..taxonomy import UNSAFE
from .inputs import BrokenRecordError, Source, check_columns
from .jsonl import to_plain
from .results import kept_names
from .scorer import BATCH

if TYPE_CHECKING:
    import pyarrow

PART = 32 * BATCH  # records of a part
_ROWS = 1024  # read at once


def load_pyarrow() -> Any:
    """RETURNS (module): `pyarrow`, with `pyarrow.parquet`.
    RAISES (SettingsError): It is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as e:
        raise SettingsError(Errors.E133) from e
    return pyarrow


def parquet_files(path: Path) -> list[Path]:
    """path (Path): A file, or a folder of them.
    RETURNS (List[Path]): The files, by name.
    RAISES (SettingsError): There is none in the folder."""
    if not path.is_dir():
        return [path]
    files = [
        file for file in sorted(path.glob("*.parquet")) if file.name[0] not in "._"
    ]
    if not files:
        problem = "no .parquet files in the folder"
        raise SettingsError(Errors.E139.format(name=path, problem=problem))
    return files


def read_rows(
    path: Path, text_key: str
) -> Iterator[dict[str, Any] | BrokenRecordError]:
    """path (Path): A Parquet file, or a folder of them.
    text_key (str): The column with the texts.
    YIELDS (Dict[str, Any]): The rows.
    RAISES (SettingsError): A file is damaged, or has no such column."""
    pa = load_pyarrow()
    for file in parquet_files(path):
        try:
            table = pa.parquet.ParquetFile(file)
            check_columns(table.schema_arrow.names, text_key, name=str(file))
            for batch in table.iter_batches(batch_size=_ROWS):
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as e:
            problem = f"damaged ({type(e).__name__})"
            raise SettingsError(Errors.E139.format(name=file, problem=problem)) from e


def count_rows(path: Path) -> int:
    """path (Path): A Parquet file, or a folder of them.
    RETURNS (int): Its rows."""
    pa = load_pyarrow()
    return sum(pa.parquet.read_metadata(file).num_rows for file in parquet_files(path))


def input_columns(source: Source) -> "list[pyarrow.Field]":
    """The columns of an input. Those of JSON lines are found by reading all of them:
    numbers, strings and truth values where all values are of one kind, else JSON.

    source (Source): The input.
    RETURNS (List[pyarrow.Field]): In order.
    RAISES (SettingsError): JSON lines from standard input, which cannot be read twice.
    """
    pa = load_pyarrow()
    if source.form == "parquet":
        return list(pa.parquet.read_schema(parquet_files(Path(source.name))[0]))
    if source.form == "txt":
        return [pa.field(source.text_key, pa.string())]
    if source.name == "-":
        raise SettingsError(Errors.E141)
    kinds: dict[str, set[str]] = {}
    for record in source.records():
        for key, value in record.fields.items():
            kinds.setdefault(key, set()).add(_kind(value))
    if source.form == "csv":
        return [pa.field(key, pa.string()) for key in kinds]
    return [pa.field(key, _column_type(pa, found)) for key, found in kinds.items()]


def _kind(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return "other"  # neither 64 bits nor a float need hold it
    return type(value).__name__


def _column_type(pa: Any, kinds: set[str]) -> Any:
    kinds = kinds - {"NoneType"}
    if kinds == {"bool"}:
        return pa.bool_()
    if kinds == {"int"}:
        return pa.int64()
    if kinds in ({"float"}, {"int", "float"}):
        return pa.float64()
    return pa.string()


def result_columns(labels: Sequence[str], *, curve: bool) -> "list[pyarrow.Field]":
    """labels (Sequence[str]): The categories.
    curve (bool): Whether the risk curve is wanted.
    RETURNS (List[pyarrow.Field]): The columns that results have beside the input's."""
    pa = load_pyarrow()
    cats = pa.struct([(label, pa.float64()) for label in (*labels, UNSAFE)])
    sentence = pa.struct(
        [
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("cats", pa.map_(pa.string(), pa.float64())),
        ]
    )
    columns = [
        ("record", pa.int64()),
        ("error", pa.string()),
        ("cats", cats),
        ("flags", pa.list_(pa.string())),
        ("status", pa.string()),
        ("sentences", pa.list_(sentence)),
    ]
    if curve:
        ends, values = pa.list_(pa.int64()), pa.list_(pa.float64())
        columns.append(("curve", pa.struct([("end", ends), ("unsafe", values)])))
        columns.append(("first_unsafe", pa.int64()))
    return [pa.field(name, kind) for name, kind in columns]


class ParquetParts:
    """A folder of Parquet files. Of a folder that is there the full parts stay, and the
    last batch of the last one is compared with what it should be."""

    def __init__(
        self,
        path: Path,
        columns: "Callable[[], tuple[list, list]]",
        *,
        resume: bool,
    ) -> None:
        """path (Path): The folder.
        columns (Callable): Gives the input's columns and those of results.
        resume (bool): Go on with what is there, or write it anew.
        RAISES (SettingsError): The folder cannot be used.
        """
        self._pa = load_pyarrow()
        own, ours = columns()
        names = kept_names([field.name for field in own])
        renamed = [
            field.with_name(name) for field, name in zip(own, names, strict=True)
        ]
        self._schema = self._pa.schema([*renamed, *ours])
        self._strings = _string_columns(self._pa, renamed)
        self.path = path
        self._rows: list[dict] = []
        self._pending: list[dict] = []
        path.mkdir(parents=True, exist_ok=True)
        self._parts = self._keep_full_parts() if resume else 0
        if not resume:
            for file in path.glob("part-*.parquet"):
                file.unlink()
        self.start = self._parts * PART - len(self._pending)

    def write(self, results: Sequence[dict]) -> None:
        """results (Sequence[dict]): The next ones.
        RAISES (SettingsError): Other than those that are there already."""
        rows = [self._to_row(result) for result in results]
        if self._pending:
            table = self._pa.Table.from_pylist(rows, schema=self._schema)
            if repr(table.to_pylist()) != repr(self._pending):
                number = self.start + len(rows)
                message = Errors.E131.format(path=self.path, number=number)
                raise SettingsError(message)
            self._pending = []
            return
        self._rows += rows
        if len(self._rows) >= PART:
            self._write_part()

    def close(self, *, finished: bool) -> None:
        """finished (bool): All of the input was scored: the last part is written.
        RAISES (SettingsError): There are more results than records."""
        if not finished:
            return
        if self._pending:
            raise SettingsError(Errors.E132.format(path=self.path))
        if self._rows or not self._parts:
            self._write_part()
        for file in sorted(self.path.glob("part-*.parquet"))[self._parts :]:
            file.unlink()

    def _keep_full_parts(self) -> int:
        """RETURNS (int): How many parts are full, from the first one on."""
        for aside in self.path.glob(".part-*"):
            aside.unlink()
        n_full = 0
        while self._is_full(self._part(n_full)):
            n_full += 1
        if n_full:
            table = self._pa.parquet.read_table(self._part(n_full - 1))
            if table.schema.equals(self._schema):
                self._pending = table.slice(PART - BATCH).to_pylist()
            else:
                number = n_full * PART
                message = Errors.E131.format(path=self.path, number=number)
                raise SettingsError(message)
        return n_full

    def _is_full(self, part: Path) -> bool:
        if not part.is_file():
            return False
        try:
            return self._pa.parquet.read_metadata(part).num_rows == PART
        except (self._pa.ArrowException, OSError):
            return False  # it is made again

    def _part(self, i: int) -> Path:
        return self.path / f"part-{i:05}.parquet"

    def _write_part(self) -> None:
        table = self._pa.Table.from_pylist(self._rows, schema=self._schema)
        with write_aside(self._part(self._parts)) as aside:
            self._pa.parquet.write_table(table, aside)
        self._parts += 1
        self._rows = []

    def _to_row(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Columns of strings hold what is no string as JSON."""
        row = dict(result)
        for name in self._strings & row.keys():
            value = row[name]
            if value is not None and not isinstance(value, str):
                value = json.dumps(to_plain(value), ensure_ascii=False)
            if value is not None:  # Parquet has no halves of surrogate pairs
                row[name] = value.encode("utf8", "replace").decode("utf8")
        return row


def _string_columns(pa: Any, fields: Iterable[Any]) -> set[str]:
    return {field.name for field in fields if pa.types.is_string(field.type)}
