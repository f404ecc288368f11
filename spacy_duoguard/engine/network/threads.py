"""Torch's threads in forked processes."""

import mmap
import os

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
