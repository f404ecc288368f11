"""Tokenizing several texts at once, on all cores and without Python's lock.

`tokenizers` keeps a pool of threads for this. Such a pool doesn't survive a fork: its
children tokenize one text after another.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from tokenizers import Encoding, Tokenizer

Item = TypeVar("Item")

_VARIABLE = "TOKENIZERS_PARALLELISM"

# Held while texts are tokenized, and across a fork, so that no child inherits the pool
# or `tiktoken` at work.
_working = threading.RLock()
_started = False  # whether this process, or its parent before the fork, used the pool
_is_fork = False
_hides_warning = False


def can_share() -> bool:
    """RETURNS (bool): Whether the pool can be used in this process."""
    return not _is_fork


@contextmanager
def no_fork() -> Iterator[None]:
    """Let forks wait until a block is left, and other threads that tokenize."""
    with _working:
        yield


def encode_all(
    backend: Tokenizer, texts: Sequence[str], *, offsets: bool
) -> list[Encoding]:
    """Tokenize texts with the pool, while other Python threads go on.

    backend (Tokenizer): Without truncation and padding, so that it has no state.
    texts (Sequence[str]): The texts.
    offsets (bool): Whether the encodings need offsets, which take a third of the time.
    RETURNS (List[Encoding]): One for each text, without special tokens.
    RAISES (BaseException): What `tokenizers` raises for any of the texts.
    """
    global _started
    encode = backend.encode_batch if offsets else backend.encode_batch_fast
    with _working:
        _started = True
        return encode(list(texts), add_special_tokens=False)


def is_panic(error: BaseException) -> bool:
    """error (BaseException): What tokenizing raised.
    RETURNS (bool): Whether Rust code panicked. That isn't an `Exception`, and quotes
        the text."""
    return type(error).__module__ == "pyo3_runtime"


def divide(
    items: Iterable[Item], size: Callable[[Item], int], *, most: int
) -> Iterator[list[Item]]:
    """Divide items into groups, in order.

    items (Iterable[Item]): The items.
    size (Callable): The size of an item.
    most (int): The size of a group at most, unless it is one item.
    YIELDS (List[Item]): Each group.
    """
    group: list[Item] = []
    total = 0
    for item in items:
        if group and total + size(item) > most:
            yield group
            group, total = [], 0
        group.append(item)
        total += size(item)
    if group:
        yield group


def _before_fork() -> None:
    """Without the variable, `tokenizers` would write a warning in every child."""
    global _hides_warning
    _working.acquire()
    _hides_warning = _started and _VARIABLE not in os.environ
    if _hides_warning:
        os.environ[_VARIABLE] = "false"


def _after_fork_in_parent() -> None:
    if _hides_warning:
        os.environ.pop(_VARIABLE, None)
    _working.release()


def _after_fork_in_child() -> None:
    global _is_fork
    if _started:
        os.environ[_VARIABLE] = "false"
        _is_fork = True
    _working.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
