"""What the component writes into a doc. `attributes.py` reads it.

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
from typing import Any, NamedTuple

from spacy.tokens import Doc, Span, SpanGroup

from ..engine.decisions import BLOCK, Policy
from ..engine.flags import first_flag, flagged
from ..engine.text_scores import WindowScores
from ..engine.turn_scores import ScoredTurn
from ..engine.verdict import ERROR, to_cats
from ..errors import Errors, ScoringError
from .doc_record import (
    KEY,
    judge_record,
    read_record,
    span_id,
    text_digest,
    text_length,
)
from .doc_scores import DocScores, ScoredSpan

FlaggedSpans = Sequence[tuple[Span, dict[str, float]]]


class SpansGroup(NamedTuple):
    """The group of `doc.spans` that a component writes."""

    component: str
    spans_key: str


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


def write_record(
    doc: Doc,
    record: dict[str, Any],
    group: SpansGroup,
    spans: FlaggedSpans = (),
    cats: Mapping[str, float] | None = None,
) -> None:
    """doc (Doc), group (SpansGroup): As for `annotate`.
    record (Dict[str, Any]): From `make_record` or `to_record`.
    spans (FlaggedSpans): The spans that it was made of.
    cats (Optional[Mapping[str, float]]): Its scores by name, if known."""
    if cats is None:
        cats = to_cats(record["labels"], record["probs"])
    earlier = earlier_group(doc, group.component, spans_key=group.spans_key)
    before = read_record(doc) or {}
    bind_record(record, doc)
    _repair(doc)
    if before.get("labels") != record["labels"]:
        _forget_labels(doc, before, record)
    if record["status"] == ERROR:  # nothing may keep a doc from being marked
        _write_results(doc, record, cats)
    if earlier is not None:
        doc.spans.pop(earlier, None)
    if record["spans_key"] is not None:
        doc.spans[group.spans_key] = _to_group(doc, spans, group.spans_key)
    # After the spans: if this is interrupted, the doc remains marked as failed.
    if record["status"] != ERROR:
        _write_results(doc, record, cats)


def bind_record(record: dict[str, Any], doc: Doc) -> None:
    """record (Dict[str, Any]): From `make_record` or `to_record`. If it doesn't have a
        digest yet, it gets that of the text.
    doc (Doc): The doc."""
    if "digest" not in record:
        is_scored = record["status"] != ERROR
        record["digest"] = text_digest(doc.text) if is_scored else ""


def _forget_labels(
    doc: Doc, before: Mapping[str, Any], record: Mapping[str, Any]
) -> None:
    """Remove the scores of categories that the component doesn't have any more: it may
    have been loaded anew since."""
    labels = before.get("labels")
    if before.get("component") != record["component"] or not isinstance(
        labels, (list, tuple)
    ):
        return
    for label in labels:
        if isinstance(label, str) and label not in record["labels"]:
            doc.cats.pop(label, None)


def _write_results(doc: Doc, record: dict[str, Any], cats: Mapping[str, float]) -> None:
    doc.cats.update(cats)
    doc.user_data[KEY] = record


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


def earlier_group(
    doc: Doc, component: str, *, spans_key: str | None = None
) -> str | None:
    """doc (Doc): A doc.
    component (str): The name of a component.
    spans_key (Optional[str]): Its group of `doc.spans`, if known.
    RETURNS (Optional[str]): The group that the component wrote in an earlier run, or
        that had the same key; None if another component wrote another group."""
    record = read_record(doc) or {}
    key, earlier = record.get("spans_key"), record.get("component")
    if not isinstance(key, str):
        return None
    is_same = key == spans_key or (isinstance(earlier, str) and earlier == component)
    return key if is_same else None


def _repair(doc: Doc) -> None:
    """Make room for the results if other code replaced what holds them."""
    if not isinstance(doc.cats, dict):
        doc.cats = {}
    if not isinstance(doc.user_data, dict):
        doc.user_data = {}


def _flag_spans(scores: DocScores, policy: Policy) -> FlaggedSpans:
    """Each scored span with the probabilities of its flagged categories."""
    flag = partial(flagged, thresholds=policy.thresholds, failed=scores.has_failed)
    return [(s.span, flag(s.probabilities.tolist())) for s in scores.spans or ()]


def _to_group(doc: Doc, flagged_spans: FlaggedSpans, name: str) -> SpanGroup:
    """An entry for each span and each of its flagged categories."""
    entries: list[Span] = []
    probabilities: list[float] = []
    for span, flags in flagged_spans:
        entries += [Span(doc, span.start, span.end, label=label) for label in flags]
        probabilities += flags.values()
    return SpanGroup(doc, name=name, attrs={"scores": probabilities}, spans=entries)


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
