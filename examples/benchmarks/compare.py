"""Compare a system with another one on the same new texts, in turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from measure import median, percentile
from processes import SystemProcess

Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Compares one system with the anchor: the system that is measured beside each."""

    system: SystemProcess
    anchor: SystemProcess
    length: Callable[[str], int]
    seconds: float  # about how long the system may take for a round

    def throughput(self, rounds: Sequence[Sequence[str]]) -> Row:
        """rounds (Sequence[Sequence[str]]): The texts of each round; the first is to
            warm up.
        RETURNS (Dict[str, Any]): The medians over the rounds."""
        count = self._warm_up(rounds[0])
        speeds, ratios = [], []
        for number, texts in enumerate(rounds[1:]):
            sample = texts[:count]
            time, beside = self._in_turn(sample, swap=number % 2 == 1)
            speeds.append(sum(map(self.length, sample)) / time)
            ratios.append(beside / time)
        again = [self.system.seconds(sample) for _ in rounds[1:]]
        tokens = sum(map(self.length, sample))
        speed = median(speeds)
        return {
            "tokens_per_second": speed,
            "ms_per_text": 1e3 * tokens / len(sample) / speed,
            "texts_per_round": count,
            "against_anchor": median(ratios),
            "new_against_same_texts": speed / (tokens / median(again)),
        }

    def latency(self, texts: Sequence[str]) -> Row:
        """texts (Sequence[str]): Texts of about the same length.
        RETURNS (Dict[str, Any]): The times of one text at a time."""
        for process in (self.system, self.anchor):
            process.seconds([texts[0]])
        times = [
            self._in_turn([text], swap=number % 2 == 1)
            for number, text in enumerate(texts)
        ]
        milliseconds = [1e3 * time for time, _ in times]
        return {
            "p50_ms": median(milliseconds),
            "p95_ms": percentile(milliseconds, 0.95),
            "texts": len(texts),
            "time_against_anchor": median([time / beside for time, beside in times]),
        }

    def drift(self, texts: Sequence[str], expected: np.ndarray) -> float:
        """texts (Sequence[str]): The texts.
        expected (numpy.ndarray): Their probabilities.
        RETURNS (float): The mean absolute difference from them."""
        return float(np.abs(self.system.probabilities(texts) - expected).mean())

    def _in_turn(self, texts: Sequence[str], *, swap: bool) -> tuple[float, float]:
        if self.system is self.anchor:
            time = self.system.seconds(texts)
            return time, time
        if swap:
            beside = self.anchor.seconds(texts)
            return self.system.seconds(texts), beside
        return self.system.seconds(texts), self.anchor.seconds(texts)

    def _warm_up(self, texts: Sequence[str]) -> int:
        """RETURNS (int): How many texts of a round the system can score in time."""
        few = texts[: max(1, len(texts) // 8)]
        self.system.seconds(few)
        tokens = self.seconds * sum(map(self.length, few)) / self.system.seconds(few)
        fits = np.cumsum([self.length(text) for text in texts]) <= tokens
        count = max(len(few), int(fits.sum()))
        self._in_turn(texts[:count], swap=False)
        return count
