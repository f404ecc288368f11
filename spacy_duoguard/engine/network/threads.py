"""Torch's threads in forked processes."""

import os
import warnings

import torch

from ...errors import Warnings

# The process that imported this module, or went on in one that did.
_pid = os.getpid()

# Whether it, or a process that it was forked from, loaded or scored with several
# threads, so that torch has started its pool.
_pooled = False


def leave_parents_threads() -> None:
    """To be called before torch computes. Go on with one torch thread in a process that
    was forked from the one that imported this module: it inherits the bookkeeping of
    its parent's thread pool but not the threads, and would wait for them for ever.

    The pool can have been started by somebody else's code, so this is done in every
    such process; the warning is for those in which it was needed for all we know.
    """
    global _pid, _pooled
    threaded = torch.get_num_threads() > 1
    if os.getpid() == _pid:
        _pooled = _pooled or threaded
        return
    _pid = os.getpid()
    if threaded:
        torch.set_num_threads(1)
        if _pooled:
            warnings.warn(Warnings.W002, stacklevel=2)
