"""Rows of tables as records. Each comes alone: a batch can end with any of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..batches import size_of_record
from ..parquet import to_rows
from ..parquet_size import is_too_long
from ..record import BrokenRecordError, Record, make_record
from ..text_files import too_long

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class TableRow:
    """A row of a table."""

    cells: "pyarrow.RecordBatch"  # one row
    record: Record  # with the text only
    size: int  # as that of a record with the columns that count
    path: str = ""  # the file that it is from


def make_table_rows(
    rows: "pyarrow.RecordBatch",
    text_key: str,
    *,
    first: int,
    problem: str | None = None,
    path: str = "",
    with_fields: bool = True,
) -> Iterator[TableRow]:
    """rows (pyarrow.RecordBatch): Some rows.
    text_key (str): The column with the texts.
    first (int): The number of the first row.
    problem (Optional[str]): Why they cannot be scored.
    path (str): The file that they are from.
    with_fields (bool): Whether other columns count towards the size of a row, and are
        converted for this: it's then that of the record that a single process makes of
        the row, so that its batch ends there, too.
    YIELDS (TableRow): The rows."""
    for i, row in enumerate(to_rows(rows if with_fields else rows.select([text_key]))):
        cells, reason = rows.slice(i, 1), problem
        if with_fields and is_too_long(cells):
            reason = str(too_long("row"))
        text = row if isinstance(row, BrokenRecordError) else {text_key: row[text_key]}
        if with_fields and isinstance(row, BrokenRecordError):
            (text,) = to_rows(cells.select([text_key]))  # only another may be broken
        record = make_record(first + i, text, text_key)
        if reason is not None:
            record, row = replace(record, problem=reason), BrokenRecordError(reason)
        size = size_of_record(make_record(first + i, row, text_key))
        yield TableRow(cells, record, size, path)
