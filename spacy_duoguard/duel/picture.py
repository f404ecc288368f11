"""Draw the report of a duel."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..engine.checkpoint.files import write_aside
from .private_files import FILE_MODE

_FIGURES = {"auroc": "AUROC", "f1": "F1", "fpr": "false positive rate"}
_GUARDS = {
    "first guard": "first guard",
    "before": "guard of the round, before training",
    "after": "after training",
}
_MOST = 5  # reasons that are drawn; the others are summed up


def save_picture(report: Mapping[str, Any], path: Path) -> bool:
    """Draw how often the guards were wrong, the figures on dev, and what became of the
    texts.

    report (Mapping[str, Any]): The report.
    path (Path): The PNG file.
    RETURNS (bool): Whether it was drawn: that takes matplotlib, and a round.
    """
    rounds = [steps for steps in report["rounds"] if "measured" in steps]
    if not rounds or find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure  # no pyplot: it would look for a display

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    panels = figure.subplots(2, 2)
    _draw_wrong(panels[0, 0], rounds)
    _draw_languages(panels[0, 1], rounds)
    _draw_dev(panels[1, 0], report["first guard"], rounds)
    _draw_texts(panels[1, 1], rounds)
    with write_aside(path, mode=FILE_MODE) as aside:
        figure.savefig(aside, dpi=120, format="png")
    return True


def _wrong(steps: Mapping[str, Any], guard: str, group: str) -> float:
    rates = steps["scored"]["wrong"].get(guard) or steps["measured"]["wrong after"]
    return rates[group]["wrong"] if group in rates else float("nan")


def _names(rounds: Sequence[Any]) -> list[str]:
    return [f"round {number}" for number in range(1, len(rounds) + 1)]


def _draw_bars(axes: Any, groups: Sequence[str], series: Mapping[str, Any]) -> None:
    width = 0.8 / len(series)
    for i, (label, values) in enumerate(series.items()):
        places = [x + (i - (len(series) - 1) / 2) * width for x in range(len(groups))]
        bars = axes.bar(places, values, width, label=label)
        axes.bar_label(bars, fmt="%.2f", fontsize="small")
    axes.set_xticks(range(len(groups)), groups)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _draw_wrong(axes: Any, rounds: Sequence[Any]) -> None:
    series = {
        label: [_wrong(steps, guard, "all") for steps in rounds]
        for guard, label in _GUARDS.items()
    }
    _draw_bars(axes, _names(rounds), series)
    axes.set(ylim=(0, 1.3), title="Wrong about the round's texts")
    axes.legend(fontsize="small", loc="upper center", ncols=1)


def _draw_languages(axes: Any, rounds: Sequence[Any]) -> None:
    languages = dict.fromkeys(
        name for steps in rounds for name in steps["measured"]["wrong after"]
    )
    groups = [name for name in languages if name != "all"]
    series = {}
    for number, steps in enumerate(rounds, 1):
        for guard in ("before", "after"):
            values = [_wrong(steps, guard, group) for group in groups]
            series[f"round {number}, {guard}"] = values
    _draw_bars(axes, groups, series)
    axes.set(ylim=(0, 1.3), title="Wrong, by language")
    axes.legend(fontsize="small", loc="upper center", ncols=2)


def _draw_dev(axes: Any, first: Mapping[str, Any], rounds: Sequence[Any]) -> None:
    numbers = list(range(len(rounds) + 1))
    guards = [first, *(steps["measured"]["dev"]["after"] for steps in rounds)]
    changes = [steps["measured"]["change since the start"] for steps in rounds]
    for i, (name, label) in enumerate(_FIGURES.items()):
        if any(guard[name] is None for guard in guards):
            continue
        values = [guard[name] for guard in guards]
        places = [number + 0.06 * (i - 1) for number in numbers]
        below = [
            0.0,
            *(max(0.0, c[name]["difference"] - c[name]["low"]) for c in changes),
        ]
        above = [
            0.0,
            *(max(0.0, c[name]["high"] - c[name]["difference"]) for c in changes),
        ]
        axes.errorbar(
            places, values, [below, above], marker="o", capsize=3, label=label
        )
    axes.set_xticks(numbers, ["first guard", *_names(rounds)])
    axes.set(ylim=(-0.03, 1.03), title="Dev (bars: 95% of the change since the start)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _draw_texts(axes: Any, rounds: Sequence[Any]) -> None:
    """What became of each text that was asked for."""
    fates = []
    for steps in rounds:
        answers = dict(steps["generated"]["answers"])
        answers.pop("text", None)
        fates.append({"kept": steps["judged"]["kept"]})
        fates[-1] |= steps["judged"]["dropped"]
        fates[-1] |= {f"no text: {kind}": n for kind, n in answers.items()}
    totals: dict[str, int] = {}
    for fate in fates:
        for reason, n in fate.items():
            totals[reason] = totals.get(reason, 0) + n
    reasons = sorted(totals, key=lambda reason: (reason != "kept", -totals[reason]))
    shown, others = reasons[: _MOST + 1], reasons[_MOST + 1 :]
    left = [0] * len(fates)
    for reason in [*shown, *(["others"] if others else [])]:
        members = others if reason == "others" else [reason]
        values = [sum(fate.get(member, 0) for member in members) for fate in fates]
        axes.barh(_names(rounds), values, left=left, label=reason)
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.invert_yaxis()
    axes.set(title="Texts asked for, by what became of them", xlabel="texts")
    axes.legend(
        fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2
    )
