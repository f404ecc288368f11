"""Show a comparison of systems: a table, and a picture."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from wasabi.tables import table

from ..engine.checkpoint.files import write_aside
from .bootstrap import DRAWS, LEVEL, Estimate
from .report import load_matplotlib
from .systems import Comparison, FileComparison

_HEADER = (
    *("file", "rows", "system", "F1", "precision", "recall", "FPR", "AUROC"),
    *("F1 - ours", "other flags"),
)
_PANELS = (("f1", "F1"), ("auroc", "AUROC"), ("fpr", "false positive rate"))


def format_comparison(comparison: Comparison) -> str:
    """comparison (Comparison): The systems.
    RETURNS (str): A table with a row per file and system, the shares of rows where two
        systems differ, and what was left out."""
    lines = [
        f"Systems on the same rows, in per cent, with {LEVEL:.0%} intervals from "
        f"{DRAWS} bootstrap draws of the rows. 'F1 - ours' and 'other flags' compare "
        "with the first system of the file:"
    ]
    rows = [row for file in comparison.files for row in _rows(file)]
    aligns = ("l", "r", "l", *"rrrrrrr")
    lines.append(table(rows, header=_HEADER, divider=True, aligns=aligns, max_col=50))
    lines += _other_pairs(comparison)
    return "\n".join([*lines, *comparison.notes])


def _rows(file: FileComparison) -> Iterator[tuple[str, ...]]:
    name, count = f"{file.language}/{file.filename}", str(file.n_rows)
    ours = file.systems[0].name
    for system in file.systems:
        rates = system.rates
        differ = file.differ.get((ours, system.name))
        yield (
            *(name, count, system.name),
            *(_interval(rates["f1"]), _value(rates["precision"])),
            *(_value(rates["recall"]), _interval(rates["fpr"])),
            _interval(rates["auroc"]),
            "" if system.gain is None else _interval(system.gain, sign="+"),
            "" if differ is None else _interval(differ),
        )
        name = count = ""


def _other_pairs(comparison: Comparison) -> Iterator[str]:
    for file in comparison.files:
        ours = file.systems[0].name
        for (one, other), share in file.differ.items():
            if one != ours:
                place = f"{file.language}/{file.filename}"
                share_text = _interval(share)
                yield f"{place}: {one} and {other} differ on {share_text} of the rows."


def _value(estimate: Estimate, *, sign: str = "") -> str:
    return "-" if estimate.value is None else f"{100 * estimate.value:{sign}.1f}"


def _interval(estimate: Estimate, *, sign: str = "") -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    low, high = (f"{100 * end:{sign}.1f}" for end in (estimate.low, estimate.high))
    return f"{_value(estimate, sign=sign)} [{low}, {high}]"


def system_pictures(folder: Path, languages: Iterable[str]) -> list[Path]:
    """folder (Path): The folder for the PNG files.
    languages (Iterable[str]): The languages.
    RETURNS (List[Path]): The pictures that may be written."""
    return [folder / f"{language}-systems.png" for language in languages]


def save_system_pictures(comparison: Comparison, folder: Path) -> list[Path]:
    """Draw the figures of all systems with their intervals, a picture per language.

    comparison (Comparison): The systems.
    folder (Path): The folder for the PNG files, created if it doesn't exist.
    RETURNS (List[Path]): The pictures.
    RAISES (SettingsError): matplotlib is not installed.
    """
    figure_class = load_matplotlib()
    folder.mkdir(parents=True, exist_ok=True)
    languages = dict.fromkeys(file.language for file in comparison.files)
    pictures = system_pictures(folder, languages)
    for language, path in zip(languages, pictures, strict=True):
        files = [file for file in comparison.files if file.language == language]
        figure = _draw(files, figure_class)
        with write_aside(path) as aside:
            figure.savefig(aside, dpi=150, format="png")
    return pictures


def _draw(files: list[FileComparison], figure_class: Callable[..., Any]) -> Any:
    names = list(dict.fromkeys(s.name for file in files for s in file.systems))
    height = 1.3 + 0.26 * len(files) * (len(names) + 1)
    figure = figure_class(figsize=(11, height), layout="constrained")
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, (rate, title) in zip(panels, _PANELS, strict=True):
        for i, name in enumerate(names):
            _draw_system(axes, files, name, rate, offset=(i + 1) / (len(names) + 1))
        axes.set(xlim=(-2, 102), title=title, xlabel="per cent")
        axes.grid(axis="x", alpha=0.3)
        for line in range(1, len(files)):
            axes.axhline(line, color="0.8", linewidth=0.8)
    labels = [f"{file.filename.split('.')[0]}\n{file.n_rows:,} rows" for file in files]
    panels[0].set_yticks([i + 0.5 for i in range(len(files))], labels, fontsize="small")
    panels[0].set_ylim(len(files), 0)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=len(names),
        title=f"{files[0].language}; bars are {LEVEL:.0%} intervals",
    )
    return figure


def _draw_system(
    axes: Any, files: list[FileComparison], name: str, rate: str, *, offset: float
) -> None:
    points: list[tuple[float, float, float, float]] = []
    for i, file in enumerate(files):
        for e in (s.rates[rate] for s in file.systems if s.name == name):
            if e.value is not None and e.low is not None and e.high is not None:
                points.append((100 * e.value, 100 * e.low, 100 * e.high, i + offset))
    values, lows, highs, heights = zip(*points, strict=True) if points else [()] * 4
    left = [max(v - low, 0.0) for v, low in zip(values, lows, strict=True)]
    right = [max(high - v, 0.0) for v, high in zip(values, highs, strict=True)]
    axes.errorbar(values, heights, xerr=[left, right], fmt="o", capsize=3, label=name)
