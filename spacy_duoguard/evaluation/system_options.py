"""Read the options that name other systems."""

import math
from collections.abc import Sequence
from pathlib import Path

from ..errors import Errors, SettingsError
from .foreign import DEFAULT_FIELDS, System


def parse_systems(
    scores: Sequence[str],
    fields: Sequence[str],
    thresholds: Sequence[str],
    *,
    ours: str,
) -> list[System]:
    """scores (Sequence[str]): The systems, as "name=file".
    fields (Sequence[str]): Where their values are, as "score=toxicity" for all of them
        or "name:score=toxicity" for one.
    thresholds (Sequence[str]): Where they flag a row, as "0.3" or "name:0.3".
    ours (str): The name of the model that is evaluated.
    RETURNS (List[System]): The systems.
    RAISES (SettingsError): An option is wrong."""
    names = [_split(value, "scores", "=")[0] for value in scores]
    for i, name in enumerate(names):
        if name in (ours, *names[:i]):
            raise SettingsError(Errors.E279.format(name=name))
    places: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in names}
    limits = dict.fromkeys(names, 0.5)
    for value in fields:
        target, pair = _target(value, names, "scores-field")
        key, place = _split(pair, "scores-field", "=")
        if key not in DEFAULT_FIELDS:
            raise _wrong("scores-field", value)
        for name in target:
            places[name][key] = (place,)
    for value in thresholds:
        target, number = _target(value, names, "scores-threshold")
        for name in target:
            limits[name] = _number(number, value)
    return [
        System(name, _file(value), places[name], limits[name])
        for name, value in zip(names, scores, strict=True)
    ]


def _target(value: str, names: Sequence[str], option: str) -> tuple[Sequence[str], str]:
    """The systems that a value is for, and what is said about them."""
    name, colon, rest = value.partition(":")
    if not colon:
        return names, value
    if name not in names:
        raise _wrong(option, value)
    return [name], rest


def _split(value: str, option: str, separator: str) -> tuple[str, str]:
    before, found, after = value.partition(separator)
    if not (before and found and after):
        raise _wrong(option, value)
    return before, after


def _number(text: str, value: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _wrong("scores-threshold", value) from None
    if math.isnan(number):  # no score would be above it
        raise _wrong("scores-threshold", value)
    return number


def _file(value: str) -> Path:
    path = Path(_split(value, "scores", "=")[1])
    # `score` writes Parquet files into a folder.
    if not path.is_file() and not (path.suffix == ".parquet" and path.is_dir()):
        raise SettingsError(Errors.E139.format(name=path, problem="no such file"))
    return path


def _wrong(option: str, value: str) -> SettingsError:
    return SettingsError(Errors.E278.format(option=option, value=value))
