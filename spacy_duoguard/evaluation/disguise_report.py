"""Show what disguises do: tables for the terminal, and a picture."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from wasabi.tables import table

from ..engine.checkpoint.files import write_aside
from ..engine.text.views.view import TEXT
from .disguised import (
    ALL,
    LEAST_SCORE,
    MOST_CHARS,
    DisguiseReport,
    LanguageDisguises,
)
from .rates import Rate
from .report import load_matplotlib

_NAME = "disguises"


def format_disguises(report: DisguiseReport) -> str:
    """report (DisguiseReport): The results.
    RETURNS (str): Two tables for each language: the attacks and the safe texts."""
    lines = []
    for result in report.languages:
        lines += [
            "",
            f"{result.language}: unsafe texts that pass in disguise, in per cent with "
            f"95 % intervals, of {result.texts} that are scored above {LEAST_SCORE:g} "
            f"and have at most {MOST_CHARS} characters",
            _format_attacks(result, report.readings),
            f"{result.language}: safe texts that are flagged, in per cent, and those "
            "that a view adds, with 95 % intervals",
            _format_safe(result, report.readings),
        ]
    return "\n".join(lines)


def _format_attacks(result: LanguageDisguises, readings: Iterable[str]) -> str:
    rows = [
        (of.disguise.name, *(_cell(of.success[name]) for name in readings))
        for of in result.disguises
    ]
    return _table(("disguise", *readings), rows)


def _format_safe(result: LanguageDisguises, readings: Iterable[str]) -> str:
    views = [name for name in readings if name != TEXT]
    rows = [
        (
            of.filename,
            str(of.flagged[TEXT].total) if of.flagged else "0",
            _percent(of.flagged.get(TEXT)),
            *(_cell(of.added[name]) if of.added else "-" for name in views),
        )
        for of in (*result.safe, result.all_safe())
    ]
    header = ("file", "safe", TEXT, *(f"+ {name}" for name in views))
    return _table(header, rows)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    aligns: Any = ("l", *("r" for _ in header[1:]))
    return table(rows, header=header, divider=True, aligns=aligns, max_col=50)


def _percent(rate: Rate | None) -> str:
    value = None if rate is None else rate.value
    return "-" if value is None else f"{100 * value:.1f}"


def _cell(rate: Rate) -> str:
    low, high = rate.interval
    return f"{_percent(rate)} ({100 * low:.1f}–{100 * high:.1f})"


def disguise_pictures(folder: Path, languages: Iterable[str]) -> list[Path]:
    """folder (Path): The folder for the PNG files.
    languages (Iterable[str]): The languages.
    RETURNS (List[Path]): The pictures that may be written."""
    return [folder / f"{language}-{_NAME}.png" for language in languages]


def save_disguise_pictures(report: DisguiseReport, folder: Path) -> list[Path]:
    """Draw how often each disguise succeeds, as the texts are and with all views.

    report (DisguiseReport): The results.
    folder (Path): The folder for the PNG files, created if it doesn't exist.
    RETURNS (List[Path]): The pictures, one for each language.
    RAISES (SettingsError): matplotlib is not installed.
    """
    figure_class = load_matplotlib()
    folder.mkdir(parents=True, exist_ok=True)
    languages = [result.language for result in report.languages]
    paths = disguise_pictures(folder, languages)
    for result, path in zip(report.languages, paths, strict=True):
        height = 1.5 + 0.24 * len(result.disguises)
        figure = figure_class(figsize=(8, height), layout="constrained")
        _draw(figure.subplots(), result)
        with write_aside(path) as aside:
            figure.savefig(aside, dpi=150, format="png")
    return paths


def _draw(axes: Any, result: LanguageDisguises) -> None:
    positions = np.arange(len(result.disguises))
    for name, label, shift, color in (
        (TEXT, "as it is", -0.17, "tab:gray"),
        (ALL, "with normalize", 0.17, "tab:blue"),
    ):
        rates = [of.success[name] for of in result.disguises]
        values = np.array([rate.value or 0.0 for rate in rates])
        low, high = np.array([rate.interval for rate in rates]).reshape(-1, 2).T
        errors = np.maximum(0.0, [values - low, high - values])
        axes.errorbar(
            values,
            positions + shift,
            xerr=errors,
            fmt="o",
            markersize=4,
            color=color,
            label=label,
        )
    axes.set_yticks(positions, [of.disguise.name for of in result.disguises])
    axes.invert_yaxis()
    axes.set(
        xlim=(-0.02, 1.02), xlabel="share of unsafe texts that pass, 95 % interval"
    )
    axes.set_title(f"{result.language}, {result.texts} texts")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
