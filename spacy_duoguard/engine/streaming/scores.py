"""What a stream reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..decisions import ALLOWED, BLOCKED, Decision
from ..flags import Flag
from ..verdict import ERROR, HIGHEST, judge, to_cats


@dataclass(frozen=True)
class StreamScores:
    """The scores of a stream after a push. Its array is a copy: to change it changes
    neither the stream nor another report."""

    probabilities: np.ndarray  # (n_labels,) float32, of the text so far
    flags: tuple[Flag, ...]  # the new flags
    status: str  # "ok", "empty" (no tokens so far) or "error"
    reviews: tuple[Flag, ...] = ()  # the new categories above their review thresholds
    decision: Decision = ALLOWED  # by all flags so far

    @property
    def action(self) -> str:
        """RETURNS (str): "block" once anything was flagged, "review" once a category
        was above its review threshold, else "allow"."""
        return self.decision.action

    @property
    def reason(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): The category that led to the action, and by how
        much its probability was above the threshold; None before that."""
        return self.decision.reason

    @property
    def unsafe(self) -> float:
        """RETURNS (float): The largest probability."""
        return float(self.probabilities.max())

    @classmethod
    def failed(cls, labels: Sequence[str], offset: int) -> "StreamScores":
        """labels (Sequence[str]): The categories.
        offset (int): How many characters were read.
        RETURNS (StreamScores): Those of a text that could not be scored."""
        ones = np.full(len(labels), HIGHEST, dtype=np.float32)
        every = tuple(Flag(label, offset, HIGHEST) for label in labels)
        return cls(ones, every, ERROR, decision=BLOCKED)

    def find_problem(self, labels: Sequence[str]) -> str | None:
        """labels (Sequence[str]): The categories.
        RETURNS (Optional[str]): Why they can't be those of a text; None if they can."""
        cats = to_cats(labels, self.probabilities.tolist())
        # Flags are new ones, so they don't name all that is flagged.
        return judge(self.status, cats, ()).problem
