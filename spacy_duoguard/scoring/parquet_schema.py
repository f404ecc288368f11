"""The columns that a folder of Parquet files has, and its rows with these columns.

Files written at different times differ: a column comes later, a number is wider. Their
types are combined before anything is scored, or the folder is refused.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Errors, SettingsError
from .record import check_columns, check_unique

if TYPE_CHECKING:
    import pyarrow


# A table whose rows have different fields has no more columns than this.
MOST_COLUMNS = 1000


# Metadata of a column of strings in which other values have become JSON.
HAS_JSON = {b"spacy-duoguard": b"JSON"}


def has_json(field: "pyarrow.Field") -> bool:
    """field (pyarrow.Field): A column.
    RETURNS (bool): Whether other values than strings have become JSON in it."""
    return HAS_JSON.items() <= (field.metadata or {}).items()


def check_no_json(field: "pyarrow.Field", *, path: Path | str) -> None:
    """Check that the texts of a column aren't JSON, such as messages.

    field (pyarrow.Field): The column.
    path (Union[Path, str]): Where it is, for messages.
    RAISES (SettingsError): They are.
    """
    kind = getattr(field.type, "extension_name", None)
    if has_json(field) or kind == "arrow.json":
        raise SettingsError(Errors.E340.format(path=path, column=field.name))


def check_width(count: int, *, name: str, most: int) -> None:
    """Check the number of columns of a table whose rows differ.

    count (int): The number of columns so far.
    name (str): The name of the input, for messages.
    most (int): A number that is allowed in any case.
    RAISES (SettingsError): There are too many.
    """
    limit = max(MOST_COLUMNS, most)
    if count > limit:
        raise SettingsError(Errors.E354.format(name=name, limit=limit))


def load_pyarrow() -> Any:
    """RETURNS (module): `pyarrow`, with `pyarrow.parquet`.
    RAISES (SettingsError): It is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as e:
        raise SettingsError(Errors.E133) from e
    return pyarrow


def damaged(file: Path, error: Exception) -> SettingsError:
    """file (Path): A file that can't be read.
    error (Exception): The reason.
    RETURNS (SettingsError): The error to raise."""
    problem = f"damaged ({type(error).__name__})"
    return SettingsError(Errors.E139.format(name=file, problem=problem))


def unify_schemas(
    files: Sequence[Path], *, required: str | None = None
) -> "pyarrow.Schema":
    """Combine the columns of files, in the order in which they first occur.

    files (Sequence[Path]): Parquet files.
    required (Optional[str]): A column that each of them must have.
    RETURNS (pyarrow.Schema): A column has the widest of its types. Encodings, such as
        dictionaries and views, are left out.
    RAISES (SettingsError): There are too many columns that not all files have, a file
        is damaged, does not have the required column, has
        two columns of the same name, or one whose type doesn't go with that in another.
        Or the required column has something else than texts, such as messages, as JSON.
    """
    pa = load_pyarrow()
    known: dict[str, tuple[Path, Any, Any]] = {}
    marked: dict[str, dict[bytes, bytes]] = {}
    widest = 0
    for file in files:
        try:
            schema = pa.parquet.read_schema(file)
        except (pa.ArrowException, OSError) as e:
            raise damaged(file, e) from e
        check_unique(schema.names, name=str(file))
        if required is not None:
            check_columns(schema.names, required, name=str(file))
        for field in schema:
            mine = _decoded(pa, field.type)
            first, as_stored, kind = known.get(field.name, (file, field.type, mine))
            combined = kind if kind.equals(mine) else _combine(pa, kind, mine)
            if combined is None:
                message = Errors.E185.format(
                    column=field.name,
                    file=file,
                    kind=field.type,
                    other_file=first,
                    other=as_stored,
                )
                raise SettingsError(message)
            known[field.name] = (first, as_stored, combined)
            if has_json(field):
                marked[field.name] = HAS_JSON
            if field.name == required:
                _check_texts(pa, file, field)
        widest = max(widest, len(schema))
        check_width(len(known), name=str(file.parent), most=widest)
    return pa.schema(
        [
            pa.field(name, kind, metadata=marked.get(name))
            for name, (*_, kind) in known.items()
        ]
    )


def _check_texts(pa: Any, file: Path, field: "pyarrow.Field") -> None:
    check_no_json(field, path=file)
    # The type in the file, which Arrow doesn't always keep.
    columns = pa.parquet.read_metadata(file).schema
    for i in range(len(columns)):
        column = columns.column(i)
        if column.path == field.name and column.logical_type.type == "JSON":
            raise SettingsError(Errors.E340.format(path=file, column=field.name))


def _decoded(pa: Any, kind: Any) -> Any:
    """The type of the values, however they are stored."""
    if pa.types.is_dictionary(kind):
        return _decoded(pa, kind.value_type)
    for view, plain in (("string_view", pa.string()), ("binary_view", pa.binary())):
        if hasattr(pa, view) and kind.equals(getattr(pa, view)()):
            return plain
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")  # Python's times have no nanoseconds
    return kind


def _combine(pa: Any, first: Any, second: Any) -> Any | None:
    """RETURNS (Optional[pyarrow.DataType]): A type for the values of both, None if
    there is none."""
    kinds = [kind for kind in (first, second) if not pa.types.is_null(kind)]
    if len({_is_text(pa, kind) for kind in kinds}) > 1:
        return None  # bytes would swallow a text
    try:
        schemas = [pa.schema([("x", kind)]) for kind in (first, second)]
        combined = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
        for kind in (first, second):
            pa.nulls(0, kind).cast(combined)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return None
    return combined


def _is_text(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def align(
    batch: "pyarrow.RecordBatch", schema: "pyarrow.Schema"
) -> "Iterator[tuple[pyarrow.RecordBatch, str | None]]":
    """Give the rows of a file the columns of its folder.

    batch (pyarrow.RecordBatch): Rows of the file.
    schema (pyarrow.Schema): From `unify_schemas`, or some of its columns.
    YIELDS (Tuple[pyarrow.RecordBatch, Optional[str]]): The rows, in order, null where
        the file has no such column. A row with a value that the combined type can't
        hold, such as an integer beyond 2**53 among floats, comes alone, null there,
        with a problem that names the column.
    """
    pa = load_pyarrow()
    try:
        arrays = [_cast(pa, batch, field) for field in schema]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema), None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if batch.num_rows > 1:
            for i in range(batch.num_rows):
                yield from align(batch.slice(i, 1), schema)
        else:
            yield _without_misfits(pa, batch, schema)


def _cast(pa: Any, batch: "pyarrow.RecordBatch", field: "pyarrow.Field") -> Any:
    i = batch.schema.get_field_index(field.name)
    if i < 0:
        return pa.nulls(batch.num_rows, field.type)
    column = batch.column(i)
    return column if column.type.equals(field.type) else column.cast(field.type)


def _without_misfits(
    pa: Any, row: "pyarrow.RecordBatch", schema: "pyarrow.Schema"
) -> "tuple[pyarrow.RecordBatch, str]":
    arrays, misfits = [], []
    for field in schema:
        try:
            arrays.append(_cast(pa, row, field))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            arrays.append(pa.nulls(1, field.type))
            misfits.append(f"'{field.name}' does not fit into {field.type}")
    problem = f"a value that can't be read ({', '.join(misfits)})"
    return pa.RecordBatch.from_arrays(arrays, schema=schema), problem
