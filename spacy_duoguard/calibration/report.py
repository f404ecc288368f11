"""Show a calibration as a table for the terminal."""

import numpy as np
from wasabi.tables import table
from wasabi.util import can_render

from ..taxonomy import UNSAFE
from .thresholds import Calibration, FlagCounts, Goal, OperatingPoints, ThresholdChoice

_BARS = "▁▂▃▄▅▆▇█"
_HEADER = (
    *("category", "pos", "neg", "old", "new", "P", "R", "F1", "FPR"),
    *("P at R 0.1 ... 1", ""),
)
_ALIGNS = ("l", *"rrrrrrrr", "l", "l")


def format_report(calibration: Calibration, goal: Goal) -> str:
    """calibration (Calibration): The chosen thresholds.
    goal (Goal): What they were chosen for.
    RETURNS (str): A table with one row per category: the numbers of positive and
        negative texts, the thresholds, the measures of the new one, and the
        precision-recall curve as bars."""
    rows = [_format_choice(choice) for choice in calibration.choices]
    flags = [
        _format_flags("before", calibration.unsafe_before),
        _format_flags("after", calibration.unsafe_after),
    ]
    lines = [
        f"Thresholds chosen for {goal}. The figures are for the texts they were "
        "chosen on:",
        table(rows, header=_HEADER, divider=True, aligns=_ALIGNS),
        "Texts flagged for any category, before and after:",
        table(flags, header=("", "unsafe texts", "safe texts"), divider=True),
        *_advise(calibration, goal),
    ]
    return "\n".join(lines)


def _advise(calibration: Calibration, goal: Goal) -> list[str]:
    """How to bound the false positives of all categories together."""
    counts, target = calibration.unsafe_after, goal.target_fpr
    by_category = [choice.label for choice in calibration.choices] != [UNSAFE]
    if target is None or not by_category or not counts.negatives:
        return []
    share = counts.false_positives / counts.negatives
    if share <= target:
        return []
    return [
        f"The target holds for each category. Together, they flag {share:.1%} of the "
        f"safe texts. To flag at most {target:.1%} for any category, add --unsafe.\n"
    ]


def _format_choice(choice: ThresholdChoice) -> tuple[str, ...]:
    points, i = choice.points, choice.new_point
    note = f"kept: {choice.kept}" if choice.kept else ""
    if not note and not points.true_positives[i]:
        note = "flags no positive text"
    return (
        choice.label,
        str(points.positives),
        str(points.negatives),
        f"{choice.old:g}",
        f"{choice.new:g}",
        _number(points.precision[i]) if points.positives and points.flagged[i] else "-",
        _number(points.recall[i]),
        _number(points.f1[i]) if points.positives else "-",
        _number(points.fpr[i]),
        draw_curve(points),
        note,
    )


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _format_flags(when: str, counts: FlagCounts) -> tuple[str, str, str]:
    def share(count: int, total: int) -> str:
        return f"{count} of {total} ({count / total:.1%})" if total else "none labelled"

    return (
        when,
        share(counts.true_positives, counts.positives),
        share(counts.false_positives, counts.negatives),
    )


def draw_curve(points: OperatingPoints) -> str:
    """points (OperatingPoints): Those of one category.
    RETURNS (str): Ten bars, or digits if the terminal has no bars: the best precision
        at a recall of at least 0.1, 0.2, … 1.0."""
    if not points.positives or not points.negatives:
        return ""
    bars = _BARS if can_render(_BARS) else "0123456789"
    curve = ""
    for level in range(1, 11):
        enough = points.true_positives * 10 >= level * points.positives
        best = points.precision[enough].max() if enough.any() else 0.0
        curve += bars[min(int(best * len(bars)), len(bars) - 1)]
    return curve
