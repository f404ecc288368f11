"""Run another program over files, with its output in a log."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import DuelError, Errors
from .private_files import FILE_MODE


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    *,
    what: str,
    environment: Mapping[str, str] | None = None,
) -> None:
    """command (Sequence[Union[str, Path]]): The program and its arguments.
    log (Path): The file for its output, replaced if it's there.
    what (str): What it does, for messages.
    environment (Optional[Mapping[str, str]]): Variables to set.
    RAISES (DuelError): It failed. The log says why.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    handle = os.open(log, flags, FILE_MODE)
    try:
        process = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except OSError as e:
        problem = e.strerror or type(e).__name__
        message = Errors.E297.format(what=what, problem=problem, log=log)
        raise DuelError(message) from e
    finally:
        os.close(handle)
    if process.returncode:
        problem = f"exit code {process.returncode}"
        raise DuelError(Errors.E297.format(what=what, problem=problem, log=log))
