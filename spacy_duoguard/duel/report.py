"""The report of a duel: which guard to keep, and every figure behind that."""

from pathlib import Path
from typing import Any

from .measuring import figures_of
from .picture import save_picture
from .private_files import write_json
from .rounds import Duel


def make_report(duel: Duel, end: str, *, left_out: int) -> dict[str, Any]:
    """duel (Duel): A duel that has ended.
    end (str): Why.
    left_out (int): Seeds that resemble dev texts.
    RETURNS (Dict[str, Any]): What `report.json` says. It holds no texts."""
    played = [steps for steps in duel.rounds if "measured" in steps]
    failed = sum(
        sum(steps[step]["failed"].values())
        for steps in duel.rounds
        for step in ("generated", "judged")
        if step in steps
    )
    not_scored = sum(
        steps["scored"]["not scored"] for steps in duel.rounds if "scored" in steps
    )
    return {
        "ended": end,
        "kept": _choose(duel, played),
        "seeds": {
            "texts": len(duel.seeds),
            "unsafe": sum(seed.unsafe for seed in duel.seeds),
            "left out, as they resemble dev": left_out,
        },
        "failed requests": failed,
        "texts not scored": not_scored,
        "first guard": figures_of(duel.scores[0]),
        "rounds": duel.rounds,
    }


def _choose(duel: Duel, played: list[dict[str, Any]]) -> dict[str, Any]:
    """Which guard is kept. "learned": of guards that differ by no more than the noise
    of dev, the one that has learned most. "best": the one with the highest AUROC."""
    candidates = [
        number
        for number, steps in enumerate(played, 1)
        if steps["trained"]["guard"] and not steps["measured"]["fell"]
    ]
    areas = [figures_of(scores)["auroc"] for scores in duel.scores]
    best = max([0, *candidates], key=lambda number: (areas[number], number))
    chosen = best
    if duel.settings.rounds.keep == "learned":
        chosen = candidates[-1] if candidates else 0
    guard = played[chosen - 1]["trained"]["guard"] if chosen else None
    return {"round": chosen, "guard": guard, "highest AUROC on dev in round": best}


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """folder (Path): The folder of the duel, for `report.json` and `report.png`.
    report (Dict[str, Any]): The report."""
    write_json(folder / "report.json", report)
    save_picture(report, folder / "report.png")
