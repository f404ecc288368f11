"""When a flag holds. The score of half a sentence misfires ("How to kill", before
"a python process"): a category must stay above its threshold for some pieces in a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import Errors, SettingsError
from ..taxonomy import CATEGORIES, UNSAFE


@dataclass(frozen=True)
class Flag:
    """A category that was flagged."""

    category: str
    offset: int  # the character up to which the text was read when the flag held
    probability: float  # of the text up to there


class FlagWatch:
    """Watches the rows of a text that is read piece by piece."""

    def __init__(self, thresholds: Mapping[str, float], patience: int) -> None:
        """thresholds (Mapping[str, float]): For each category, in order.
        patience (int): How many pieces in a row a category must be above its own.
        """
        self.labels = list(thresholds)
        # Not float32: a probability of 0.3 in float32 is above 0.3.
        self.thresholds = np.array(list(thresholds.values()), dtype=np.float64)
        self.patience = patience
        self.held = np.zeros(len(self.labels), dtype=bool)
        self._runs = np.zeros(len(self.labels), dtype=np.int64)
        self._last: tuple[int, np.ndarray] | None = None

    def read(self, ends: Sequence[int], probabilities: np.ndarray) -> list[Flag]:
        """Read on.

        ends (Sequence[int]): (n_pieces,), where each piece ends, in characters.
        probabilities (ndarray): (n_pieces, n_labels), of the text up to each.
        RETURNS (List[Flag]): The flags that are new.
        """
        found: list[Flag] = []
        for end, row in zip(ends, probabilities, strict=True):
            above = row.astype(np.float64) > self.thresholds
            self._runs = np.where(above, self._runs + 1, 0)
            found += self._raise_flags(self._runs >= self.patience, int(end), row)
            self._last = int(end), row
        return found

    def close(self) -> list[Flag]:
        """The text is complete: what is above its threshold now is not taken back by
        anything that follows.

        RETURNS (List[Flag]): The flags that are new.
        """
        if self._last is None:
            return []
        return self._raise_flags(self._runs > 0, *self._last)

    def _raise_flags(self, now: np.ndarray, end: int, row: np.ndarray) -> list[Flag]:
        new = np.flatnonzero(now & ~self.held)
        self.held[new] = True
        return [Flag(self.labels[i], end, float(row[i])) for i in new]


def check_thresholds(
    threshold: float, thresholds: Mapping[str, float], labels: Sequence[str] | None
) -> None:
    """Check what decides flags.

    threshold (float): Of the categories without one of their own.
    thresholds (Mapping[str, float]): Of single categories.
    labels (Optional[Sequence[str]]): The categories; None where they are not known yet.
    RAISES (SettingsError): A value outside [0, 1], or a threshold of no category.
    """
    limits = {"threshold": threshold}
    for key, value in thresholds.items():
        if key == UNSAFE or (labels is not None and key not in labels):
            names = ", ".join(labels or CATEGORIES)
            raise SettingsError(Errors.E002.format(key=key, categories=names))
        limits[f"thresholds['{key}']"] = value
    for name, value in limits.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0.0 <= value <= 1.0:  # false for NaN as well
            raise SettingsError(Errors.E001.format(name=name, value=value))


def resolve_thresholds(
    labels: Sequence[str], threshold: float, thresholds: Mapping[str, float]
) -> dict[str, float]:
    """The threshold of each category.

    labels (Sequence[str]): The categories, in order.
    threshold (float): For categories that `thresholds` doesn't name.
    thresholds (Mapping[str, float]): For single categories.
    RETURNS (Dict[str, float]): One threshold per category, in the order of `labels`.
    """
    return {label: thresholds.get(label, threshold) for label in labels}


def first_flag(
    ends: Sequence[int],
    probabilities: np.ndarray,
    thresholds: Mapping[str, float],
    patience: int,
) -> int | None:
    """Where a complete text is first flagged.

    ends (Sequence[int]), probabilities (ndarray): As for `FlagWatch.read`.
    thresholds (Mapping[str, float]), patience (int): As for `FlagWatch`.
    RETURNS (Optional[int]): In characters; None where nothing is flagged.
    """
    watch = FlagWatch(thresholds, patience)
    flags = watch.read(ends, probabilities) + watch.close()
    return min((flag.offset for flag in flags), default=None)
