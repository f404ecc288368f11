"""Shares of texts, and how certain they are."""

import math
from dataclasses import dataclass
from typing import Any

_Z = 1.96  # 95 % of a normal distribution lie within so many standard deviations


@dataclass(frozen=True)
class Rate:
    """A share of texts."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        """RETURNS (Optional[float]): The share; None of no texts."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        """RETURNS (Tuple[float, float]): The 95 % confidence interval (Wilson 1927)."""
        if not self.total:
            return 0.0, 1.0
        share, n = self.count / self.total, self.total
        center = share + _Z**2 / (2 * n)
        width = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
        scale = 1 + _Z**2 / n
        return max(0.0, (center - width) / scale), min(1.0, (center + width) / scale)

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): The share as a fraction, with its interval."""
        return {
            "rate": self.value,
            "interval": list(self.interval),
            "count": self.count,
            "texts": self.total,
        }
