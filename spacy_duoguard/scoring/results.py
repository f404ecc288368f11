"""Results of scored records: plain data, the same for every output format."""

import base64
import datetime
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spacy.tokens import Doc

from ..engine.conversation import Conversation
from ..engine.decisions import ALLOW, BLOCK, REVIEW, Decision
from ..engine.verdict import ERROR, STATUSES, Verdict
from ..pipeline.attributes import get_decided_spans, show_turn
from .record import Record

# In the order in which they are written; those after `sentences` only on request, or
# for conversations.
FIELDS: tuple[str, ...] = (
    "record",
    "error",
    "cats",
    "flags",
    "status",
    "sentences",
    "action",
    "reason",
    "scored_text",
    "turns",
    "curve",
    "first_unsafe",
    "read_as",
)

SCORED: tuple[str, ...] = tuple(status for status in STATUSES if status != ERROR)

_STEPS = 1_000_000  # six decimals


@dataclass(frozen=True)
class Counts:
    """How far a run has come."""

    done: int = 0  # records of the input, including those of the run it resumes
    flagged: int = 0  # with at least one flag, as every failed record has
    failed: int = 0
    truncated: int = 0
    categories: Mapping[str, int] = field(default_factory=dict)  # flags of scored texts
    reviewed: int = 0  # texts to review
    failed_before: bool = False  # whether the run it resumes could not score a record
    flagged_in_part: int = 0  # without a flag, but with a flagged sentence or turn
    reviewed_in_part: int = 0  # allowed, but with a sentence or turn to review

    def add(self, results: Sequence[Mapping[str, Any]]) -> "Counts":
        """results (Sequence[Mapping[str, Any]]): More results: their `status`, `flags`,
            `action`, `sentences` and `turns` are enough.
        RETURNS (Counts): The counts with those results."""
        scored = [result for result in results if result["status"] in SCORED]
        flags = Counter(flag for result in scored for flag in result["flags"])
        parts = Counter(map(_worst_part, scored))
        return Counts(
            self.done + len(results),
            self.flagged + sum(bool(result["flags"]) for result in results),
            self.failed + len(results) - len(scored),
            self.truncated + sum(r["status"] == "truncated" for r in scored),
            Counter(self.categories) + flags,
            self.reviewed + sum(r.get("action") == REVIEW for r in scored),
            self.failed_before,
            self.flagged_in_part + parts[BLOCK],
            self.reviewed_in_part + parts[REVIEW],
        )


def _worst_part(result: Mapping[str, Any]) -> str | None:
    """What is to be done with a part of a text, if that is worse than what the flags
    and the action of the text say: `BLOCK`, `REVIEW` or None."""
    if result["flags"]:
        return None
    sentences, turns = result.get("sentences") or (), result.get("turns") or ()
    reviewed = [part.get("action") == REVIEW for part in (*sentences, *turns)]
    # Only those that are flagged or to be reviewed are among the sentences.
    if not all(reviewed[: len(sentences)]) or any(turn["flags"] for turn in turns):
        return BLOCK
    return REVIEW if any(reviewed) and result.get("action") == ALLOW else None


@dataclass(frozen=True)
class Columns:
    """What results include on request."""

    actions: bool = False  # what to do with each text
    curve: bool = False  # the risk curve
    views: bool = False  # how texts read otherwise
    turns: bool = False  # for Parquet: whether there are conversations


NOTHING = Columns()


def output_names(names: Sequence[str]) -> list[str]:
    """Rename the fields of an input that have the name of a result's field.

    names (Sequence[str]): The names in the input.
    RETURNS (List[str]): The names in the output: "input_" and the name, where that is
        the name of a field of results or such a renamed one. Each name depends on
        nothing else, so that the records of an input agree.
    """
    return [f"input_{name}" if _is_result(name) else name for name in names]


def _is_result(name: str) -> bool:
    while name not in FIELDS and name.startswith("input_"):
        name = name[len("input_") :]
    return name in FIELDS


def _input_fields(record: Record) -> dict[str, Any]:
    names = output_names(list(record.fields))
    return dict(zip(names, record.fields.values(), strict=True))


def make_result(
    record: Record, verdict: Verdict, doc: Doc | None, columns: Columns = NOTHING
) -> dict:
    """Make the result of a record. Its scores are rounded up to six decimals, after the
    flags were decided: no score is below the true one.

    record (Record): The record.
    verdict (Verdict): What it is: scored, or marked unsafe.
    doc (Optional[Doc]): Its doc, if it was scored.
    columns (Columns): What to include.
    RETURNS (Dict): The fields of the record, those that could be read, then those of
        the result.
    """
    result = _input_fields(record)
    scored = doc if verdict.is_scored else None
    if scored is None:
        result["record"] = record.number
        result["error"] = verdict.problem
    sentences = [] if scored is None else get_decided_spans(scored)
    result["cats"] = _round_all(verdict.cats)
    result["flags"] = verdict.flags
    result["status"] = verdict.status
    result["sentences"] = [_round_span(*span, columns) for span in sentences]
    if columns.actions:
        result |= _round_decision(verdict.decision)
    if record.conversation is not None:
        result["scored_text"] = record.text
        result["turns"] = _make_turns(record.conversation, verdict, scored, columns)
    if columns.curve:
        result |= _make_curve(scored)
    if columns.views:
        result["read_as"] = [] if scored is None else _readings(scored)
    return result


def _make_curve(doc: Doc | None) -> dict[str, Any]:
    """The curve of a scored doc, and where it was flagged first."""
    points = [] if doc is None else doc._.duoguard_curve or []
    curve = {
        "end": [point["end"] for point in points],
        "unsafe": [round_up(max(point["probs"])) for point in points],
    }
    first = 0 if doc is None else doc._.duoguard_first_unsafe
    return {"curve": curve, "first_unsafe": first}


def _make_turns(
    conversation: Conversation, verdict: Verdict, doc: Doc | None, columns: Columns
) -> list[dict[str, Any]]:
    """The turns of a conversation. Without scores, none of them is scored."""
    scored = None if doc is None else doc._.duoguard_turns
    if scored is None:
        scored = [show_turn(span, verdict) for span in conversation.spans]
    turns = []
    for turn in scored:
        action, reason = turn.pop("action"), turn.pop("reason")
        cats = turn["cats"]
        turn["cats"] = None if cats is None else _round_all(cats)
        if columns.actions:
            margin = None if reason is None else reason["margin"]
            if margin is not None:
                reason["margin"] = round_up(margin)
            turn |= {"action": action, "reason": reason}
        turns.append(turn)
    return turns


def _round_span(
    span: Mapping[str, Any], decision: Decision, columns: Columns
) -> dict[str, Any]:
    rounded = {**span, "cats": _round_all(span["cats"])}
    return rounded | (_round_decision(decision) if columns.actions else {})


def _round_decision(decision: Decision) -> dict[str, Any]:
    reason, margin = decision.reason, decision.margin
    if margin is not None:
        reason["margin"] = round_up(margin)
    return {"action": decision.action, "reason": reason}


def _readings(doc: Doc) -> list[dict[str, Any]]:
    """What was scored beside the text itself."""
    return [
        {
            "view": window["view"],
            "start": window["start"],
            "end": window["end"],
            "unsafe": round_up(max(window["probs"])),
            "text": window["read_as"],
        }
        for window in doc._.duoguard_windows or ()
        if "read_as" in window
    ]


def _round_all(cats: Mapping[str, float]) -> dict[str, float]:
    return {label: round_up(score) for label, score in cats.items()}


def round_up(score: float) -> float:
    """score (float): A probability.
    RETURNS (float): The lowest number with six decimals that is not below it."""
    steps = round(score * _STEPS)
    rounded = steps / _STEPS
    return rounded if rounded >= score else (steps + 1) / _STEPS


def to_plain(value: Any) -> Any:
    """value (Any): The value of a cell in a table.
    RETURNS (Any): The closest JSON value: null for NaN and infinity, ISO 8601 for dates
        and times, base64 for bytes, else the value as a string."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)


def agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """one (Mapping[str, Any]), other (Mapping[str, Any]): Two results of a record.
    RETURNS (bool): Whether they are equal, or one is that of a failure: an error that
        has passed doesn't show that anything else has changed."""
    has_failed = ERROR in (one.get("status"), other.get("status"))
    return has_failed or repr(one) == repr(other)
