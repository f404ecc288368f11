"""A lock on the output of a run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import Errors, SettingsError
from .run_state import Output, unusable
from .watch import identify


@contextmanager
def locked(output: Output) -> Iterator[Callable[[], None]]:
    """Keep other runs from writing to an output. The operating system ends the lock
    with the process, however it ends.

    output (Output): The output. The folder of its lock is created.
    YIELDS (Callable): Raises a `SettingsError` if a lock is gone, so that another run
        could take a new one.
    RAISES (SettingsError): Another run writes to it, or the folder cannot be used.
    """
    first, *_ = output.locks
    with _held(first, output), ExitStack() as others:
        for path in output.locks[1:]:  # which may have appeared in the meantime
            others.enter_context(_held(path, output))
        held = {path: identify(path) for path in output.locks}
        yield lambda: _check_locks(held, output)


def _check_locks(held: dict[Path, tuple[int, int] | None], output: Output) -> None:
    for path, identity in held.items():
        if identify(path) != identity:
            raise SettingsError(Errors.E224.format(lock=path, path=output.path))


@contextmanager
def _held(path: Path, output: Output) -> Iterator[None]:
    # A generator can be closed from another thread.
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as e:
        raise SettingsError(Errors.E174.format(path=output.path)) from e
    except OSError as e:
        raise unusable(output.path, e) from e
    try:
        yield
    finally:
        lock.release()
