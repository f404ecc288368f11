"""Write results as JSON lines, to standard output or to a file. A file lets you resume
an interrupted run."""

import io
import json
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from ..errors import Errors, SettingsError
from .compression import compress, decompress
from .file_names import compression_of
from .results import agree, to_plain
from .run_state import Mark
from .standard_streams import standard_output
from .watch import check_written

_CHUNK = 2**20


class JsonLinesWriter:
    """Writes a JSON lines file. If its name ends with .gz or .zst, each batch becomes a
    gzip member or a zstd frame. A resumed run keeps the lines of whole batches that an
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
        self._compression = compression_of(path)
        self._size = 0
        self._digest = sha256()
        self._to_verify: deque[bytes] = deque()
        self._kept = self._last = (0, 0)  # as in `Mark`
        if earlier.records or earlier.finished:
            self._keep_batches(earlier)
        self._n_verified = self.start

    def _keep_batches(self, earlier: Mark) -> None:
        (self.written, kept), (self.start, last) = earlier.kept, earlier.last
        with open(self.path, "rb") as handle:
            self._add(handle, kept)
            digest = self._digest.copy()
            self._add(handle, earlier.size - kept)
            # A file without records may hold an empty member.
            empty = 0 if earlier.records else len(compress(b"", self._compression))
            is_longer = handle.seek(0, os.SEEK_END) > earlier.size + empty
            is_changed = self._digest.hexdigest() != earlier.output
            if is_changed or (earlier.finished and is_longer):
                raise SettingsError(Errors.E173.format(path=self.path))
            self._digest, self._size = digest, kept
            # The digest shows that these bytes are safe to decompress.
            handle.seek(last)
            self._verify_later(handle.read(kept - last))
        self._kept, self._last = earlier.kept, earlier.last

    def _add(self, handle: IO[bytes], size: int) -> None:
        """Add the next bytes of a file to the digest."""
        while size and (chunk := handle.read(min(size, _CHUNK))):
            self._digest.update(chunk)
            size -= len(chunk)

    def _verify_later(self, batch: bytes) -> None:
        kind = self._compression
        content = batch
        if kind is not None and batch:
            pieces = decompress(iter([batch]), kind, name=str(self.path))
            content = b"".join(pieces)
        if batch and compress(content, kind) != batch:
            names = f"the library for {kind}"
            raise SettingsError(Errors.E171.format(path=self.path, names=names))
        self._to_verify.extend(io.BytesIO(content))

    @property
    def mark(self) -> Mark:
        """The point up to which results are written."""
        return Mark(
            self.written,
            output=self._digest.hexdigest(),
            size=self._size if self.written else 0,
            kept=self._kept,
            last=self._last,
        )

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

    def write(
        self, results: Sequence[dict], *, is_full: bool = False, is_last: bool = False
    ) -> None:
        """results (Sequence[dict]): The next results.
        is_full (bool): Whether they are those of a full batch.
        is_last (bool): Whether the run stops after them. They are written in any case.
        RAISES (SettingsError): The file holds other results for these records."""
        lines = deque(to_line(result) for result in results)
        while lines and self._to_verify:
            self._n_verified += 1
            line, earlier = lines.popleft(), self._to_verify.popleft()
            if line != earlier and not agree(json.loads(line), json.loads(earlier)):
                raise SettingsError(
                    Errors.E131.format(path=self.path, number=self._n_verified)
                )
        if not lines:
            return
        before = self.written, self._size
        self.written += len(lines)
        self._append(lines)
        if is_full:
            self._kept, self._last = (self.written, self._size), before

    def _append(self, lines: Iterable[bytes]) -> None:
        data = compress(b"".join(lines), self._compression)
        self._handle.write(data)
        self._handle.flush()
        self._digest.update(data)
        self._size += len(data)

    def sync(self) -> None:
        """Wait until what is written is on disk, and check that it still is there.

        RAISES (SettingsError): Another program has removed or changed the file."""
        handle = self._handle.fileno()
        os.fsync(handle)
        check_written(self.path, output=self.path, handle=handle, size=self._size)

    def close(self, *, finished: bool) -> None:
        """finished (bool): Whether all of the input was scored.
        RAISES (SettingsError): It was, and another program has changed the file."""
        with self._handle:
            if finished and not self.written and self._compression is not None:
                # A file without a member looks torn. This one belongs to no record.
                self._handle.write(end := compress(b"", self._compression))
                self._handle.flush()
                self._size += len(end)
            if finished:
                self.sync()
            else:
                os.fsync(self._handle.fileno())


class StandardOutputWriter:
    """Writes JSON lines to standard output."""

    start = 0
    mark = Mark()

    def open(self) -> None:
        """RAISES (SettingsError): Standard output is closed."""
        standard_output()

    def write(
        self, results: Sequence[dict], *, is_full: bool = False, is_last: bool = False
    ) -> None:
        """results (Sequence[dict]): The next results.
        is_full (bool), is_last (bool): As for `JsonLinesWriter`."""
        handle = standard_output()
        for line in map(to_line, results):
            handle.write(line)
        handle.flush()

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
