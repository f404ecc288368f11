"""What was computed in a slower way after an error: counted, and reported once."""

from collections import Counter
from pathlib import Path

from ..errors import Warnings
from .fork_lock import ForkLock
from .user_warnings import warn_once

# What is counted, and how the warning puts it.
HALVED = "a batch was divided into smaller ones"
ATTENTION = "the packed attention kernel isn't used"
GRAPHS = "a CUDA graph isn't used"
KERNELS = "the Triton kernels aren't used"
NATIVE = "the native kernels aren't used"


class Fallbacks:
    """Counts the times that an error made scoring slower, not wrong: the scores are
    right, so nothing else would show it. Threads can share one.

    counts (Counter): How often, by kind.
    first_cause (Optional[str]): The type and the place of the first error, without its
        message, which may quote a text.
    """

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._reported: set[str] = set()
        self.reset()

    @property
    def halvings(self) -> int:
        """RETURNS (int): How often a batch was divided after an error."""
        return self.counts[HALVED]

    def reset(self) -> None:
        """Start to count anew."""
        self.counts: Counter[str] = Counter()
        self.first_cause: str | None = None

    def count(self, kind: str, cause: str) -> None:
        """kind (str): One of the constants above.
        cause (str): From `describe`."""
        with self._lock.plain:
            self.counts[kind] += 1
            self.first_cause = self.first_cause or cause

    def report(self, kind: str, cause: str) -> None:
        """Warn, unless this kind was reported before.

        kind (str), cause (str): As in `count`.
        """
        if kind not in self._reported:
            warn_once(Warnings.W005.format(kind=kind, cause=cause))
            self._reported.add(kind)

    def __reduce__(self) -> tuple[type["Fallbacks"], tuple[()]]:
        return Fallbacks, ()  # a copy has computed nothing yet


def describe(error: BaseException) -> str:
    """error (BaseException): What was raised.
    RETURNS (str): Its type and the line that raised it."""
    name, trace = type(error).__name__, error.__traceback__
    if trace is None:
        return name
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{name} in {Path(code.co_filename).name}, line {trace.tb_lineno}"
