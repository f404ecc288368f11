"""Torch's threads: as many as the work deserves, and one in forked processes."""

import mmap
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CDLL
from functools import cache
from pathlib import Path

import torch

from ...errors import Warnings
from ..user_warnings import warn_once

# The process that imported this module, or the last fork of it seen here.
_pid = os.getpid()

# Whether that process or a parent loaded or scored with several threads, which starts
# torch's thread pool.
_pooled = False

# Shared with all forks, so that only the first of them warns.
_warned = mmap.mmap(-1, 1)


def leave_parents_threads() -> None:
    """Switch a forked process to one torch thread. Call this before torch computes: a
    fork inherits the bookkeeping of its parent's thread pool but not the threads, and
    would wait for them forever.

    Other code may have started the pool, so this is done in every fork. The warning is
    only shown if this package started it, and by one of the forks.
    """
    global _pid, _pooled
    threaded = torch.get_num_threads() > 1
    if os.getpid() == _pid:
        _pooled = _pooled or threaded
        return
    _pid = os.getpid()
    if threaded:
        torch.set_num_threads(1)
        if _pooled and not _warned[0]:
            _warned[0] = 1
            warn_once(Warnings.W002)


# Operations of a layer that are worth another thread: almost a millisecond in bfloat16.
# With fewer, a second thread gains little, and where processes share the cores, threads
# wait for each other longer than they work.
_OPERATIONS_PER_THREAD = 200e6

# Weights of a layer that are worth another thread, however few rows they are for: they
# have to come from memory, and one core can't read as fast as several.
_WEIGHTS_PER_THREAD = 2e6

# In a line of /proc/self/maps: the path of a library whose code is loaded.
_LIBRARY = re.compile(
    r"^\S+ r.xp .* (/.*/lib(?:gomp|omp|iomp5)[^/\n]*\.so[^/\n]*)$", re.M
)


def worth_threads(weights: float, rows: int) -> int:
    """weights (float): Those that a layer multiplies by.
    rows (int): The rows that it multiplies.
    RETURNS (int): How many threads its products are worth."""
    by_operations = int(2 * weights * rows / _OPERATIONS_PER_THREAD)
    return max(1, by_operations, int(weights / _WEIGHTS_PER_THREAD))


@contextmanager
def at_most_threads(limit: int) -> Iterator[None]:
    """Let torch use at most so many threads in a block, in the calling thread only.
    `torch.set_num_threads` would change what other threads start with.

    limit (int): At least 1.
    """
    threads = torch.get_num_threads()
    setter = _openmp() if limit < threads else None
    if setter is None:
        yield
        return
    setter(limit)
    try:
        yield
    finally:
        setter(threads)


@cache
def _openmp() -> Callable[[int], object] | None:
    """What sets the calling thread's number in the OpenMP library that torch uses. None
    where torch doesn't follow it."""
    try:
        maps = Path("/proc/self/maps").read_text("utf8")
    except OSError:
        return None
    threads = torch.get_num_threads()
    for path in sorted(set(_LIBRARY.findall(maps))):
        try:
            setter = CDLL(path).omp_set_num_threads
        except (OSError, AttributeError):
            continue
        setter(threads + 1)
        followed = torch.get_num_threads() == threads + 1
        setter(threads)
        if followed:
            return setter
    return None
