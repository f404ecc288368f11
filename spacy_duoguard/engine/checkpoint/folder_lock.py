"""Only one save at a time writes to a folder."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import CheckpointError, Errors

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MAX_WAIT = 300.0  # seconds
_PAUSE = 0.02


@contextmanager
def locked(folder: Path, *, max_wait: float = _MAX_WAIT) -> Iterator[None]:
    """Wait until no other thread or process is in such a block for the same folder. The
    folder itself is locked, so there is no lock file to be left over, and the lock of a
    process that was killed ends with it. Windows and some network file systems don't
    have such locks: there, nothing waits.

    folder (Path): A folder that exists, and that is not renamed in the block.
    max_wait (float): The number of seconds to wait.
    RAISES (CheckpointError): The folder was still locked after that.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _wait(descriptor, folder, time.monotonic() + max_wait)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, folder: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                break
        except OSError:  # a file system without locks
            return
        time.sleep(_PAUSE)
    raise CheckpointError(Errors.E215.format(folder=folder))
