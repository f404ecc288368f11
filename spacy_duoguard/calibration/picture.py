"""Draw a calibration."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..engine.checkpoint.files import write_aside
from .thresholds import Calibration, OperatingPoints

_COLUMNS = 4  # of panels
_PANEL = (2.9, 2.4)  # inches
_MARGIN = 0.03  # so that lines at 0 and 1 don't run along the axes


def has_matplotlib() -> bool:
    """RETURNS (bool): Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def best_precision(points: OperatingPoints) -> tuple[np.ndarray, np.ndarray]:
    """points (OperatingPoints): Those of one category, with positive texts.
    RETURNS (Tuple[ndarray, ndarray]): Each recall that a threshold can have, in
        ascending order, and the highest precision with it. The points left out flag
        more safe texts and no more unsafe ones."""
    flags_any = points.flagged > 0
    recall, precision = points.recall[flags_any], points.precision[flags_any]
    levels = np.unique(recall)
    return levels, np.array([precision[recall == level].max() for level in levels])


def save_picture(calibration: Calibration, path: Path) -> None:
    """Draw the precision-recall curve of each category that has positive and negative
    texts, with a dot at the chosen threshold. Each has a panel of its own: good curves
    lie on top of each other, at a precision or recall of 1.

    calibration (Calibration): The chosen thresholds.
    path (Path): The PNG file.
    """
    from matplotlib.figure import Figure  # no pyplot: it would look for a display

    choices = [c for c in calibration.choices if c.points.positives]
    choices = [c for c in choices if c.points.negatives]
    columns = min(_COLUMNS, max(1, len(choices)))
    rows = max(1, -(-len(choices) // columns))
    size = (max(4.0, _PANEL[0] * columns), 0.5 + _PANEL[1] * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    limits = (-_MARGIN, 1 + _MARGIN)
    for choice, axes in zip(choices, panels, strict=False):
        points, i = choice.points, choice.new_point
        recall, precision = best_precision(points)
        axes.plot(recall, precision, drawstyle="steps-pre")
        if points.flagged[i]:
            axes.plot(points.recall[i], points.precision[i], "o", color="C1")
        axes.set(xlim=limits, ylim=limits)
        axes.set_title(f"{choice.label} > {choice.new:g}", fontsize="medium")
        axes.grid(alpha=0.3)
    for axes in list(figure.axes)[len(choices) :]:
        axes.set_axis_off()
    figure.supxlabel("recall (dot: the chosen threshold)", fontsize="medium")
    figure.supylabel("precision", fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_aside(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
