"""Torch with several threads, and threads that must not outlive a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def two_threads(n: int = 2) -> Iterator[None]:
    """Let torch use `n` threads: with several, texts are tokenized in the background,
    too."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Check that the block ends all threads that it starts."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
