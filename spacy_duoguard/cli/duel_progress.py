"""Following a duel on standard error: a progress bar for each step on a terminal, and
otherwise a line when it ends."""

from typing import Any

from .failures import say
from .progress import is_watched, terminal_size

_EXPECTED = {"text", "ok", "trained"}  # kinds that the bar doesn't count by name


class DuelProgress:
    """The bar of the current step."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._step = ""
        self._kinds: dict[str, int] = {}

    def begin(self, step: str, total: int, done: int) -> None:
        """step (str): What begins.
        total (int): How many answers or texts it takes.
        done (int): How many an earlier run has."""
        import sys

        from tqdm import tqdm

        self._step, self._kinds = step, {}
        watched = is_watched()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=step,
            file=sys.stderr,
            disable=not watched,
            **terminal_size(),
        )

    def advance(self, kind: str) -> None:
        """kind (str): The kind of the next answer."""
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        others = {k: n for k, n in self._kinds.items() if k not in _EXPECTED}
        self._bar.set_postfix(others, refresh=False)
        self._bar.update()

    def end(self) -> None:
        """The step has ended, or was interrupted."""
        self._bar.close()
        if self._kinds:
            counts = ", ".join(f"{kind} {n:,}" for kind, n in self._kinds.items())
            say(f"{self._step}: {counts}")
