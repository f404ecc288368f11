"""Compare systems on the same rows."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from .bootstrap import (
    DRAWS,
    LEVEL,
    RATES,
    Estimate,
    draw_weights,
    estimate,
    weigh_rates,
)
from .foreign import File, SystemResults
from .measures import THRESHOLD
from .run import Evaluation, LanguageResult

AVERAGE = "average"


@dataclass(frozen=True)
class SystemFigures:
    """The figures of a system on a file."""

    name: str
    rates: dict[str, Estimate]
    gain: Estimate | None  # its F1 less that of the model; None for the model itself


@dataclass(frozen=True)
class FileComparison:
    """The systems on the rows of a file that all of them have results for."""

    language: str
    filename: str  # or `AVERAGE`, of the files
    n_rows: int
    n_left_out: int  # rows that a system lacks
    systems: tuple[SystemFigures, ...]
    differ: dict[tuple[str, str], Estimate]  # the share of rows with other flags
    truncated: dict[str, int]  # rows of which a system did not score a part


@dataclass
class Comparison:
    """All systems on all files."""

    files: list[FileComparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # about what was left out

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): All figures, as fractions."""
        return {
            "draws": DRAWS,
            "level": LEVEL,
            "notes": self.notes,
            "files": [
                {
                    **{"language": c.language, "file": c.filename, "rows": c.n_rows},
                    "left_out": c.n_left_out,
                    "truncated": c.truncated,
                    "systems": {
                        s.name: {
                            **{name: asdict(rate) for name, rate in s.rates.items()},
                            "gain": None if s.gain is None else asdict(s.gain),
                        }
                        for s in c.systems
                    },
                    "differ": [
                        {"systems": list(pair), **asdict(share)}
                        for pair, share in c.differ.items()
                    ],
                }
                for c in self.files
            ],
        }


@dataclass(frozen=True)
class _Draws:
    """What was measured on each draw of a file."""

    rates: dict[str, dict[str, np.ndarray]]  # by the name of a system
    differ: dict[tuple[str, str], np.ndarray]


def compare_systems(
    evaluation: Evaluation, others: Sequence[SystemResults]
) -> Comparison:
    """evaluation (Evaluation): The results of the model.
    others (Sequence[SystemResults]): Those of other systems.
    RETURNS (Comparison): The figures of all, each on the rows that all of them have. A
        system without any row of a file isn't compared on it."""
    comparison = Comparison(notes=[note for other in others for note in _notes(other)])
    for language in evaluation.languages:
        _compare_language(evaluation.model, language, others, comparison)
    return comparison


def _compare_language(
    ours: str,
    result: LanguageResult,
    others: Sequence[SystemResults],
    comparison: Comparison,
) -> None:
    measured: list[_Draws] = []
    for scored in result.files:
        file = (result.language, scored.filename)
        present = [o for o in others if not np.isnan(o.scores[file]).all()]
        comparison.notes += _missing(file, others)
        if not present:
            continue
        scores = {ours: scored.probabilities.astype(np.float64)}
        flags = {ours: scored.probabilities > THRESHOLD}
        for other in present:
            scores[other.name], flags[other.name] = (
                other.scores[file],
                other.flags[file],
            )
        rows = np.isfinite(np.stack(list(scores.values()))).all(axis=0)
        if not rows.any():
            comparison.notes.append(f"{'/'.join(file)}: no row has results of all.")
            continue
        draws = _measure(scored.gold, scores, flags, np.asarray(rows))
        measured.append(draws)
        counts = int(rows.sum()), int((~rows).sum())
        parts = {ours: scored.truncated}
        parts |= {other.name: other.truncated[file] for other in present}
        truncated = {name: int(values[rows].sum()) for name, values in parts.items()}
        comparison.notes += _truncated(file, truncated)
        comparison.files.append(_to_figures(ours, file, counts, draws, truncated))
    names = {tuple(draws.rates) for draws in measured}
    if len(measured) > 1 and len(names) == 1:
        files = [c for c in comparison.files if c.language == result.language]
        counts = sum(c.n_rows for c in files), sum(c.n_left_out for c in files)
        draws, file = _average(measured), (result.language, AVERAGE)
        truncated = {
            name: sum(c.truncated[name] for c in files) for name in draws.rates
        }
        comparison.files.append(_to_figures(ours, file, counts, draws, truncated))


def _measure(
    gold: np.ndarray,
    scores: Mapping[str, np.ndarray],
    flags: Mapping[str, np.ndarray],
    rows: np.ndarray,
) -> _Draws:
    weights = draw_weights(int(rows.sum()))
    rates = {
        name: weigh_rates(gold[rows], scores[name][rows], flags[name][rows], weights)
        for name in scores
    }
    differ = {
        (one, other): weights @ (flags[one] != flags[other])[rows] / rows.sum()
        for one, other in combinations(scores, 2)
    }
    return _Draws(rates, differ)


def _average(files: Sequence[_Draws]) -> _Draws:
    """As in the paper, files count the same, however many rows they have."""

    def mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
        with warnings.catch_warnings():  # undefined on every file
            warnings.simplefilter("ignore", RuntimeWarning)
            return np.asarray(np.nanmean(np.stack(arrays), axis=0))

    first = files[0]
    rates = {
        name: {rate: mean([f.rates[name][rate] for f in files]) for rate in RATES}
        for name in first.rates
    }
    return _Draws(rates, {p: mean([f.differ[p] for f in files]) for p in first.differ})


def _to_figures(
    ours: str,
    file: File,
    counts: tuple[int, int],
    draws: _Draws,
    truncated: dict[str, int],
) -> FileComparison:
    baseline = draws.rates[ours]["f1"]
    systems = tuple(
        SystemFigures(
            name,
            {rate: estimate(values) for rate, values in rates.items()},
            None if name == ours else estimate(rates["f1"] - baseline),
        )
        for name, rates in draws.rates.items()
    )
    differ = {pair: estimate(values) for pair, values in draws.differ.items()}
    return FileComparison(*file, *counts, systems, differ, truncated)


def _notes(other: SystemResults) -> list[str]:
    notes = []
    if other.broken:
        more = ", …" if len(other.broken) > 5 else ""
        shown = f"{'; '.join(other.broken[:5])}{more}"
        notes.append(f"{other.name}: {len(other.broken)} lines can't be read: {shown}.")
    if other.n_other:
        notes.append(f"{other.name}: {other.n_other} results belong to no row.")
    if other.n_ambiguous:
        notes.append(
            f"{other.name}: {other.n_ambiguous} texts have several results that "
            "differ. The highest score counts."
        )
    return notes


def _missing(file: File, others: Sequence[SystemResults]) -> list[str]:
    notes = []
    for other in others:
        missing = np.isnan(other.scores[file])
        if missing.all():
            notes.append(f"{other.name}: no results for {'/'.join(file)}.")
        elif missing.any():
            count = f"{int(missing.sum())} of {len(missing)} rows"
            notes.append(
                f"{other.name}: no results for {count} of {'/'.join(file)}. They are "
                "left out for all systems."
            )
    return notes


def _truncated(file: File, counts: Mapping[str, int]) -> list[str]:
    return [
        f"{name}: {count} rows of {'/'.join(file)} are truncated, so a part of their "
        "texts was not scored."
        for name, count in counts.items()
        if count
    ]
