"""Read the results of other systems, and match them with the rows of the evaluation."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..engine.verdict import ERROR, judge
from ..errors import Errors, SettingsError
from ..scoring.record import BrokenRecordError
from ..scoring.result_files import read_results
from ..taxonomy import UNSAFE
from .datasets import DATASETS, load_rows

File = tuple[str, str]  # a language and the name of a file

# Where to look for each value, in this order, unless the user says where.
DEFAULT_FIELDS: dict[str, tuple[str, ...]] = {
    "text": ("text", "prompt"),
    "id": (),  # rows are matched by their texts
    "score": (f"cats.{UNSAFE}", UNSAFE, "score", "probability"),
    "flag": ("flagged", "flag"),
}

_WORDS = {"unsafe": True, "safe": False}


@dataclass(frozen=True)
class System:
    """The results of a system: where they are, and how they are read."""

    name: str
    path: Path
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    threshold: float = 0.5  # above, a row without a flag is flagged


class Result(NamedTuple):
    """What a system says about a text."""

    score: float
    flagged: bool
    truncated: bool = False  # a part of the text was not scored


@dataclass
class SystemResults:
    """The results of a system by the rows of the files, NaN where it has none."""

    name: str
    scores: dict[File, np.ndarray] = field(default_factory=dict)  # (n_rows,)
    flags: dict[File, np.ndarray] = field(default_factory=dict)  # (n_rows,) bool
    truncated: dict[File, np.ndarray] = field(default_factory=dict)  # (n_rows,) bool
    broken: list[str] = field(default_factory=list)  # lines that can't be read, and why
    n_other: int = 0  # results that belong to no row
    n_ambiguous: int = 0  # of results with other ones for the same row


def load_texts(folder: Path, languages: Iterable[str]) -> dict[File, list[str]]:
    """folder (Path): Has a folder for each language.
    languages (Iterable[str]): The languages.
    RETURNS (Dict[Tuple[str, str], List[str]]): The texts of each file that exists."""
    return {
        (language, dataset.filename): [text for text, _ in load_rows(dataset, path)]
        for language in languages
        for dataset in DATASETS
        if (path := folder / language / dataset.filename).is_file()
    }


def load_system(system: System, texts: Mapping[File, Sequence[str]]) -> SystemResults:
    """Read the results of a system.

    system (System): Where they are. What `score` writes is read as it is: a record that
        wasn't scored counts as unsafe.
    texts (Mapping[Tuple[str, str], Sequence[str]]): The texts of each file.
    RETURNS (SystemResults): Its results. If a row has several, the highest counts.
    RAISES (SettingsError): None of them belongs to a row.
    """
    results = SystemResults(system.name)
    by_id = "id" in system.fields
    found: dict[str, Result] = {}
    ambiguous: set[str] = set()
    for number, row in enumerate(read_results(system.path), start=1):
        try:
            key, result = _read_row(row, system)
        except BrokenRecordError as e:
            results.broken.append(f"line {number}: {e}")
            continue
        if found.setdefault(key, result) != result:
            ambiguous.add(key)
            found[key] = max(found[key], result)
    used: set[str] = set()
    for file, file_texts in texts.items():
        keys = list(_row_ids(file, len(file_texts))) if by_id else list(file_texts)
        used |= found.keys() & set(keys)
        known = [found.get(key) for key in keys]
        results.scores[file] = np.array(
            [np.nan if k is None else k.score for k in known]
        )
        results.flags[file] = np.array([k is not None and k.flagged for k in known])
        results.truncated[file] = np.array(
            [k is not None and k.truncated for k in known]
        )
    if not used:
        raise SettingsError(_no_match(system, results, len(found), by_id=by_id))
    results.n_other = len(found.keys() - used)
    results.n_ambiguous = len(ambiguous & used)
    return results


def _no_match(
    system: System, results: SystemResults, count: int, *, by_id: bool
) -> str:
    first = f" The first problem is in {results.broken[0]}." if results.broken else ""
    return Errors.E277.format(
        path=system.path,
        count=count,
        broken=len(results.broken),
        what="id" if by_id else "text",
        first=first,
    )


def _row_ids(file: File, count: int) -> Iterator[str]:
    """The ids of rows, from 1: "En/toxic_chat.json/1"."""
    return (f"{file[0]}/{file[1]}/{number}" for number in range(1, count + 1))


def _read_row(row: Any, system: System) -> tuple[str, Result]:
    if isinstance(row, BrokenRecordError):
        raise row
    if not isinstance(row, Mapping):
        raise BrokenRecordError("not a JSON object")
    key_name = "id" if "id" in system.fields else "text"
    key = _find(row, system, key_name)
    if not isinstance(key, str):
        names = ", ".join(_names(system, key_name))
        raise BrokenRecordError(f"no string in the field for the {key_name} ({names})")
    is_ours = {"cats", "flags", "status"} <= row.keys()
    truncated = is_ours and row["status"] == "truncated"
    if is_ours and "score" not in system.fields:
        text = key if key_name == "text" else None
        verdict = judge(row["status"], row["cats"], row["flags"], text=text)
        if not verdict.is_scored:  # it counts as unsafe, but wasn't recognized as such
            raise BrokenRecordError("the record was not scored")
        return key, Result(verdict.cats[UNSAFE], bool(verdict.flags), truncated)
    if is_ours and row["status"] == ERROR:
        raise BrokenRecordError("the record was not scored")
    return key, _read_values(row, system, truncated=truncated)


def _read_values(row: Mapping[str, Any], system: System, *, truncated: bool) -> Result:
    """What a row says in the fields for the score and the flag."""
    score = _find(row, system, "score")
    flag = _find(row, system, "flag")
    if score is None and flag is None:
        names = ", ".join((*_names(system, "score"), *_names(system, "flag")))
        raise BrokenRecordError(f"neither a score nor a flag ({names})")
    flagged = None if flag is None else _to_flag(flag)
    if score is None:
        return Result(float(bool(flagged)), bool(flagged), truncated)
    value = _to_score(score)
    if flagged is None:
        flagged = value > system.threshold
    return Result(value, flagged, truncated)


def _names(system: System, key: str) -> tuple[str, ...]:
    return system.fields.get(key, DEFAULT_FIELDS[key])


def _find(row: Mapping[str, Any], system: System, key: str) -> Any:
    """The first of the fields that the row has. Dots lead into objects."""
    for name in _names(system, key):
        value: Any = row.get(name)
        if value is None and "." in name:
            value = row
            for part in name.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


def _to_score(value: Any) -> float:
    if not isinstance(value, (bool, int, float)) or not math.isfinite(value):
        raise BrokenRecordError("the score is not a finite number")
    return float(value)


def _to_flag(value: Any) -> bool:
    """Whether something is flagged: 0 or 1, a list of labels, "safe" or "unsafe"."""
    if isinstance(value, (list, tuple)):
        return bool(value)
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    raise BrokenRecordError("the flag is none of 0, 1, a list, 'safe' and 'unsafe'")
