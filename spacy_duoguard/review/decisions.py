"""Read what was decided about a record: to allow, to review or to block it."""

from collections.abc import Collection, Mapping
from typing import Any

from ..engine.decisions import ACTIONS, ALLOW, BLOCK, Decision
from ..engine.verdict import ContradictionError, Verdict

FIELDS: tuple[str, ...] = ("action", "reason")


def has_decision(record: Mapping[str, Any]) -> bool:
    """record (Mapping[str, Any]): The content of a line.
    RETURNS (bool): Whether its action is of `score`. In results without decisions, a
        field of the input can have that name."""
    reason = record.get("reason")
    return record.get("action") in ACTIONS and (
        isinstance(reason, Mapping) and {"category", "margin"} <= set(reason)
    )


def read_decision(record: Mapping[str, Any], verdict: Verdict) -> Decision | None:
    """record (Mapping[str, Any]): The content of a line.
    verdict (Verdict): What its scores are.
    RETURNS (Optional[Decision]): None if nothing was decided.
    RAISES (ContradictionError): It isn't that of the flags, or invalid."""
    if not has_decision(record):
        return None
    action, reason = record["action"], record["reason"]
    if verdict.flags and action != BLOCK:
        raise ContradictionError("the record is flagged, but not blocked")
    if action == BLOCK and not verdict.flags:
        raise ContradictionError("the record is blocked, but not flagged")
    category, margin = reason["category"], reason["margin"]
    if category is None and margin is None:
        return Decision(action, None, None)
    if not _is_known(category, verdict.labels) or not _is_margin(margin):
        raise ContradictionError("the reason is not a category and a margin")
    if (margin > 0.0 and action == ALLOW) or (margin < 0.0 and action != ALLOW):
        raise ContradictionError("the action contradicts the margin")
    return Decision(action, category, float(margin))


def _is_known(category: Any, labels: Collection[str]) -> bool:
    return isinstance(category, str) and category in labels


def _is_margin(margin: Any) -> bool:
    return type(margin) in (int, float) and -1.0 <= margin <= 1.0
