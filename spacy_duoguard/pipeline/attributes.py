"""What the extension attributes return: the component's results, whatever other code
made of `doc.cats`. If its record was changed and contradicts itself, the doc counts as
not scored."""

import warnings
from typing import Any

from spacy.tokens import Doc, Span

from ..engine.conversation import TurnSpan
from ..engine.decisions import REVIEW, Decision
from ..engine.turn_scores import CONTEXT
from ..engine.verdict import HIGHEST, Verdict
from ..errors import ScoringError, Warnings
from ..taxonomy import UNSAFE
from .conversation import read_turns
from .doc_record import (
    judge_record,
    judge_span,
    judge_text,
    judge_turn,
    read_limits,
    read_record,
    span_id,
    to_offsets,
)


def get_verdict(doc: Doc) -> Verdict | None:
    """doc (Doc): A doc.
    RETURNS (Optional[Verdict]): What it is; None for a doc that the component has not
        processed."""
    record = read_record(doc)
    if record is None:
        return None
    verdict = judge_record(record, doc)
    _warn_of_clash(doc, verdict)
    return verdict


def get_status(doc: Doc) -> str | None:
    """`doc._.duoguard_status`: "ok", "empty", "truncated" or "error"; None for a doc
    that the component has not processed."""
    verdict = get_verdict(doc)
    return None if verdict is None else verdict.status


def get_flags(doc: Doc) -> list[str] | None:
    """`doc._.duoguard_flags`: the flagged categories, in order; None as above."""
    verdict = get_verdict(doc)
    return None if verdict is None else verdict.flags


def get_scores(doc: Doc) -> dict[str, float] | None:
    """`doc._.duoguard_cats`: the scores that the component wrote, with the keys of
    `doc.cats`, where another component may have overwritten them; None as above."""
    verdict = get_verdict(doc)
    return None if verdict is None else verdict.cats


def get_action(doc: Doc) -> str | None:
    """`doc._.duoguard_action`: "allow", "review" or "block"; None as above."""
    verdict = get_verdict(doc)
    return None if verdict is None else verdict.decision.action


def get_reason(doc: Doc) -> dict[str, Any] | None:
    """`doc._.duoguard_reason`: the category that decided the action, and by how much
    its probability exceeds the threshold; None as above."""
    verdict = get_verdict(doc)
    return None if verdict is None else verdict.decision.reason


def _warn_of_clash(doc: Doc, verdict: Verdict) -> None:
    """Warn if `doc.cats` has other scores than the component wrote."""
    cats = doc.cats if isinstance(doc.cats, dict) else {}
    scores = verdict.cats.items()
    changed = [key for key, value in scores if cats.get(key, value) != value]
    if changed:
        keys = ", ".join(map(repr, changed))
        # Always at this line, so that Python shows it once.
        warnings.warn(Warnings.W004.format(keys=keys), stacklevel=1)


def get_windows(doc: Doc) -> list[dict[str, Any]] | None:
    """`doc._.duoguard_windows`: the character offsets of each window into `doc.text`
    and its probabilities, in the order of the categories; None as above."""
    record, verdict = read_record(doc), get_verdict(doc)
    if record is None or verdict is None:
        return None
    windows = record["windows"] if verdict.is_scored else ()
    # DocBin returns lists as tuples.
    return [{**window, "probs": list(window["probs"])} for window in windows]


def get_spans_key(doc: Doc) -> str | None:
    """doc (Doc): A doc.
    RETURNS (Optional[str]): The group of `doc.spans` that the component wrote."""
    key = (read_record(doc) or {}).get("spans_key")
    return key if isinstance(key, str) else None


def get_span_verdicts(doc: Doc) -> dict[tuple[int, int], Verdict]:
    """doc (Doc): A doc.
    RETURNS (Dict[Tuple[int, int], Verdict]): What each of its scored spans is, by
        character offsets. If the doc isn't scored, none of them is."""
    record = read_record(doc)
    keys = [] if record is None else _span_keys(record)
    verdict = get_verdict(doc) if keys else None
    if record is None or verdict is None:
        return {}
    spans = {}
    for key in keys:
        of_span = judge_span(record, key) if verdict.is_scored else verdict
        spans[to_offsets(key)] = of_span
    return spans


def _span_keys(record: dict[str, Any]) -> list[str]:
    """The spans of a record, those that can be read."""
    spans = record.get("spans")
    keys = []
    for key in spans if isinstance(spans, dict) else ():
        try:
            to_offsets(key)
        except (AttributeError, TypeError, ValueError):
            continue
        keys.append(key)
    return keys


def get_flagged_spans(doc: Doc) -> list[dict[str, Any]]:
    """doc (Doc): A doc.
    RETURNS (List[Dict[str, Any]]): The spans that were flagged, in order: character
        offsets "start" and "end", and "cats" with their flagged categories."""
    return [
        {"start": start, "end": end, "cats": _pick(verdict, verdict.flags)}
        for (start, end), verdict in get_span_verdicts(doc).items()
        if verdict.flags
    ]


def get_decided_spans(doc: Doc) -> list[tuple[dict[str, Any], Decision]]:
    """doc (Doc): A doc.
    RETURNS (List[Tuple[Dict[str, Any], Decision]]): The spans that were flagged, as
        from `get_flagged_spans`, and those to be reviewed, with their categories above
        the review threshold, or with their highest one if they are only truncated; and
        what was decided of each."""
    spans = []
    for (start, end), verdict in get_span_verdicts(doc).items():
        labels = verdict.flags
        if verdict.decision.action == REVIEW:
            limits = read_limits(read_record(doc) or {}).review_thresholds
            pairs = zip(verdict.labels, limits, strict=True)
            labels = [k for k, r in pairs if r is not None and verdict.cats[k] > r]
            labels = labels or [max(verdict.labels, key=verdict.cats.__getitem__)]
        if labels:
            span = {"start": start, "end": end, "cats": _pick(verdict, labels)}
            spans.append((span, verdict.decision))
    return spans


def _pick(verdict: Verdict, labels: list[str]) -> dict[str, float]:
    return {label: verdict.cats[label] for label in labels}


def get_span_cats(span: Span) -> dict[str, float] | None:
    """`span._.duoguard_cats`: the scores of a span that was scored, with the keys of
    `doc.cats`; None for any other span."""
    verdict = _judge_in_doc(span)
    return None if verdict is None else verdict.cats


def get_span_action(span: Span) -> str | None:
    """`span._.duoguard_action`: like that of a doc, for a span that was scored; None
    for any other span."""
    verdict = _judge_in_doc(span)
    return None if verdict is None else verdict.decision.action


def get_span_reason(span: Span) -> dict[str, Any] | None:
    """`span._.duoguard_reason`: like that of a doc, for a span that was scored; None
    for any other span."""
    verdict = _judge_in_doc(span)
    return None if verdict is None else verdict.decision.reason


def _judge_in_doc(span: Span) -> Verdict | None:
    """What a span is; None if it was not to be scored."""
    record = read_record(span.doc)
    if record is None:
        return None
    spans, key = record.get("spans"), span_id(span)
    if isinstance(spans, dict) and key not in spans:
        return None
    # Not `judge_record`, which would look at all the other spans, too.
    verdict = judge_text(record, span.doc, span)
    return judge_span(record, key) if verdict.is_scored else verdict


def get_span_delta(span: Span) -> dict[str, float] | None:
    """`span._.duoguard_delta`: how much a span that was scored in context changed the
    probability of each category and of `unsafe`, with the keys of `doc.cats`; None for
    any other span."""
    record, verdict = read_record(span.doc), _judge_in_doc(span)
    if record is None or verdict is None or not record.get("deltas"):
        return None
    if not verdict.is_scored:
        return dict.fromkeys(verdict.cats, HIGHEST)
    try:
        deltas = record["deltas"][span_id(span)]
        return dict(zip([*record["labels"], UNSAFE], map(float, deltas), strict=True))
    except (KeyError, TypeError, ValueError):  # not as the component wrote it
        return dict.fromkeys(verdict.cats, HIGHEST)


def get_turns(doc: Doc) -> list[dict[str, Any]] | None:
    """`doc._.duoguard_turns`: for each turn of a conversation its "role", its character
    offsets "start" and "end", its "status", and "cats", "flags", "action" and "reason"
    of the conversation up to its end, which are None if the turn is only context. None
    for any other doc."""
    record, verdict = read_record(doc), get_verdict(doc)
    if record is None or verdict is None:
        return None
    if verdict.is_scored:
        turns = record.get("turns")
        if turns is None:
            return None
        return [
            show_turn(
                TurnSpan(turn["role"], turn["start"], turn["end"]),
                None if turn["status"] == CONTEXT else judge_turn(record, turn),
            )
            for turn in turns
        ]
    try:
        spans = read_turns(doc)
    except ScoringError:  # other code has changed them
        spans = []
    return None if spans is None else [show_turn(span, verdict) for span in spans]


def show_turn(span: TurnSpan, verdict: Verdict | None) -> dict[str, Any]:
    """span (TurnSpan): A turn.
    verdict (Optional[Verdict]): What it is; None if it is context.
    RETURNS (Dict[str, Any]): The turn as in `doc._.duoguard_turns`."""
    if verdict is None:
        nothing = dict.fromkeys(("cats", "flags", "action", "reason"))
        return {**span._asdict(), "status": CONTEXT, **nothing}
    return {
        **span._asdict(),
        "status": verdict.status,
        "cats": verdict.cats,
        "flags": verdict.flags,
        "action": verdict.decision.action,
        "reason": verdict.decision.reason,
    }


def get_curve(doc: Doc) -> list[dict[str, Any]] | None:
    """`doc._.duoguard_curve`: for each token of the model the character offset of its
    end and the probabilities of the text up to there, in the order of the categories;
    None if no curve was stored."""
    record, verdict = read_record(doc), get_verdict(doc)
    if record is None or verdict is None or record.get("curve") is None:
        return None
    if not verdict.is_scored:
        return []
    curve = record["curve"]
    pairs = zip(curve["ends"], curve["probs"], strict=True)
    return [{"end": end, "probs": list(probs)} for end, probs in pairs]


def get_first_unsafe(doc: Doc) -> int | None:
    """`doc._.duoguard_first_unsafe`: how many characters had to be read until a
    category had been above its threshold for `patience` tokens, or was above it at the
    end of the text; 0 for a doc that failed. None if nothing is flagged, or as
    above."""
    record, verdict = read_record(doc), get_verdict(doc)
    if record is None or verdict is None or "curve" not in record:
        return None
    return record["first_unsafe"] if verdict.is_scored else 0
