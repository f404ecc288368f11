"""Write results as JSON lines, to standard output or to a file. A file lets you resume
an interrupted run."""

import json
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import Errors, SettingsError
from .record import BATCH
from .results import to_plain
from .run_state import Mark


class JsonLinesWriter:
    """Writes a JSON lines file. A resumed run keeps the lines of whole batches that an
    earlier run has vouched for, and verifies that scoring the last of these batches
    again gives the same lines."""

    def __init__(self, path: Path, earlier: Mark) -> None:
        """Nothing is written before `open`.

        path (Path): The file.
        earlier (Mark): The point that the run to resume has reached.
        RAISES (SettingsError): The file does not hold the results of that run.
        """
        self.path = path
        self.start = self.written = 0
        self._size = 0
        self._digest = sha256()
        self._to_verify: deque[bytes] = deque()
        if earlier.records:
            self._keep_batches(earlier)
        self._n_verified = self.start

    def _keep_batches(self, earlier: Mark) -> None:
        digest, size = sha256(), 0
        n_kept = earlier.records // BATCH * BATCH
        with open(self.path, "rb") as handle:
            for number, line in enumerate(islice(handle, earlier.records), start=1):
                digest.update(line)
                size += len(line)
                if n_kept - BATCH < number <= n_kept:
                    self._to_verify.append(line)
                if number == n_kept:
                    self._digest, self._size = digest.copy(), size
                    self.written = number
        if digest.hexdigest() != earlier.output:
            raise SettingsError(Errors.E173.format(path=self.path))
        self.start = self.written - len(self._to_verify)

    @property
    def digest(self) -> str:
        """SHA-256 of the results that are written."""
        return self._digest.hexdigest()

    def open(self) -> None:
        """Begin to write, after what is kept.

        RAISES (SettingsError): The file cannot be written."""
        try:
            self._handle = open(self.path, "ab")  # noqa: SIM115
            self._handle.truncate(self._size)
        except OSError as e:
            problem = e.strerror or type(e).__name__
            message = Errors.E139.format(name=self.path, problem=problem)
            raise SettingsError(message) from e

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
        if not lines:
            return
        data = b"".join(lines)
        self._handle.write(data)
        self._handle.flush()
        self._digest.update(data)
        self.written += len(lines)

    def sync(self) -> None:
        """Wait until what is written is on disk."""
        os.fsync(self._handle.fileno())

    def close(self, *, finished: bool) -> None:
        """finished (bool): Whether all of the input was scored."""
        with self._handle:
            self.sync()


class StandardOutputWriter:
    """Writes JSON lines to standard output."""

    start = written = 0
    digest = ""

    def open(self) -> None:
        """Standard output is open already."""

    def write(self, results: Sequence[dict]) -> None:
        """results (Sequence[dict]): The next results."""
        sys.stdout.buffer.write(b"".join(map(to_line, results)))
        sys.stdout.buffer.flush()

    def sync(self) -> None:
        """There is no disk to wait for."""

    def close(self, *, finished: bool) -> None:
        """Leaves standard output open."""


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
