"""Files and folders that only their owner can read. Files are written completely or not
at all."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..engine.checkpoint.files import open_regular, write_aside
from ..errors import DuelError, Errors

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def make_folder(folder: Path) -> Path:
    """folder (Path): A folder to create, or to make private if it's there.
    RETURNS (Path): The same."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    return folder


def write_text(path: Path, text: str) -> None:
    """path (Path): The file to create or replace.
    text (str): Its content."""
    with write_aside(path, mode=FILE_MODE) as aside:
        aside.write_text(text, encoding="utf8", newline="\n")
    path.chmod(FILE_MODE)


def write_json(path: Path, content: Any) -> None:
    """path (Path): The file to create or replace.
    content (Any): What JSON can hold."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2)
    write_text(path, text + "\n")


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """path (Path): The JSONL file to create or replace.
    records (Iterable[Mapping[str, Any]]): Its lines."""
    write_text(path, "".join(map(_to_line, records)))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """path (Path): A JSONL file that `write_lines` wrote.
    RETURNS (List[Dict[str, Any]]): Its lines.
    RAISES (DuelError): Something else has changed it."""
    records = list(_parse(path, _read(path)))
    if None in records:
        raise DuelError(Errors.E295.format(path=path))
    return [record for record in records if record is not None]


def _to_line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _read(path: Path) -> bytes:
    with open(open_regular(path), "rb") as file:
        return file.read()


def _parse(path: Path, content: bytes) -> Iterator[dict[str, Any] | None]:
    """YIELDS (Optional[Dict[str, Any]]): Each line, None if it's no JSON object."""
    for line in content.splitlines():  # bytes: only at \n and \r
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        yield record if isinstance(record, dict) else None


class Journal:
    """A JSONL file that records are added to one by one. A record is there completely
    or not at all, even if the process is killed."""

    def __init__(self, path: Path) -> None:
        """path (Path): The file, created if it doesn't exist. What a kill or a power
        cut tore off at its end is removed.
        RAISES (DuelError): Another line isn't a record."""
        self.path = path
        self.records: list[dict[str, Any]] = []
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._handle = os.open(path, flags, FILE_MODE)
        try:
            self._recover()
        except BaseException:
            os.close(self._handle)
            raise

    def _recover(self) -> None:
        content = _read(self.path)
        complete = content[: content.rfind(b"\n") + 1]
        if len(complete) < len(content):
            os.ftruncate(self._handle, len(complete))
        records = list(_parse(self.path, complete))
        if None in records:
            raise DuelError(Errors.E295.format(path=self.path))
        self.records = [record for record in records if record is not None]

    def add(self, record: Mapping[str, Any]) -> None:
        """record (Mapping[str, Any]): What to add."""
        line = _to_line(record).encode("utf8")
        while line:  # a disk may take less
            line = line[os.write(self._handle, line) :]

    def close(self) -> None:
        """Wait until everything is on the disk."""
        os.fsync(self._handle)
        os.close(self._handle)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
