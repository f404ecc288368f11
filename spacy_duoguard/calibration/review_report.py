"""Show what is blocked, reviewed and allowed as tables for the terminal."""

from wasabi.tables import table

from ..engine.decisions import ACTIONS, REVIEW
from .intervals import LEVEL, expected_range
from .review import (
    Actions,
    Cost,
    LabelledScores,
    Review,
    count_actions,
    list_costs,
    to_policy,
)
from .thresholds import Calibration, ThresholdChoice


def format_review(
    texts: LabelledScores,
    calibration: Calibration,
    review: Review,
    recall: float | None,
) -> str:
    """texts (LabelledScores): The texts that the thresholds were chosen on.
    calibration (Calibration), review (Review): The thresholds.
    recall (Optional[float]): What the review thresholds were chosen for; None if they
        were kept.
    RETURNS (str): What to expect of other texts; and if anything is reviewed, how many
        texts get each action, and what it costs to miss less."""
    policy = to_policy(texts.labels, calibration, review)
    lines = _format_expected(calibration, review)
    if policy.has_band:
        counts = count_actions(texts, policy)
        aim = (
            f" chosen for a recall of at least {recall:g}" if recall is not None else ""
        )
        lines += [
            f"Actions, with review thresholds{aim or ' as they were, or lowered'}:",
            _format_actions(counts),
        ]
        if recall is not None and not counts.every[REVIEW]:
            lines.append(
                "No text is left to review: as many are blocked as that recall needs."
            )
    if recall is not None:
        costs = list_costs(texts, calibration)
        lines += [
            "What it costs to miss less, with the same thresholds to block:",
            _format_costs(costs),
        ]
    return "\n".join(lines)


def _format_expected(calibration: Calibration, review: Review) -> list[str]:
    reviews = {choice.label: choice for choice in review.choices if not choice.kept}
    rows = [
        (choice.label, *_expect(choice), *_expect_review(reviews.get(choice.label)))
        for choice in calibration.choices
        if not choice.kept
    ]
    if not rows:
        return []
    header = ("category", "R", "FPR", "review above", "R with review")
    return [
        f"What to expect of as many other texts like these, {LEVEL:.0%} of the time:",
        table(rows, header=header, divider=True),
    ]


def _expect(choice: ThresholdChoice) -> tuple[str, str]:
    points, i = choice.points, choice.new_point
    return (
        _range(int(points.true_positives[i]), points.positives),
        _range(int(points.false_positives[i]), points.negatives),
    )


def _expect_review(choice: ThresholdChoice | None) -> tuple[str, str]:
    if choice is None:
        return "-", "-"
    return f"{choice.new:g}", _expect(choice)[0]


def _range(count: int, total: int) -> str:
    low, high = expected_range(count, total)
    return f"{count / total:.3f} ({low / total:.3f} to {high / total:.3f})"


def _format_actions(counts: Actions) -> str:
    columns = (counts.unsafe, counts.safe, counts.every)
    rows = []
    for action in reversed(ACTIONS):
        cells = [_share(column[action], sum(column.values())) for column in columns]
        rows.append((action, *cells))
    header = ("", "unsafe texts", "safe texts", "all texts")
    return table(rows, header=header, divider=True)


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({count / total:.1%})" if total else "none labelled"


def _format_costs(costs: list[Cost]) -> str:
    rows = [
        (
            f"{cost.allowed:.0%}",
            f"{cost.reviewed:.1%}",
            "-" if cost.missed is None else f"{cost.missed:.1%}",
        )
        for cost in costs
    ]
    header = ("missed at most", "texts to review", "unsafe texts allowed")
    return table(rows, header=header, divider=True)
