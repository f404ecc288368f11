"""Torch's threads in forked processes."""

import os
import warnings

import torch

from ..errors import Warnings

# The process that imported this module.
_pid = os.getpid()


def leave_parents_threads() -> None:
    """Go on with one torch thread in a process that was forked from the one that
    imported this module. Such a process inherits the bookkeeping of its parent's
    thread pool but not the threads, and would wait for them for ever."""
    global _pid
    if os.getpid() == _pid:
        return
    _pid = os.getpid()
    if torch.get_num_threads() > 1:
        torch.set_num_threads(1)
        warnings.warn(Warnings.W002, stacklevel=2)
