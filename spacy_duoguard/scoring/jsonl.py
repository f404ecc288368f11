"""Write results as JSON lines, to standard output or to a file. A file lets you resume
an interrupted run."""

import json
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import Errors, SettingsError
from .record import BATCH
from .results import to_plain


class JsonLinesWriter:
    """Writes a JSON lines file. A resumed run keeps the complete lines, and verifies
    that scoring the last batch again gives the same ones."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        """path (Path): The file.
        resume (bool): Append to an existing file instead of replacing it.
        RAISES (SettingsError): It cannot be written.
        """
        self.path = path
        self.start = 0
        self._to_verify: deque[bytes] = deque()
        if resume and path.exists():
            self.start, self._to_verify = _drop_incomplete_line(path)
        self._n_verified = self.start
        try:
            self._handle = open(path, "ab" if resume else "wb")  # noqa: SIM115
        except OSError as e:
            problem = e.strerror or type(e).__name__
            raise SettingsError(Errors.E139.format(name=path, problem=problem)) from e

    def write(self, results: Sequence[dict]) -> None:
        """results (Sequence[dict]): The next results.
        RAISES (SettingsError): The file holds other results for these records."""
        lines = deque(to_line(result) for result in results)
        while lines and self._to_verify:
            self._n_verified += 1
            if lines.popleft() != self._to_verify.popleft():
                raise SettingsError(
                    Errors.E131.format(path=self.path, number=self._n_verified)
                )
        self._handle.write(b"".join(lines))
        self._handle.flush()

    def close(self, *, finished: bool) -> None:
        """finished (bool): Whether all of the input was scored.
        RAISES (SettingsError): The file holds more results than there are records."""
        self._handle.close()
        if finished and self._to_verify:
            raise SettingsError(Errors.E132.format(path=self.path))


class StandardOutputWriter:
    """Writes JSON lines to standard output."""

    start = 0

    def write(self, results: Sequence[dict]) -> None:
        """results (Sequence[dict]): The next results."""
        sys.stdout.buffer.write(b"".join(map(to_line, results)))
        sys.stdout.buffer.flush()

    def close(self, *, finished: bool) -> None:
        """Leaves standard output open."""


def _drop_incomplete_line(path: Path) -> tuple[int, deque[bytes]]:
    """Remove the last line if it is incomplete.

    RETURNS (Tuple[int, Deque[bytes]]): The number of records before the last batch,
        and the lines of that batch.
    """
    last_batch: deque[bytes] = deque()
    n_lines, n_bytes = 0, 0
    with open(path, "r+b") as handle:
        for line in handle:
            if not line.endswith(b"\n"):
                break
            if n_lines % BATCH == 0:
                last_batch.clear()
            last_batch.append(line)
            n_lines += 1
            n_bytes += len(line)
        handle.truncate(n_bytes)
    return n_lines - len(last_batch), last_batch


def to_line(result: Mapping[str, Any]) -> bytes:
    """result (Mapping[str, Any]): The result of one record.
    RETURNS (bytes): A line of JSON."""
    try:
        return _dump(result).encode("utf8") + b"\n"
    except UnicodeEncodeError:  # an unpaired surrogate in a field other than the text
        return json.dumps(to_plain(result)).encode("ascii") + b"\n"


def _dump(result: Mapping[str, Any]) -> str:
    try:
        return json.dumps(result, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):  # a value that JSON does not have
        return json.dumps(to_plain(result), ensure_ascii=False)
