"""Read results back, from JSON lines and Parquet files alike."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .parquet import read_rows
from .record import BrokenRecordError, unique_keys


def read_results(path: Path, *, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """path (Path): A JSON lines or a Parquet file.
    columns (Optional[Sequence[str]]): Read only these columns of a Parquet file.
    YIELDS (Union[Any, BrokenRecordError]): The content of each line or row, or why it
        can't be read.
    RAISES (SettingsError): The Parquet file is damaged."""
    if path.suffix == ".parquet":
        yield from read_rows(path, columns=columns)
        return
    with path.open("rb") as lines:
        for line in filter(bytes.strip, lines):
            try:
                yield json.loads(line, object_pairs_hook=unique_keys)
            except BrokenRecordError as e:
                yield e
            except (ValueError, RecursionError):
                yield BrokenRecordError("the line is not a JSON object")
