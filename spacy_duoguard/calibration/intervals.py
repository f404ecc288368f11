"""What a rate on labelled texts says about as many other texts.

If exactly `count` of `total` scores lie above a threshold that was chosen for it, the
share of all texts above it follows a beta distribution, whatever the scores are like
(order statistics). How many of another sample are above it is then beta-binomial.
"""

import numpy as np

LEVEL = 0.95


def expected_range(count: int, total: int, *, level: float = LEVEL) -> tuple[int, int]:
    """count (int): How many of the labelled texts are above the threshold.
    total (int): How many labelled texts there are, at least 1.
    level (float): In how many of the cases the range holds.
    RETURNS (Tuple[int, int]): How few, and how many, of `total` other texts to expect
        above the threshold, if they were drawn like these."""
    tail = (1.0 - level) / 2
    low, high = 0, total
    # The threshold can be anywhere between two scores: take the worse end for each.
    if count > 0:
        low = _quantile(tail, total, count, total - count + 1)
    if count < total:
        high = _quantile(1.0 - tail, total, count + 1, total - count)
    return low, high


def _quantile(share: float, n: int, a: int, b: int) -> int:
    """The quantile of a beta-binomial distribution of `n` texts."""
    j = np.arange(n, dtype=np.float64)
    ratios = (n - j) * (j + a) / ((j + 1) * (n - j - 1 + b))
    logs = np.concatenate(([0.0], np.cumsum(np.log(ratios))))
    weights = np.exp(logs - logs.max())
    below = np.cumsum(weights) / weights.sum()
    return int(np.searchsorted(below, share))
