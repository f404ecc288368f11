"""Results → a JSON lines file, which a run that was broken off can go on with."""

import base64
import datetime
import json
import math
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from ..errors import Errors, SettingsError
from .inputs import STANDARD
from .scorer import BATCH


class Sink(Protocol):
    """Where results go. `start` is how many records of the input need not be scored
    again; always whole batches, so that the others are packed as before."""

    start: int

    def write(self, results: Sequence[dict]) -> None:
        """results (Sequence[dict]): The next ones."""

    def close(self, *, finished: bool) -> None:
        """finished (bool): All of the input was scored."""


class JsonLines:
    """A JSON lines file. Of a file that is there the complete lines stay, and those
    of its last batch are compared with what they should be."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        """path (Path): The file.
        resume (bool): Go on with it, or write it anew.
        RAISES (SettingsError): It cannot be written.
        """
        self.path = path
        self.start = 0
        self._pending: deque[bytes] = deque()
        if resume and path.exists():
            self.start, self._pending = _mend(path)
        self._checked = self.start
        try:
            self._handle = open(path, "ab" if resume else "wb")  # noqa: SIM115
        except OSError as e:
            problem = e.strerror or type(e).__name__
            raise SettingsError(Errors.E139.format(name=path, problem=problem)) from e

    def write(self, results: Sequence[dict]) -> None:
        """results (Sequence[dict]): The next ones.
        RAISES (SettingsError): Other than those that are there already."""
        lines = deque(to_line(result) for result in results)
        while lines and self._pending:
            self._checked += 1
            if lines.popleft() != self._pending.popleft():
                raise SettingsError(
                    Errors.E131.format(path=self.path, number=self._checked)
                )
        self._handle.write(b"".join(lines))
        self._handle.flush()

    def close(self, *, finished: bool) -> None:
        """finished (bool): All of the input was scored.
        RAISES (SettingsError): There are more results than records."""
        self._handle.close()
        if finished and self._pending:
            raise SettingsError(Errors.E132.format(path=self.path))


class StandardOutput:
    """JSON lines on standard output."""

    start = 0

    def __init__(self, handle: IO[bytes] | None = None) -> None:
        self._handle = handle or sys.stdout.buffer

    def write(self, results: Sequence[dict]) -> None:
        """results (Sequence[dict]): The next ones."""
        self._handle.write(b"".join(map(to_line, results)))
        self._handle.flush()

    def close(self, *, finished: bool) -> None:
        """Nothing to close."""


def _mend(path: Path) -> tuple[int, deque[bytes]]:
    """Cut off a last line that is not complete.

    RETURNS (Tuple[int, Deque[bytes]]): Records before the last batch, and the lines
        of that batch.
    """
    pending: deque[bytes] = deque()
    done, end = 0, 0
    with open(path, "r+b") as handle:
        for line in handle:
            if not line.endswith(b"\n"):
                break
            if done % BATCH == 0:
                pending.clear()
            pending.append(line)
            done += 1
            end += len(line)
        handle.truncate(end)
    return done - len(pending), pending


def to_line(result: Mapping[str, Any]) -> bytes:
    """result (Mapping[str, Any]): Of one record.
    RETURNS (bytes): A line of JSON."""
    try:
        line = _dump(result)
        return line.encode("utf8") + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair in some other field
        return json.dumps(to_plain(result)).encode("ascii") + b"\n"


def _dump(result: Mapping[str, Any]) -> str:
    try:
        return json.dumps(result, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):  # what a table can hold and JSON cannot
        return json.dumps(to_plain(result), ensure_ascii=False)


def to_plain(value: Any) -> Any:
    """value (Any): Of a cell of a table.
    RETURNS (Any): What is closest to it in JSON: null for NaN and infinity, ISO 8601
        for times, base64 for bytes, else its string."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)


def check_output(output: str, *, resume: bool, overwrite: bool) -> None:
    """Check where results are to go, before anything is loaded or written.

    output (str): As in `open_sink`.
    resume (bool): Go on with what is there.
    overwrite (bool): Write it anew.
    RAISES (SettingsError): Something is there already, or the name says no format.
    """
    path = Path(output)
    if output == STANDARD:
        if resume:
            raise SettingsError(Errors.E135.format(name=output))
        return
    if not to_parquet(output) and path.suffix.lower() != ".jsonl":
        raise SettingsError(Errors.E135.format(name=output))
    taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if (taken and not resume and not overwrite) or (resume and overwrite):
        raise SettingsError(Errors.E130.format(path=path))


def open_sink(
    output: str,
    *,
    resume: bool,
    columns: Callable[[], tuple[list, list]],
) -> Sink:
    """Open what `check_output` has checked.

    output (str): A .jsonl file, a folder for Parquet files (its name ends in .parquet
        or "/", or it is there), or "-" for standard output.
    resume (bool): Go on with what is there, or write it anew.
    columns (Callable): Gives the columns of the input and of results, for Parquet.
    RETURNS (Sink): What writes results.
    RAISES (SettingsError): It cannot be written.
    """
    if output == STANDARD:
        return StandardOutput()
    path = Path(output)
    if to_parquet(output):
        from .parquet import ParquetParts

        return ParquetParts(path, columns, resume=resume)
    path.parent.mkdir(parents=True, exist_ok=True)
    return JsonLines(path, resume=resume)


def to_parquet(output: str) -> bool:
    """output (str): The name of an output.
    RETURNS (bool): It is a folder for Parquet files."""
    path = Path(output)
    return (
        path.suffix.lower() == ".parquet"
        or path.is_dir()
        or (output.endswith("/") and output != "/")
    )
