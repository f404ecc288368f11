"""Parquet: read rows, and write results as a folder of parts.

Each part holds the results of a fixed number of records and appears only once it is
complete. All parts have the same columns, which are fixed before scoring starts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.checkpoint.files import write_aside
from ..errors import Errors, SettingsError
from ..taxonomy import UNSAFE
from .inputs import read_text_file
from .record import (
    BATCH,
    PART,
    STANDARD,
    BrokenRecordError,
    Row,
    Source,
    check_columns,
    check_unique,
    list_files,
)
from .results import output_names, to_plain

if TYPE_CHECKING:
    import pyarrow

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


def _parquet_files(path: Path) -> list[Path]:
    """RETURNS (List[Path]): A file itself, or the files in a folder, by name."""
    files = list_files(path, ".parquet") if path.is_dir() else [path]
    if not files:
        problem = "no .parquet files in the folder"
        raise SettingsError(Errors.E139.format(name=path, problem=problem))
    return files


def read_rows(
    path: Path, *, required: str | None = None, columns: Sequence[str] | None = None
) -> Iterator[Row]:
    """Read rows without loading a whole file.

    path (Path): A Parquet file, or a folder of them.
    required (Optional[str]): A column that must be there.
    columns (Optional[Sequence[str]]): The columns to read, by default all of them.
    YIELDS (Union[Dict[str, Any], BrokenRecordError]): The rows. A row is broken if it
        has a value that Python can't hold.
    RAISES (SettingsError): A file is damaged, does not have the column, or has two
        columns of the same name.
    """
    pa = load_pyarrow()
    for file in _parquet_files(path):
        try:
            with pa.parquet.ParquetFile(file) as table:
                names = table.schema_arrow.names
                check_unique(names, name=str(file))
                if required is not None:
                    check_columns(names, required, name=str(file))
                for batch in table.iter_batches(_ROWS, columns=columns):
                    yield from to_rows(batch)
        except (pa.ArrowException, OSError) as e:
            problem = f"damaged ({type(e).__name__})"
            raise SettingsError(Errors.E139.format(name=file, problem=problem)) from e


def to_rows(batch: "pyarrow.RecordBatch | pyarrow.Table") -> Iterator[Row]:
    """batch (Union[pyarrow.RecordBatch, pyarrow.Table]): Some rows.
    YIELDS (Union[Dict[str, Any], BrokenRecordError]): As in `read_rows`."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError) as e:
        # A string that isn't UTF-8, a date after the year 9999, a struct with a name
        # twice: the other rows can be read.
        if batch.num_rows > 1:
            for i in range(batch.num_rows):
                yield from to_rows(batch.slice(i, 1))
        else:
            yield BrokenRecordError(f"a value that can't be read ({type(e).__name__})")


def count_rows(path: Path) -> int:
    """path (Path): A Parquet file, or a folder of them.
    RETURNS (int): The number of rows."""
    pa = load_pyarrow()
    return sum(pa.parquet.read_metadata(file).num_rows for file in _parquet_files(path))


def input_columns(source: Source) -> "list[pyarrow.Field]":
    """Find the columns of an input. JSON lines are read to the end for this: a field
    becomes a column of numbers or booleans if all its values fit, else of strings.

    source (Source): The input.
    RETURNS (List[pyarrow.Field]): The columns, in order.
    RAISES (SettingsError): Standard input, which cannot be read twice.
    """
    pa = load_pyarrow()
    if source.form == "parquet":
        return list(pa.parquet.read_schema(_parquet_files(Path(source.name))[0]))
    if source.form == "txt":
        return [pa.field(source.text_key, pa.string())]
    if source.name == STANDARD:
        raise SettingsError(Errors.E141)
    types: dict[str, set[str]] = {}
    for record in read_text_file(source):
        for key, value in record.fields.items():
            types.setdefault(key, set()).add(_type_name(value))
    if source.form == "csv":
        return [pa.field(key, pa.string()) for key in types]
    return [pa.field(key, _column_type(pa, names)) for key, names in types.items()]


def _type_name(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return "other"  # may fit neither into 64 bits nor into a float
    return type(value).__name__


def _column_type(pa: Any, names: set[str]) -> Any:
    names = names - {"NoneType"}
    if names == {"bool"}:
        return pa.bool_()
    if names == {"int"}:
        return pa.int64()
    if names in ({"float"}, {"int", "float"}):
        return pa.float64()
    return pa.string()


def result_columns(labels: Sequence[str], *, curve: bool) -> "list[pyarrow.Field]":
    """labels (Sequence[str]): The categories.
    curve (bool): Include the risk curve.
    RETURNS (List[pyarrow.Field]): The columns of results, which follow the input's."""
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


def to_table(
    results: Sequence[Mapping[str, Any]], columns: "Sequence[pyarrow.Field]"
) -> "pyarrow.Table":
    """Make a table of results.

    results (Sequence[Mapping[str, Any]]): The results.
    columns (Sequence[pyarrow.Field]): The columns to take. Columns of strings hold
        values of other types as JSON.
    RETURNS (pyarrow.Table): The table, null where a result does not have a field.
    """
    pa = load_pyarrow()
    strings = [field.name for field in columns if pa.types.is_string(field.type)]
    rows = [
        {**result, **{name: _to_string(result.get(name)) for name in strings}}
        for result in results
    ]
    return pa.Table.from_pylist(rows, pa.schema(columns))


def _to_string(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        value = json.dumps(to_plain(value), ensure_ascii=False)
    # Parquet cannot hold unpaired surrogates.
    return value.encode("utf8", "replace").decode("utf8")


class ParquetWriter:
    """Writes a folder of Parquet files. A resumed run keeps the complete parts, and
    verifies that scoring the last batch in them again gives the same results."""

    def __init__(
        self,
        path: Path,
        input_fields: "Sequence[pyarrow.Field]",
        result_fields: "Sequence[pyarrow.Field]",
        *,
        resume: bool,
    ) -> None:
        """path (Path): The folder.
        input_fields (Sequence[pyarrow.Field]): The columns of the input.
        result_fields (Sequence[pyarrow.Field]): The columns of results.
        resume (bool): Continue a folder instead of replacing it.
        RAISES (SettingsError): The folder cannot be used.
        """
        self._pa = load_pyarrow()
        names = output_names([field.name for field in input_fields])
        renamed = [
            field.with_name(name)
            for field, name in zip(input_fields, names, strict=True)
        ]
        self._schema = self._pa.schema([*renamed, *result_fields])
        self.path = path
        self._results: list[dict] = []
        self._to_verify: list[dict] = []
        path.mkdir(parents=True, exist_ok=True)
        self._n_parts = self._keep_full_parts() if resume else 0
        if not resume:
            for file in path.glob("part-*.parquet"):
                file.unlink()
        self.start = self._n_parts * PART - len(self._to_verify)

    def write(self, results: Sequence[dict]) -> None:
        """results (Sequence[dict]): The next results.
        RAISES (SettingsError): The folder holds other results for these records."""
        if self._to_verify:
            rows = to_table(results, self._schema).to_pylist()
            if repr(rows) != repr(self._to_verify):
                raise self._differs(self.start + len(rows))
            self._to_verify = []
            return
        self._results += results
        if len(self._results) >= PART:
            self._write_part()

    def close(self, *, finished: bool) -> None:
        """finished (bool): Whether all of the input was scored: if so, the last part is
            written.
        RAISES (SettingsError): There are more results than records."""
        if not finished:
            return
        if self._to_verify:
            raise SettingsError(Errors.E132.format(path=self.path))
        if self._results or not self._n_parts:
            self._write_part()
        for file in sorted(self.path.glob("part-*.parquet"))[self._n_parts :]:
            file.unlink()

    def _keep_full_parts(self) -> int:
        """RETURNS (int): How many parts are full, counting from the first."""
        for aside in self.path.glob(".part-*"):
            aside.unlink()
        n_full = 0
        while self._is_full(self._part(n_full)):
            n_full += 1
        if n_full:
            table = self._pa.parquet.read_table(self._part(n_full - 1))
            if not table.schema.equals(self._schema):
                raise self._differs(n_full * PART)
            self._to_verify = table.slice(PART - BATCH).to_pylist()
        return n_full

    def _is_full(self, part: Path) -> bool:
        if not part.is_file():
            return False
        try:
            return self._pa.parquet.read_metadata(part).num_rows == PART
        except (self._pa.ArrowException, OSError):
            return False  # damaged: it is written again

    def _differs(self, number: int) -> SettingsError:
        return SettingsError(Errors.E131.format(path=self.path, number=number))

    def _part(self, i: int) -> Path:
        return self.path / f"part-{i:05}.parquet"

    def _write_part(self) -> None:
        table = to_table(self._results, self._schema)
        with write_aside(self._part(self._n_parts)) as aside:
            self._pa.parquet.write_table(table, aside)
        self._n_parts += 1
        self._results = []
