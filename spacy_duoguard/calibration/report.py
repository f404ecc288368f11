"""What a calibration looks like: a table for the terminal and a picture."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from wasabi.tables import table
from wasabi.util import can_render

from .thresholds import Calibration, Choice, Cuts, FlagCounts, Goal

_BARS = "▁▂▃▄▅▆▇█"
_HEADER = (
    "category",
    "pos",
    "neg",
    "old",
    "new",
    "P",
    "R",
    "F",
    "FPR",
    "P at R 0.1 ... 1",
    "",
)
_ALIGNS = ("l", *"rrrrrrrr", "l", "l")


def format_report(found: Calibration, goal: Goal) -> str:
    """found (Calibration): What was chosen.
    goal (Goal): What for.
    RETURNS (str): A table with a row for each category: positive and negative texts,
        thresholds, what the new one gives on these texts, and the precision-recall
        curve in bars."""
    rows = [_format_choice(choice) for choice in found.choices]
    lines = [
        f"Chosen for {goal}, on the texts that these figures are of:",
        table(rows, header=_HEADER, divider=True, aligns=_ALIGNS),
        "Texts that are flagged at all, before and after:",
        table(
            [
                _format_flags("before", found.unsafe_before),
                _format_flags("after", found.unsafe_after),
            ],
            header=("", "unsafe texts", "safe texts"),
            divider=True,
        ),
    ]
    return "\n".join(lines)


def _format_choice(choice: Choice) -> tuple[str, ...]:
    cuts, row = choice.cuts, choice.row(choice.new)
    flagged = cuts.hits[row] + cuts.false[row]
    note = f"kept: {choice.kept}" if choice.kept else ""
    if not note and not cuts.hits[row]:
        note = "flags no positive text"
    return (
        choice.label,
        str(cuts.positives),
        str(cuts.negatives),
        f"{choice.old:g}",
        f"{choice.new:g}",
        _number(cuts.precision[row]) if cuts.positives and flagged else "-",
        _number(cuts.recall[row]),
        _number(cuts.f[row]) if cuts.positives else "-",
        _number(cuts.fpr[row]),
        draw_curve(cuts),
        note,
    )


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _format_flags(when: str, counts: FlagCounts) -> tuple[str, str, str]:
    def share(part: int, whole: int) -> str:
        return f"{part} of {whole} ({part / whole:.1%})" if whole else "none labelled"

    return (
        when,
        share(counts.hits, counts.positives),
        share(counts.false, counts.negatives),
    )


def draw_curve(cuts: Cuts) -> str:
    """cuts (Cuts): Of one category.
    RETURNS (str): Ten bars or, where the terminal has none, digits: the best precision
        at a recall of at least 0.1, 0.2, … 1.0."""
    if not cuts.positives or not cuts.negatives:
        return ""
    bars = _BARS if can_render(_BARS) else "0123456789"
    curve = ""
    for level in range(1, 11):
        enough = cuts.hits * 10 >= level * cuts.positives
        best = cuts.precision[enough].max() if enough.any() else 0.0
        curve += bars[min(int(best * len(bars)), len(bars) - 1)]
    return curve


def has_matplotlib() -> bool:
    """RETURNS (bool): Whether pictures can be made."""
    return find_spec("matplotlib") is not None


def save_picture(found: Calibration, path: Path) -> None:
    """Draw the precision-recall curve of each category that has both classes, with the
    chosen threshold as a dot.

    found (Calibration): What was chosen.
    path (Path): The PNG file.
    """
    from matplotlib.figure import Figure  # no pyplot: it would look for a display

    drawn = [own for own in found.choices if own.cuts.positives and own.cuts.negatives]
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots()
    for choice in drawn:
        cuts, row = choice.cuts, choice.row(choice.new)
        flagged = cuts.hits + cuts.false > 0
        label = f"{choice.label} > {choice.new:g}"
        (line,) = axes.plot(
            cuts.recall[flagged],
            cuts.precision[flagged],
            drawstyle="steps-pre",
            label=label,
        )
        axes.plot(cuts.recall[row], cuts.precision[row], "o", color=line.get_color())
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    figure.legend(loc="outside right upper", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, format="png")
