"""Seeds: the labelled texts that a duel starts from."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.checkpoint.files import open_regular
from ..engine.verdict import is_score
from ..errors import DuoGuardError, Errors, SettingsError
from ..pipeline.gold import POSITIVE
from ..pipeline.scorer import read_gold
from ..scoring.record import BrokenRecordError, is_unicode, unique_keys
from ..taxonomy import CATEGORIES, UNSAFE

_N_NAMED = 5  # lines, or labels


@dataclass(frozen=True)
class Seed:
    """A labelled text."""

    number: int  # its line in the file, from 1
    text: str
    cats: Mapping[str, float]  # gold, as for training
    unsafe: bool
    language: str | None = None


def read_seeds(path: Path) -> list[Seed]:
    """Read labelled texts.

    path (Path): A JSONL file. Each line is an object with `text`, `cats` (0 or 1 for
        categories or for `unsafe`) or `unsafe`, and optionally `language`.
    RETURNS (List[Seed]): The texts, in order.
    RAISES (SettingsError): The file can't be read, a line is invalid, or lines with the
        same text contradict each other. Messages name the line and don't quote it.
    """
    try:
        with open(open_regular(path), encoding="utf8") as file:
            lines = file.read().split("\n")  # JSON may hold other line ends
    except (OSError, UnicodeDecodeError, DuoGuardError) as e:
        problem = e.strerror if isinstance(e, OSError) else type(e).__name__
        raise SettingsError(Errors.E289.format(path=path, problem=problem)) from e
    seeds = [
        _read_line(path, number, line)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    labels = {seed.unsafe for seed in seeds}
    if labels != {True, False}:
        problem = "it needs safe and unsafe texts"
        raise SettingsError(Errors.E289.format(path=path, problem=problem))
    _check_agreement(path, seeds)
    return seeds


def _check_agreement(path: Path, seeds: Iterable[Seed]) -> None:
    """RAISES (SettingsError): Lines with the same text contradict each other."""
    first: dict[tuple[str, str], tuple[float, int]] = {}  # of a text and a label
    pairs: dict[tuple[int, int], None] = {}
    for seed in seeds:
        for label, value in {**seed.cats, UNSAFE: float(seed.unsafe)}.items():
            known, number = first.setdefault((seed.text, label), (value, seed.number))
            if known != value:
                pairs[number, seed.number] = None
    if pairs:
        lines = _list_some([f"{one} and {other}" for one, other in pairs])
        raise SettingsError(Errors.E345.format(path=path, lines=lines))


def check_labels(
    path: Path, seeds: Iterable[Seed], labels: Sequence[str], guard: str
) -> None:
    """Compare labels with what the guard can learn. It would ignore any other.

    path (Path): The file.
    seeds (Iterable[Seed]): Its texts.
    labels (Sequence[str]): The categories of the guard.
    guard (str): Its name, for the message.
    RAISES (SettingsError): A label isn't one of them, or a text is unsafe while every
        category is 0.
    """
    unknown: dict[str, None] = {}
    for seed in seeds:
        unknown |= dict.fromkeys(seed.cats.keys() - {UNSAFE, *labels})
        if seed.unsafe and all(seed.cats.get(label) == 0.0 for label in labels):
            problem = f"line {seed.number}: 'unsafe' is 1, but every category is 0"
            raise SettingsError(Errors.E289.format(path=path, problem=problem))
    if unknown:
        names = _list_some([repr(label) for label in sorted(unknown)])
        known = ", ".join(labels)
        message = Errors.E346.format(path=path, guard=guard, labels=names, known=known)
        raise SettingsError(message)


def _list_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
    return f"{', '.join(names[:_N_NAMED])}{more}"


def _read_line(path: Path, number: int, line: str) -> Seed:
    try:
        record = json.loads(line, object_pairs_hook=unique_keys)
        return make_seed(record, number)
    except (ValueError, RecursionError) as e:
        problem = e if type(e) in (BrokenRecordError, _SeedError) else "not JSON"
        message = Errors.E289.format(path=path, problem=f"line {number}: {problem}")
        raise SettingsError(message) from e


class _SeedError(ValueError):
    """Why a line is no seed. The message never quotes the text."""


def make_seed(record: Any, number: int) -> Seed:
    """record (Any): The content of a line.
    number (int): Its number.
    RETURNS (Seed): The seed.
    RAISES (ValueError): It isn't one."""
    if not isinstance(record, Mapping):
        raise _SeedError("not an object")
    text, language = record.get("text"), record.get("language")
    if not isinstance(text, str) or not text.strip() or not is_unicode(text):
        raise _SeedError("'text' must be a string that isn't empty")
    if language is not None and not (isinstance(language, str) and language):
        raise _SeedError("'language' must be a string")
    cats = record.get("cats", {})
    if not isinstance(cats, Mapping):
        raise _SeedError("'cats' must be an object")
    cats = dict(cats)
    unsafe = record.get(UNSAFE, cats.get(UNSAFE))
    if cats.get(UNSAFE, unsafe) != unsafe:
        raise _SeedError("'unsafe' is there twice, with different values")
    if unsafe is not None:
        cats[UNSAFE] = unsafe
    if not all(is_score(value) and value in (0, 1) for value in cats.values()):
        raise _SeedError("labels must be 0 or 1")
    cats = {name: float(value) for name, value in cats.items()}
    gold = read_gold(cats, list(dict.fromkeys([*CATEGORIES, *cats.keys() - {UNSAFE}])))
    if UNSAFE not in gold:
        raise _SeedError("'unsafe' is unknown: give it, or a category that is 1")
    if gold[UNSAFE] and cats.get(UNSAFE, 1.0) <= POSITIVE:
        raise _SeedError("'unsafe' is 0, but a category is 1")
    return Seed(number, text, cats, gold[UNSAFE], language)
