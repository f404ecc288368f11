"""The folder of a duel: what it holds, and how far its rounds have come."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..engine.checkpoint.files import read_json
from ..engine.checkpoint.output_paths import check_output
from ..errors import DuelError, Errors, SettingsError
from .fingerprint import check_same, fingerprint
from .private_files import make_folder, write_json, write_text
from .settings import DuelSettings

_NOTICE = """This folder holds texts that a model was asked to write so that they are
unsafe, and labels that are claims of a model. They are for training and testing
classifiers. Keep the folder private. Don't publish the texts, a generator that was
trained here, or anything else that can write such texts.
"""

# What a run that was killed at once leaves behind.
_BEFORE_STATE = {".lock", ".duel.json.part"}


@contextmanager
def open_folder(folder: Path, settings: DuelSettings) -> Iterator[None]:
    """Create the folder of a duel, or open that of an interrupted one. Nobody else can
    read what is written until the context ends, and no other run can write there.

    folder (Path): The folder, which `check_folder` has passed.
    settings (DuelSettings): The settings of the duel.
    RAISES (SettingsError): The folder holds a duel with other settings.
    RAISES (DuelError): Another run is using it.
    """
    mask = os.umask(0o077)
    lock = FileLock(folder / ".lock", timeout=0, mode=0o600)
    try:
        make_folder(folder)
        try:
            lock.acquire()
        except Timeout as e:
            raise DuelError(Errors.E301.format(path=folder)) from e
        _check_state(folder, fingerprint(settings))
        yield
    finally:
        lock.release()
        os.umask(mask)


def check_folder(folder: Path, config: Path, settings: DuelSettings) -> None:
    """Check what can be checked without writing anything.

    folder (Path): The folder of a duel, which may not exist yet.
    config (Path): The config of the duel, which must lie outside.
    settings (DuelSettings): Its settings.
    RAISES (SettingsError): The folder holds something else, or what the duel reads.
    """
    generator, guard = settings.generator, settings.guard
    read: list[str | None] = [str(config), settings.seeds.train, settings.seeds.dev]
    read += [generator.prompts, generator.dpo, generator.path, guard.train]
    read += [guard.pipeline, generator.model]
    paths = [Path(name) for name in read if name is not None]
    check_output(folder, [path for path in paths if path.exists()], is_folder=True)
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if "duel.json" not in names and names - _BEFORE_STATE:
        raise SettingsError(Errors.E300.format(path=folder))


def _check_state(folder: Path, now: dict[str, Any]) -> None:
    path = folder / "duel.json"
    if path.exists():
        check_same(read_json(path, kind="the state of a duel"), now, folder)
        return
    write_json(path, now)
    write_text(folder / "README.txt", _NOTICE)


class RoundState:
    """What is known of a round. A step whose result is here has finished."""

    def __init__(self, folder: Path, number: int) -> None:
        """folder (Path): The folder of the duel.
        number (int): The round, from 1."""
        self.number = number
        self.folder = make_folder(folder / f"round-{number}")
        self._path = self.folder / "round.json"
        self.steps: dict[str, Any] = {}
        if self._path.exists():
            self.steps = read_json(self._path, kind="the state of a round")

    def finish(self, step: str, result: Any) -> Any:
        """step (str): A step that has finished, and whose files are written.
        result (Any): What the report says about it.
        RETURNS (Any): The same."""
        self.steps[step] = result
        write_json(self._path, self.steps)
        return result
