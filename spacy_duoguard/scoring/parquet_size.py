"""How large the rows of a Parquet file are: a small file can hold very long ones."""

from typing import TYPE_CHECKING, Any

from .batches import BATCH_SIZE
from .parquet_schema import load_pyarrow
from .text_files import MAX_SIZE

if TYPE_CHECKING:
    import pyarrow

_RATIO = 100

# Bytes that a value counts besides its own: as many as a number has in a line of JSON.
_ITEM = 24


def is_dense(column: Any) -> bool:
    """column (pyarrow.parquet.ColumnChunkMetaData): A column of a row group.
    RETURNS (bool): Whether it decompresses to much more than it is."""
    size = column.total_uncompressed_size
    return bool(size >= max(BATCH_SIZE, _RATIO * column.total_compressed_size))


def is_too_long(row: "pyarrow.RecordBatch | pyarrow.Table") -> bool:
    """row (Union[pyarrow.RecordBatch, pyarrow.Table]): A row.
    RETURNS (bool): Whether it is longer than a line may be."""
    return size_of_rows(row) > MAX_SIZE


def size_of_rows(rows: "pyarrow.RecordBatch | pyarrow.Table") -> int:
    """rows (Union[pyarrow.RecordBatch, pyarrow.Table]): Some rows.
    RETURNS (int): About how many bytes they take, here or as lines of JSON."""
    batches = rows.to_batches() if hasattr(rows, "to_batches") else [rows]
    items = sum(_size_of_items(c) for batch in batches for c in batch.columns)
    return int(rows.nbytes + items)


def _size_of_items(array: Any) -> int:
    """What the values of an array count besides their own bytes, with those inside of
    lists and structs, and with the names of these."""
    types, kind = load_pyarrow().types, array.type
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if types.is_struct(kind):
        names = sum(len(field.name.encode()) + _ITEM for field in kind)
        return int(len(array) * names + sum(map(_size_of_items, array.flatten())))
    size = _ITEM * len(array)
    if types.is_map(kind):
        start, stop = array.offsets[0].as_py(), array.offsets[-1].as_py()
        return size + _size_of_items(array.items.slice(start, stop - start))
    if any(is_kind(kind) for is_kind in lists):
        return size + _size_of_items(array.flatten())
    return size
