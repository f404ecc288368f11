"""Read results back, from JSON lines and Parquet files alike."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .file_names import suffix_of
from .parquet import read_rows
from .record import BrokenRecordError, unique_keys
from .text_files import open_bytes, split_lines


def read_results(path: Path, *, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """path (Path): A Parquet file, or one of JSON lines, which may be compressed.
    columns (Optional[Sequence[str]]): Read only these columns of a Parquet file.
    YIELDS (Union[Any, BrokenRecordError]): The content of each line or row, or why it
        can't be read.
    RAISES (SettingsError): The file can't be opened, or is damaged and either Parquet
        or compressed."""
    if suffix_of(path) == ".parquet":
        yield from read_rows(path, columns=columns)
        return
    with open_bytes(str(path)) as handle:
        for line in split_lines(handle):
            if isinstance(line, BrokenRecordError):
                yield line
            elif line.strip():
                yield _parse(line)


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line, object_pairs_hook=unique_keys)
    except BrokenRecordError as e:
        return e
    except (ValueError, RecursionError):
        return BrokenRecordError("the line is not a JSON object")
