"""Divide an input into batches. A batch ends by the size of its records, too: a small
compressed file, or a Parquet file with a dictionary, can hold very long ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from .record import BATCH, Record

# A batch ends with the record that reaches this size, and a part of the output with
# the batch that does. `size_of` measures them.
BATCH_SIZE = 2**24
PART_SIZE = 4 * BATCH_SIZE

_ITEM = 64  # what Python needs for a value, at least
_WIDEST = 4  # bytes of a character

_Item = TypeVar("_Item")


class Batch(list[_Item]):
    """Some consecutive records."""

    is_full: bool = False  # whether what follows in the input can't be added to it


def size_of(value: Any) -> int:
    """value (Any): The fields of a record, or a result.
    RETURNS (int): About how many bytes it has in memory. It depends on the value only,
        so that a resumed run divides the same input in the same way."""
    size, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        size += _ITEM
        if isinstance(item, str):
            size += len(item) * (1 if item.isascii() else _WIDEST)
        elif isinstance(item, bytes):
            size += len(item)
        elif isinstance(item, Mapping):
            waiting += item
            waiting += item.values()
        elif isinstance(item, (list, tuple)):
            waiting += item
    return size


def size_of_record(record: Record) -> int:
    """record (Record): A record.
    RETURNS (int): About how many bytes it has in memory, with its text as a doc."""
    return size_of(record.fields) + size_of(record.text)


def make_batches(
    items: Iterable[_Item],
    *,
    before: int = 0,
    measure: Callable[[Any], int] = size_of_record,
) -> Iterator[Batch[_Item]]:
    """Divide an input into batches that depend on its records only, so that a resumed
    run packs each text with the same others and gets the same scores to the last digit.

    items (Iterable[Any]): The records that follow a batch, or all of them.
    before (int): How many records precede them.
    measure (Callable): The size of each of them.
    YIELDS (Batch): A batch ends with each `BATCH` records of the input, with the record
        that reaches `BATCH_SIZE`, and with the input.
    """
    batch, size = Batch[_Item](), 0
    for number, item in enumerate(items, start=before + 1):
        batch.append(item)
        size += measure(item)
        if number % BATCH == 0 or size >= BATCH_SIZE:
            batch.is_full = True
            yield batch
            batch, size = Batch[_Item](), 0
    if batch:
        yield batch
