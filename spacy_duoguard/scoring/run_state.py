"""What a run has scored so far, in a file beside its output.

The file names a number of records, the digests of these records and of their results,
and what the results depend on. It is written after the results that it names.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Any

from ..engine.checkpoint.files import read_json, write_aside
from ..errors import DuoGuardError, Errors, SettingsError
from .file_names import compression_of
from .fingerprint import add_record
from .record import Record

FORMAT_VERSION = 3

# Seconds from one saved state to the next. To wait for the disk takes milliseconds,
# in which a GPU scores hundreds of texts.
INTERVAL = 1.0

# In a folder of results. Their names are hidden, so that no reader takes them for such.
STATE_NAME, LOCK_NAME = ".run.json", ".lock"

_EMPTY = sha256().hexdigest()


@dataclass(frozen=True)
class Mark:
    """A point that a run has reached."""

    records: int = 0
    input: str = _EMPTY  # SHA-256 of the records up to there
    output: str = _EMPTY  # SHA-256 of their results, as they are on disk
    finished: bool = False  # whether there is nothing else in the output
    failed: bool = False  # whether one of these records could not be scored
    size: int = 0  # of the results: bytes of a file, or parts of a folder
    # What a resumed run keeps, in records and in that size: up to where full batches
    # (of a folder: full parts) end, and where the last of these batches begins.
    kept: tuple[int, int] = (0, 0)
    last: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Output:
    """Where results go, and the files beside them, or hidden in the folder."""

    path: Path
    is_folder: bool
    is_replaced: bool = False  # whether the folder is put in place when it is complete

    @property
    def state(self) -> Path:
        """The file that says what was scored."""
        path = self.path.resolve()
        if self.is_folder:
            return path / STATE_NAME
        return path.with_name(f"{path.name}.run.json")

    @property
    def locks(self) -> list[Path]:
        """The files that a running process holds locks on. They stay, because to remove
        one would let two processes lock two files of this name."""
        path = self.path.resolve()
        inside, beside = path / LOCK_NAME, path.with_name(f".{path.name}.lock")
        if not self.is_folder:
            return [beside]
        # The lock in a folder moves with it, so another one keeps its name. Each of two
        # runs that start at once sees the lock of the other.
        if self.is_replaced:
            return [beside, *([inside] if path.is_dir() else [])]
        return [inside, *([beside] if beside.exists() else [])]

    @property
    def compression(self) -> str | None:
        """How a file of results is compressed: "gzip", "zstd" or None."""
        return None if self.is_folder else compression_of(self.path)

    @property
    def exists(self) -> bool:
        """Whether there is something that a run would replace."""
        if not self.path.is_dir():
            return self.path.exists()
        names = {path.name for path in self.path.iterdir()}
        # A run that was killed before its first batch leaves the last one.
        return bool(names - {STATE_NAME, LOCK_NAME, f".{STATE_NAME}.part"})


class RunState:
    """Follows a run, and keeps the file that a later run resumes with."""

    def __init__(
        self,
        output: Output,
        known: dict[str, Any],
        check_locks: Callable[[], None] = lambda: None,
    ) -> None:
        """output (Output): Where results go.
        known (Dict[str, Any]): What the results depend on, from `describe`.
        check_locks (Callable): From `locks.locked`. Called before each save."""
        self.output = output
        self._check_locks = check_locks
        self.known = known
        self.records = 0
        self.has_failed = False  # whether the earlier run could not score a record
        self.is_done = False  # whether it has scored all of the input
        self._digest = sha256()
        self._mark = Mark()
        self._saved = 0.0

    def begin(
        self,
        records: Iterator[Record],
        earlier: Mark,
        *,
        start: int,
        kept: Mark,
        strict: bool = False,
    ) -> Iterator[Record]:
        """Read the records again that an earlier run has scored, compare them with
        what it read, and save what is kept of its results. If it has scored all of the
        input, nothing is saved.

        records (Iterator[Record]): The input, from the first record on.
        earlier (Mark): The point that the earlier run has reached.
        start (int): How many records need not be scored again.
        kept (Mark): The point up to which results are kept, at or after `start`; the
            digest of its input is not known yet.
        strict (bool): Don't continue a run that could not score a record.
        RETURNS (Iterator[Record]): The input from `start` on.
        RAISES (SettingsError): The input differs from what the earlier run read, or
            the run is not continued.
        """
        path = self.output.path
        self.add(islice(records, start))
        held = list(islice(records, earlier.records - start))
        if self.records + len(held) < earlier.records:
            raise SettingsError(Errors.E132.format(path=path))
        digest_kept, digest = self._look_ahead(held, kept.records)
        if digest != earlier.input:
            message = Errors.E172.format(path=path, count=earlier.records)
            raise SettingsError(message)
        self.has_failed = earlier.failed
        rest = list(islice(records, 1))
        if earlier.finished and not rest:
            self.is_done = True
            return iter(())
        if strict and earlier.failed:
            raise SettingsError(Errors.E351.format(path=path))
        kept = replace(kept, input=digest_kept, failed=earlier.failed)
        self._mark = kept
        self.save()
        return chain(held, rest, records)

    def _look_ahead(self, held: Sequence[Record], count: int) -> tuple[str, str]:
        """RETURNS (Tuple[str, str]): The digests of so many records, and of all."""
        ahead = self._digest.copy()
        counted = ahead.hexdigest()
        for number, record in enumerate(held, start=self.records + 1):
            add_record(ahead, record)
            if number == count:
                counted = ahead.hexdigest()
        return counted, ahead.hexdigest()

    def add(self, records: "Iterator[Record] | Sequence[Record]") -> None:
        """records (Iterable[Record]): The next records of the input."""
        for record in records:
            add_record(self._digest, record)
            self.records += 1

    def reach(self, point: Mark, *, failed: bool) -> None:
        """Note the point that the run has reached, if all results are written.

        point (Mark): The point up to which they are. The digest of its input is not
            known yet.
        failed (bool): Whether this run could not score one of its records.
        """
        if point.records == self.records:
            failed |= self.has_failed
            inputs = self._digest.hexdigest()
            self._mark = replace(point, input=inputs, failed=failed)

    @property
    def is_due(self) -> bool:
        """Whether it is time to save."""
        return monotonic() - self._saved >= INTERVAL

    def save(self, *, finished: bool = False) -> None:
        """Save the point that was noted last. Its results must be on disk.

        finished (bool): Whether all of the input was scored.
        RAISES (SettingsError): The file cannot be written, or the lock is gone.
        """
        self._check_locks()
        save_state(self.output, self._mark, self.known, finished=finished)
        self._saved = monotonic()


def save_state(
    output: Output, mark: Mark, known: dict[str, Any], *, finished: bool
) -> None:
    """Save how far a run has come, for `read_state`.

    output (Output): Where its results are.
    mark (Mark): The point that it has reached.
    known (Dict[str, Any]): What its results depend on.
    finished (bool): Whether all of the input was scored.
    RAISES (SettingsError): The file cannot be written.
    """
    body = {
        "format_version": FORMAT_VERSION,
        **asdict(replace(mark, finished=finished)),
        "known": known,
    }
    content = json.dumps({**body, "sha256": digest_json(body)}, indent=1)
    try:
        with write_aside(output.state) as aside:
            aside.write_text(content, encoding="utf8")
    except OSError as e:
        raise unusable(output.state, e) from e


def read_state(output: Output) -> tuple[Mark, dict[str, Any]]:
    """Read what an earlier run has scored.

    output (Output): Where its results are.
    RETURNS (Tuple[Mark, Dict[str, Any]]): The point that it has reached, and what its
        results depend on.
    RAISES (SettingsError): There is no such file, or it is damaged.
    """
    path = output.state
    if not path.is_file():
        raise _cannot_resume(output, "is missing")
    try:
        body = read_json(path, kind="the state of a run")
    except DuoGuardError as e:
        raise _cannot_resume(output, "is damaged") from e
    if body.pop("sha256", None) != digest_json(body):
        raise _cannot_resume(output, "is damaged")
    if body["format_version"] != FORMAT_VERSION:
        raise _cannot_resume(output, "was written by another version")
    mark = Mark(**{field.name: body[field.name] for field in fields(Mark)})
    kept, last = (tuple(body[name]) for name in ("kept", "last"))  # JSON has lists
    return replace(mark, kept=kept, last=last), body["known"]


def compare(earlier: dict[str, Any], now: dict[str, Any], *, path: Path) -> None:
    """earlier (Dict[str, Any]), now (Dict[str, Any]): What the results of two runs
        depend on.
    path (Path): The output, for messages.
    RAISES (SettingsError): They differ."""
    missing = object()
    names = [
        name
        for name in dict.fromkeys((*earlier, *now))
        if earlier.get(name, missing) != now.get(name, missing)
    ]
    if names:
        raise SettingsError(Errors.E171.format(path=path, names=", ".join(names)))


def digest_json(body: dict[str, Any]) -> str:
    """body (Dict[str, Any]): JSON-serializable.
    RETURNS (str): Its SHA-256."""
    return sha256(json.dumps(body, sort_keys=True).encode("utf8")).hexdigest()


def _cannot_resume(output: Output, problem: str) -> SettingsError:
    message = Errors.E170.format(path=output.path, name=output.state, problem=problem)
    return SettingsError(message)


def unusable(path: Path, error: OSError) -> SettingsError:
    """path (Path): A file or folder.
    error (OSError): Why it can't be used.
    RETURNS (SettingsError): The error to raise."""
    problem = error.strerror or type(error).__name__
    return SettingsError(Errors.E139.format(name=path, problem=problem))
