"""Parquet: read rows, and settle the columns of results before scoring starts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import Errors, SettingsError
from ..taxonomy import UNSAFE
from .batches import BATCH_SIZE
from .fields import FieldCounts
from .inputs import read_text_file
from .json_cells import read_cell, write_cell
from .parquet_schema import (
    HAS_JSON,
    align,
    damaged,
    has_json,
    load_pyarrow,
    unify_schemas,
)
from .parquet_size import is_dense, is_too_long, size_of_rows
from .record import BrokenRecordError, Row, Source, list_files
from .results import NOTHING, Columns
from .text_files import too_long

if TYPE_CHECKING:
    import pyarrow

# Rows that are read at once: few, because each value of a column can be as long as
# all of its dictionary, which a small file can decompress to. One, if it seems to.
_ROWS = 8


def _parquet_files(path: Path) -> list[Path]:
    """RETURNS (List[Path]): A file itself, or the files in a folder, by name.
    RAISES (SettingsError): The folder has none, or something else that may hold texts,
        and isn't hidden from readers by a dot or an underscore."""
    if not path.is_dir():
        return [path]
    files = list_files(path, ".parquet")
    for other in sorted(path.iterdir()):
        if other.name[0] in "._" or (other in files and not other.is_dir()):
            continue
        kind = "is a folder" if other.is_dir() else "doesn't end in .parquet"
        message = Errors.E225.format(folder=path, name=other.name, kind=kind)
        raise SettingsError(message)
    if not files:
        problem = "no .parquet files in the folder"
        raise SettingsError(Errors.E139.format(name=path, problem=problem))
    return files


def read_rows(
    path: Path, *, required: str | None = None, columns: Sequence[str] | None = None
) -> Iterator[Row]:
    """Read rows without loading a whole file. All have the columns of all files.

    path (Path): A Parquet file, or a folder of them.
    required (Optional[str]): A column that must be there.
    columns (Optional[Sequence[str]]): The columns to read, by default all of them.
    YIELDS (Union[Dict[str, Any], BrokenRecordError]): The rows. A row is broken if it
        has a value that Python, or the type of the column in all files, can't hold.
    RAISES (SettingsError): As in `unify_schemas`, before the first row.
    """
    pa = load_pyarrow()
    files = _parquet_files(path)
    schema = unify_schemas(files, required=required)
    if columns is not None:
        schema = pa.schema([field for field in schema if field.name in columns])
    for file in files:
        try:
            with open_parquet(file) as table:
                for batch in iter_batches(table, columns=columns):
                    for rows, problem in align(batch, schema):
                        if problem is None:
                            yield from to_rows(rows)
                        else:
                            yield BrokenRecordError(problem)
        except (pa.ArrowException, OSError) as e:
            raise damaged(file, e) from e


def open_parquet(path: str | Path) -> Any:
    """path (str / Path): A Parquet file.
    RETURNS (pyarrow.parquet.ParquetFile): The file. Reading it checks the checksums of
        its pages, if it has any."""
    pa = load_pyarrow()
    return pa.parquet.ParquetFile(path, page_checksum_verification=True)


def iter_batches(
    file: Any,
    groups: Iterable[int] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> "Iterator[pyarrow.RecordBatch]":
    """file (pyarrow.parquet.ParquetFile): From `open_parquet`.
    groups (Optional[Iterable[int]]): The row groups to read, by default all of them.
    columns (Optional[Sequence[str]]): The columns to read, by default all of them.
    YIELDS (pyarrow.RecordBatch): Their rows, a few at once."""
    metadata = file.metadata
    for i in range(metadata.num_row_groups) if groups is None else groups:
        group = metadata.row_group(i)
        parts = [group.column(j) for j in range(group.num_columns)]
        rows = 1 if any(map(is_dense, parts)) else _ROWS
        # Threads would take more time than so few rows do.
        yield from file.iter_batches(
            rows, row_groups=[i], columns=columns, use_threads=False
        )


def to_rows(batch: "pyarrow.RecordBatch | pyarrow.Table") -> Iterator[Row]:
    """batch (Union[pyarrow.RecordBatch, pyarrow.Table]): Some rows.
    YIELDS (Union[Dict[str, Any], BrokenRecordError]): As in `read_rows`."""
    if batch.num_rows > 1 and size_of_rows(batch) >= BATCH_SIZE:
        for i in range(batch.num_rows):
            yield from to_rows(batch.slice(i, 1))
        return
    if batch.num_rows == 1 and is_too_long(batch):
        yield too_long("row")
        return
    cells = [field.name for field in batch.schema if has_json(field)]
    try:
        for row in batch.to_pylist():
            yield {**row, **{name: read_cell(row[name]) for name in cells}}
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


class InputColumns(NamedTuple):
    """The columns of an input."""

    fields: "list[pyarrow.Field]"
    messages: bool  # whether there are conversations instead of texts


def input_columns(source: Source) -> InputColumns:
    """Find the columns of an input. JSON lines are read to the end for this: those
    fields become columns that most records have, of numbers or booleans if all their
    values fit, else of strings.

    source (Source): The input.
    RETURNS (InputColumns): The columns, in order.
    RAISES (SettingsError): Standard input or a pipe, which can't be read twice.
    """
    pa = load_pyarrow()
    if source.form == "parquet":
        schema = unify_schemas(_parquet_files(Path(source.name)))
        return InputColumns(list(schema), holds_messages(schema, source.text_key))
    if source.form == "txt":
        return InputColumns([pa.field(source.text_key, pa.string())], False)
    if source.is_stream:
        raise SettingsError(Errors.E141)
    if source.form in ("csv", "tsv"):  # all rows have the same columns
        names = {
            key: None for record in read_text_file(source) for key in record.fields
        }
        return InputColumns([pa.field(key, pa.string()) for key in names], False)
    messages, counts = False, FieldCounts(source.text_key)
    for record in read_text_file(source):
        messages |= record.conversation is not None
        counts.add({key: _type_name(value) for key, value in record.fields.items()})
    fields = [_to_field(pa, key, types) for key, types in counts.chosen.items()]
    return InputColumns(fields, messages)


def holds_messages(schema: "pyarrow.Schema", text_key: str) -> bool:
    """schema (pyarrow.Schema): Some columns.
    text_key (str): The column with the texts.
    RETURNS (bool): Whether it holds lists, of messages, instead."""
    i = schema.get_field_index(text_key)
    types = load_pyarrow().types
    if i < 0:
        return False
    kind = schema.field(i).type
    lists = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")
    checks = (getattr(types, f"is_{name}", None) for name in lists)
    return any(check(kind) for check in checks if check is not None)


def _type_name(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return "other"  # may fit neither into 64 bits nor into a float
    return type(value).__name__


def _to_field(pa: Any, name: str, types: set[str]) -> "pyarrow.Field":
    types = types - {"NoneType"}
    if types == {"bool"}:
        return pa.field(name, pa.bool_())
    if types == {"int"}:
        return pa.field(name, pa.int64())
    if types in ({"float"}, {"int", "float"}):
        return pa.field(name, pa.float64())
    metadata = HAS_JSON if types - {"str"} else None
    return pa.field(name, pa.string(), metadata=metadata)


def result_columns(
    labels: Sequence[str], included: Columns = NOTHING
) -> "list[pyarrow.Field]":
    """labels (Sequence[str]): The categories.
    included (Columns): What results include.
    RETURNS (List[pyarrow.Field]): The columns of results, which follow the input's."""
    pa = load_pyarrow()
    cats = pa.struct([(label, pa.float64()) for label in (*labels, UNSAFE)])
    reason = pa.struct([("category", pa.string()), ("margin", pa.float64())])
    decision = [("action", pa.string()), ("reason", reason)] if included.actions else []
    sentence = pa.struct(
        [
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("cats", pa.map_(pa.string(), pa.float64())),
            *decision,
        ]
    )
    columns = [
        ("record", pa.int64()),
        ("error", pa.string()),
        ("cats", cats),
        ("flags", pa.list_(pa.string())),
        ("status", pa.string()),
        ("sentences", pa.list_(sentence)),
        *decision,
    ]
    if included.turns:
        turn = [
            ("role", pa.string()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("status", pa.string()),
            ("cats", cats),
            ("flags", pa.list_(pa.string())),
            *decision,
        ]
        columns += [("scored_text", pa.string()), ("turns", pa.list_(pa.struct(turn)))]
    if included.curve:
        ends, values = pa.list_(pa.int64()), pa.list_(pa.float64())
        columns.append(("curve", pa.struct([("end", ends), ("unsafe", values)])))
        columns.append(("first_unsafe", pa.int64()))
    if included.views:
        reading = [
            ("view", pa.string()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("unsafe", pa.float64()),
            ("text", pa.string()),
        ]
        columns.append(("read_as", pa.list_(pa.struct(reading))))
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
    strings = [field for field in columns if pa.types.is_string(field.type)]
    rows = [
        {**result, **{of.name: _to_cell(result.get(of.name), of) for of in strings}}
        for result in results
    ]
    return pa.Table.from_pylist(rows, pa.schema(columns))


def _to_cell(value: Any, field: "pyarrow.Field") -> str | None:
    is_plain = isinstance(value, str) and not has_json(field)
    cell = value if is_plain else write_cell(value)
    # Parquet cannot hold unpaired surrogates.
    return None if cell is None else cell.encode("utf8", "replace").decode("utf8")
