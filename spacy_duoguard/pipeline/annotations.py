"""What the component writes into a doc: the record that `attributes.py` reads, and that
`record_writer.py` writes.

Everything but `doc.cats` and `doc.spans` is one record of plain data in
`doc.user_data["duoguard"]`, and the extension attributes are getters over it. Its keys
are strings, because tuples would not survive `Doc.to_bytes`. Values that don't change
are tuples, which cost the garbage collector nothing; they come back as lists:

    length        the number of characters of the doc
    digest        of the text of the doc; empty if it was not scored
    labels        the categories, in the order of all lists of probabilities
    status        as `doc._.duoguard_status`
    flags         as `doc._.duoguard_flags`
    probs         the probabilities of the doc, as in `doc.cats`, which other components
                  can overwrite
    thresholds    those that decided the flags, of each category
    review_thresholds  likewise those that decided the action; None where there is none
    action        as `doc._.duoguard_action`
    windows       as `doc._.duoguard_windows`
    spans         probabilities of each scored span, by `span_id`
    span_flags    likewise the flagged categories of each
    span_actions  likewise the actions
    truncated_spans  a list of those of which a limit left out a part
    deltas        likewise its deltas, with that of `unsafe` last
    curve         {"ends": [...], "probs": [...]}, with an item per token in each; in
                  the attribute they are paired
    first_unsafe  as `doc._.duoguard_first_unsafe`
    turns         of a conversation: for each turn {"role", "start", "end", "status",
                  "probs", "flags", "action"}, the last three None if it is context
    component     the component that wrote the record
    spans_key     the group of `doc.spans` that it wrote; None if it scores no spans
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from spacy.tokens import Doc

from ..engine.decisions import BLOCK, Policy
from ..engine.flags import first_flag, flagged
from ..engine.text_scores import WindowScores
from ..engine.turn_scores import ScoredTurn
from ..engine.verdict import ERROR
from ..errors import Errors, ScoringError
from .doc_record import (
    judge_record,
    span_id,
    text_digest,
    text_length,
)
from .doc_scores import DocScores, ScoredSpan
from .record_writer import FlaggedSpans, SpansGroup, bind_record, write_record


def annotate(
    doc: Doc,
    scores: DocScores,
    policy: Policy,
    group: SpansGroup,
    patience: int,
    text: str | None = None,
) -> None:
    """Write scores into a doc. The keys of other components in `doc.cats` are kept.

    doc (Doc): The doc.
    scores (DocScores): Its scores.
    policy (Policy): The thresholds of each category, in order.
    group (SpansGroup): The component, and its group for flagged spans.
    patience (int): Number of consecutive tokens above a threshold that raise a flag in
        the curve.
    text (Optional[str]): The text that was scored; by default, that of the doc.
    RAISES (ScoringError): The scores contradict themselves, or are those of another
        text. The doc is unchanged.
    """
    flagged_spans = _flag_spans(scores, policy)
    record = make_record(
        scores, policy, group, patience, flagged_spans, length=text_length(doc)
    )
    if text is not None and not scores.has_failed:
        record["digest"] = text_digest(text)
    bind_record(record, doc)
    problem = None if scores.has_failed else judge_record(record, doc).problem
    if problem is not None:
        message = Errors.E180.format(name=group.component, problem=problem)
        raise ScoringError(message)
    write_record(doc, record, group, flagged_spans)


def make_record(
    scores: DocScores,
    policy: Policy,
    group: SpansGroup,
    patience: int,
    flagged_spans: FlaggedSpans = (),
    *,
    length: int = 0,
) -> dict[str, Any]:
    """scores, policy, group, patience: As for `annotate`.
    flagged_spans (FlaggedSpans): The flags of each span.
    length (int): The number of characters of the text.
    RETURNS (Dict[str, Any]): The record."""
    probabilities = scores.probabilities.tolist()
    record = to_record(
        length,
        scores.status,
        list(flagged(probabilities, policy.thresholds, failed=scores.has_failed)),
        probabilities,
        [to_window(w, w.probabilities.tolist()) for w in scores.windows],
        policy.decide(scores.status, probabilities).action,
        policy=policy,
        group=group,
    )
    record.update(_curve_fields(scores, policy.thresholds, patience))
    if scores.turns is not None:
        record["turns"] = [_to_turn(turn, policy) for turn in scores.turns]
    if scores.spans is not None:
        record.update(_span_fields(scores, flagged_spans, policy))
        record["spans_key"] = group.spans_key
    return record


def to_record(
    length: int,
    status: str,
    flags: Sequence[str],
    probs: Sequence[float],
    windows: list[dict[str, Any]],
    action: str,
    *,
    policy: Policy,
    group: SpansGroup,
) -> dict[str, Any]:
    """length, status, flags, probs, windows, action: As in the record. No other record
        may share the list of windows: other code can change it in place.
    policy (Policy): The thresholds.
    group (SpansGroup): The component.
    RETURNS (Dict[str, Any]): The record of a doc without spans and curve."""
    return {
        "length": length,
        "labels": policy.labels,
        "status": status,
        "flags": tuple(flags),
        "probs": tuple(probs),
        "thresholds": policy.values,
        "review_thresholds": policy.review_values,
        "action": action,
        "windows": windows,
        "spans": {},
        "span_flags": {},
        "span_actions": {},
        "truncated_spans": (),
        "deltas": {},
        "component": group.component,
        "spans_key": None,
    }


def to_window(window: WindowScores, probs: Sequence[float]) -> dict[str, Any]:
    """window (WindowScores): The scores of a window.
    probs (List[float]): Its probabilities.
    RETURNS (Dict[str, Any]): The window in a record."""
    offsets = {"start": window.start, "end": window.end}
    record: dict[str, Any] = {**offsets, "probs": tuple(probs)}
    record["view"] = window.view
    if window.read_as is not None:
        record["read_as"] = window.read_as
    return record


def _flag_spans(scores: DocScores, policy: Policy) -> FlaggedSpans:
    """Each scored span with the probabilities of its flagged categories."""
    flag = partial(flagged, thresholds=policy.thresholds, failed=scores.has_failed)
    return [(s.span, flag(s.probabilities.tolist())) for s in scores.spans or ()]


def _span_fields(
    scores: DocScores, flagged_spans: FlaggedSpans, policy: Policy
) -> dict[str, Any]:
    spans = scores.spans or ()
    return {
        "spans": {span_id(s.span): s.probabilities.tolist() for s in spans},
        "span_flags": {span_id(span): list(flags) for span, flags in flagged_spans},
        "span_actions": {
            span_id(s.span): BLOCK if scores.has_failed else _decide_span(s, policy)
            for s in spans
        },
        "truncated_spans": tuple(span_id(s.span) for s in spans if s.truncated),
        "deltas": {
            span_id(s.span): s.delta.tolist() for s in spans if s.delta is not None
        },
    }


def _decide_span(scores: ScoredSpan, policy: Policy) -> str:
    status = "truncated" if scores.truncated else "ok"
    return policy.decide(status, scores.probabilities.tolist()).action


def _to_turn(turn: ScoredTurn, policy: Policy) -> dict[str, Any]:
    record = {**turn.span._asdict(), "status": turn.status}
    if turn.probabilities is None:
        return {**record, "probs": None, "flags": None, "action": None}
    probs, has_failed = turn.probabilities.tolist(), turn.status == ERROR
    return {
        **record,
        "probs": probs,
        "flags": list(flagged(probs, policy.thresholds, failed=has_failed)),
        "action": policy.decide(turn.status, probs).action,
    }


def _curve_fields(
    scores: DocScores, thresholds: Mapping[str, float], patience: int
) -> dict[str, Any]:
    curve = scores.curve
    if curve is None:
        return {}
    ends = curve.ends.tolist()
    first: int | None = 0
    if not scores.has_failed:
        first = first_flag(ends, curve.probabilities, thresholds, patience)
    return {
        "curve": {"ends": ends, "probs": curve.probabilities.tolist()},
        "first_unsafe": first,
    }
