"""Which fields of JSON lines become columns of Parquet files.

Each row has all columns, so that records which have other fields than all others would
take quadratic time and memory. One of them must not void those of the others either.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .parquet_schema import MOST_COLUMNS
from .record import Record

# Names that are counted at once. When there are more, the rarer half is forgotten.
_MOST_COUNTED = 2**16


@dataclass
class _Field:
    types: set[str]
    count: int = 0  # records that have it


class FieldCounts:
    """Counts the fields of records, to choose those that most records have."""

    def __init__(self, text_key: str) -> None:
        """text_key (str): The field with the text, which is chosen in any case."""
        self._text_key = text_key
        self._fields: dict[str, _Field] = {}  # in the order in which they occur
        # Types of a name that is new, or that was forgotten: then it may have had any.
        self._earlier_types: set[str] = set()

    def add(self, fields: Mapping[str, str]) -> None:
        """fields (Mapping[str, str]): The names of a record's fields, with the types of
        their values."""
        for name, kind in fields.items():
            if name not in self._fields:
                self._fields[name] = _Field({*self._earlier_types})
            known = self._fields[name]
            known.count += 1
            known.types.add(kind)
        if len(self._fields) > _MOST_COUNTED:
            self._fields = self._choose(_MOST_COUNTED // 2)
            self._earlier_types = {"other"}

    @property
    def chosen(self) -> dict[str, set[str]]:
        """RETURNS (Dict[str, Set[str]]): The types of at most `MOST_COLUMNS` fields, in
        the order in which they occur. Of equally frequent ones, the first."""
        chosen = self._choose(MOST_COLUMNS)
        return {name: known.types for name, known in chosen.items()}

    def _choose(self, most: int) -> dict[str, _Field]:
        def rank(name: str) -> tuple[bool, int]:
            return name != self._text_key, -self._fields[name].count

        names = set(sorted(self._fields, key=rank)[:most])
        return {name: self._fields[name] for name in self._fields if name in names}


def keep_fields(records: Iterable[Record], names: Collection[str]) -> Iterator[Record]:
    """Leave out fields that have no column. One record can't stop the run: it isn't
    scored, as others that don't fit.

    records (Iterable[Record]): Records.
    names (Collection[str]): The fields that have a column.
    YIELDS (Record): The records, with these fields.
    """
    for record in records:
        kept: dict[str, Any] = {k: v for k, v in record.fields.items() if k in names}
        if len(kept) < len(record.fields):
            problem = f"it has fields beyond the {MOST_COLUMNS:,} most frequent ones"
            record = replace(record, fields=kept, problem=record.problem or problem)
        yield record
