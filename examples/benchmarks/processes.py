"""Run a system in a process of its own, which is loaded when its turn comes.

So two systems are in memory at a time, and no library's threads or caches affect
another system.
"""

import multiprocessing
import time
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np


class SystemProcess:
    """A system that another process has loaded. Close it, or use it in a `with`."""

    def __init__(self, name: str, folder: Path, cache: Path, *, threads: int) -> None:
        """name, folder, cache: As in `make_system`.
        threads (int): The number of torch's threads in that process.
        RAISES (RuntimeError): The system couldn't be loaded."""
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, name, folder, cache, threads)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def seconds(self, texts: Sequence[str]) -> float:
        """texts (Sequence[str]): The texts to score.
        RETURNS (float): How long it took."""
        return self._ask("seconds", list(texts))

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """texts (Sequence[str]): The texts to score.
        RETURNS (numpy.ndarray): The probabilities, (n_texts, 12)."""
        return self._ask("probabilities", list(texts))

    def peak_memory(self) -> float:
        """RETURNS (float): The most memory that the process has had so far, in MB,
        including the interpreter and libraries; 0.0 if the system doesn't say."""
        return self._ask("memory", [])

    def _ask(self, what: str, texts: list[str]) -> Any:
        self._pipe.send((what, texts))
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.name}: the process ended") from None
        if isinstance(answer, Exception):
            raise RuntimeError(f"{self.name}: {answer}")
        return answer

    def close(self) -> None:
        self._pipe.close()
        self._process.join()

    def __enter__(self) -> "SystemProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _serve(
    pipe: Connection, name: str, folder: Path, cache: Path, threads: int
) -> None:
    warnings.simplefilter("ignore")  # from the other systems
    try:
        import torch
        from systems import make_system

        torch.set_num_threads(threads)
        score = make_system(name, folder, cache)
        pipe.send(None)
        while True:
            what, texts = pipe.recv()
            if what == "memory":
                pipe.send(_peak_memory())
                continue
            start = time.perf_counter()
            probabilities = score(texts)
            elapsed = time.perf_counter() - start
            pipe.send(elapsed if what == "seconds" else probabilities)
    except EOFError:
        pass  # closed
    except Exception as e:
        pipe.send(RuntimeError(f"{type(e).__name__}: {e}"))


def _peak_memory() -> float:
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0.0
    lines = status.read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
