"""Run other programs over files, with their output in a log. They end with this
process."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import DuelError, Errors
from .private_files import FILE_MODE


@contextmanager
def started(
    command: Sequence[str | Path],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen]:
    """command (Sequence[Union[str, Path]]): A program and its arguments.
    log (Path): The file for its output, replaced if it's there.
    environment (Optional[Mapping[str, str]]): Variables to set.
    YIELDS (Popen): The running program, which ends with the context."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    handle = os.open(log, flags, FILE_MODE)
    wrapper = [sys.executable, Path(__file__).with_name("end_with_parent.py")]
    try:
        process = subprocess.Popen(
            [str(part) for part in (*wrapper, *command)],
            stdin=subprocess.PIPE,
            stdout=handle,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    finally:
        os.close(handle)
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    *,
    what: str,
    environment: Mapping[str, str] | None = None,
) -> None:
    """command (Sequence[Union[str, Path]]): A program and its arguments.
    log (Path): The file for its output, replaced if it's there.
    what (str): What it does, for messages.
    environment (Optional[Mapping[str, str]]): Variables to set.
    RAISES (DuelError): It failed. The log says why."""
    with started(command, log, environment=environment) as process:
        code = process.wait()
    if code:
        raise program_error(what, f"exit code {code}", log)


def program_error(what: str, problem: str, log: Path) -> DuelError:
    """what (str): What a program does.
    problem (str): How it failed.
    log (Path): Its output.
    RETURNS (DuelError): The error to raise."""
    return DuelError(Errors.E297.format(what=what, problem=problem, log=log))
