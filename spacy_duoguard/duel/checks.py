"""How single settings of a duel are checked."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """A rule for a value. `parse` returns the value to use, or raises a ValueError."""

    rule: str
    parse: Callable[[Any], Any]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError
    if not math.isfinite(value):
        raise ValueError
    return float(value)


def _real(low: float, high: float, *, above: bool = False) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        number = _number(value)
        if not low <= number <= high or (above and number == low):
            raise ValueError
        return number

    return parse


def _integer(low: int, high: float = math.inf) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return value

    return parse


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError
    return value


def _languages(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError
    names = tuple(map(_name, value))
    if len({name.casefold() for name in names}) < len(names):
        raise ValueError
    return names


def _ratios(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError
    low, high = map(_number, value)
    if not 0.0 <= low < high:
        raise ValueError
    return low, high


def _calibration(value: Any) -> str:
    words = _name(value).split()
    is_target = len(words) == 2 and words[0] in ("target-fpr", "target-recall")
    if words != ["best-f"] and not (is_target and 0.0 <= float(words[1]) <= 1.0):
        raise ValueError
    return " ".join(words)


def optional(check: Check) -> Check:
    """check (Check): A rule.
    RETURNS (Check): The same, or null."""
    return Check(
        f"{check.rule}, or null",
        lambda value: None if value is None else check.parse(value),
    )


def choice_of(*choices: str) -> Check:
    """choices (str): The allowed values.
    RETURNS (Check): One of them."""

    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return Check(" or ".join(f'"{choice}"' for choice in choices), parse)


NAME = Check("a non-empty string", _name)
FLAG = Check("true or false", _flag)
COUNT = Check("a positive integer", _integer(1))
NATURAL = Check("an integer of at least 0", _integer(0))
GPU = Check("an integer of at least -1", _integer(-1))
RATING = Check("an integer from 1 to 5", _integer(1, 5))
POSITIVE = Check("a positive number", _real(0.0, math.inf, above=True))
SHARE = Check("a number above 0 and at most 1", _real(0.0, 1.0, above=True))
TEMPERATURE = Check("a number from 0 to 2", _real(0.0, 2.0))
LANGUAGES = Check('a list of different names, such as ["German"]', _languages)
RATIOS = Check("two numbers, the lower one first, such as [0.5, 2.0]", _ratios)
CALIBRATION = Check(
    '"best-f", "target-fpr NUMBER" or "target-recall NUMBER"', _calibration
)
