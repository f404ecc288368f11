"""Locks that no fork inherits from a thread at work.

A forked process has one thread, the one that forked. Whatever lock another thread held
then is held forever.
"""

import os
import threading
from time import monotonic
from weakref import WeakValueDictionary

# A fork waits no longer than this for a thread, such as one that downloads a model.
MOST_SECONDS = 60.0

_alive: "WeakValueDictionary[int, ForkLock]" = WeakValueDictionary()
_fork = threading.local()  # with the locks that a thread acquired in order to fork
_is_registered = False


class ForkLock:
    """A lock that is open in a forked process.

    plain (Lock): What threads acquire.
    is_lost (bool): Whether this process was forked while another thread held it, so
        that what it protects may be incomplete.
    """

    def __init__(self, *, is_awaited: bool = False) -> None:
        """is_awaited (bool): Whether a fork waits until no thread holds it. A thread
        must not ask for such a lock while it holds another one that is awaited."""
        self.plain = threading.Lock()
        self.is_lost = False
        self.is_awaited = is_awaited
        _alive[id(self)] = self
        if is_awaited:
            _register()


def _all() -> list[ForkLock]:
    """All locks, in the same order in each thread."""
    # Threads add locks meanwhile, and only a list doesn't mind.
    locks = [lock for ref in _alive.valuerefs() if (lock := ref()) is not None]
    return sorted(locks, key=id)


def _wait() -> None:
    _fork.locks = []
    end = monotonic() + MOST_SECONDS
    for lock in _all():
        rest = max(0.0, end - monotonic())
        if lock.is_awaited and lock.plain.acquire(timeout=rest):
            _fork.locks.append(lock)


def _release() -> None:
    for lock in getattr(_fork, "locks", ()):
        lock.plain.release()
    _fork.locks = []


def _reopen() -> None:
    acquired = set(map(id, getattr(_fork, "locks", ())))
    for lock in _all():
        if id(lock) not in acquired and lock.plain.locked():
            lock.plain, lock.is_lost = threading.Lock(), True


def _register() -> None:
    """What is registered last is done first before a fork. The threads need what others
    wait for, such as the tokenizer's threads, so they have to be awaited first."""
    global _is_registered
    if not _is_registered and hasattr(os, "register_at_fork"):
        _is_registered = True
        os.register_at_fork(
            before=_wait, after_in_parent=_release, after_in_child=_release
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reopen)
