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
    RETURNS (int): About how many bytes they take."""
    batches = rows.to_batches() if hasattr(rows, "to_batches") else [rows]
    n_items = sum(_count_items(c) for batch in batches for c in batch.columns)
    return int(rows.nbytes + _ITEM * n_items)


def _count_items(array: Any) -> int:
    """How many values an array has, with those inside of lists and structs."""
    types, kind = load_pyarrow().types, array.type
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if types.is_struct(kind):
        return int(sum(map(_count_items, array.flatten())))
    if types.is_map(kind):
        start, stop = array.offsets[0].as_py(), array.offsets[-1].as_py()
        return len(array) + _count_items(array.items.slice(start, stop - start))
    if any(is_kind(kind) for is_kind in lists):
        return len(array) + _count_items(array.flatten())
    return len(array)
