"""Faults by a script: forwards that raise or return nonsense, and interrupts at any
line of the package."""

import sys
from contextlib import contextmanager

import pytest
import torch

from spacy_duoguard.engine.network.cpu import CpuForward

from .paths import PACKAGE


class Unplugged(BaseException):
    """Not an `Exception`, like Ctrl-C or a panic of Rust code."""


RAISED = {
    "out of memory": torch.OutOfMemoryError("CUDA out of memory"),
    "runtime": RuntimeError("broken"),
    "key": KeyError("lookup"),
    "stop": StopIteration("exhausted"),
    "recursion": RecursionError("too deep"),
}
STOPS = {
    "interrupt": KeyboardInterrupt(),
    "exit": SystemExit(3),
    "close": GeneratorExit(),
    "unplugged": Unplugged(),
}
# What a forward returns instead of its logits.
RETURNED = {
    "nan": lambda logits: _with_value(logits, float("nan")),
    "inf": lambda logits: _with_value(logits, float("inf")),
    "-inf": lambda logits: _with_value(logits, -float("inf")),
    "no rows": lambda logits: logits[:0],
    "one row": lambda logits: logits[:1] - 9.0,
    "fewer rows": lambda logits: logits[:-1] - 9.0,
    "more rows": lambda logits: torch.cat([logits, logits]) - 9.0,
    "one column": lambda logits: logits[:, :1] - 9.0,
    "fewer columns": lambda logits: logits[:, :-1] - 9.0,
    "flat": lambda logits: logits.flatten() - 9.0,
    "a row": lambda logits: logits[0] - 9.0,
    "a number": lambda logits: torch.tensor(-9.0),
    "none": lambda logits: None,
}
FAULTS = ["ok", *RETURNED, *RAISED, *STOPS]


def _with_value(logits, value):
    logits = logits.clone()
    logits[len(logits) // 2, 5] = value
    return logits


def failing_by(script, forward):
    """The forward with a fault for each call; later calls succeed."""
    steps = iter(script)

    def call(self, *arguments):
        step = next(steps, "ok")
        if step in RAISED or step in STOPS:
            raise {**RAISED, **STOPS}[step]
        logits = forward(self, *arguments)
        # A result of the right shape would be a score.
        changed = RETURNED.get(step, lambda same: same)(logits)
        is_score = step in ("one row", "one column") and changed.shape == logits.shape
        return logits if is_score else changed

    return call


@contextmanager
def faulty_forwards(script):
    """Make the next forwards fail by a script, in pipelines and in streams."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("__call__", "extend"):
            fault = failing_by(script, getattr(CpuForward, name))
            patch.setattr(CpuForward, name, fault)
        yield


ROOMS = tuple(str(PACKAGE / room) for room in ("engine", "pipeline", "scoring"))


@contextmanager
def interrupted_after(n_lines):
    """Raise `KeyboardInterrupt` once the package has run this many lines; 0 for never.
    Ctrl-C comes between any two of them."""
    left = n_lines

    def trace(frame, event, argument):
        nonlocal left
        if not frame.f_code.co_filename.startswith(ROOMS):
            return None
        left -= event == "line"
        if left == 0 and event == "line":
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    if n_lines:
        sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
