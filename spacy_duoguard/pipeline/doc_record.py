"""The record of results in a doc, as `annotations.py` describes it, and what it says
that the doc is. Other code can change it, so nothing here trusts it."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from spacy.tokens import Doc, Span

from ..engine.conversation import TurnSpan
from ..engine.text.lossless import needs_token
from ..engine.turn_scores import CONTEXT
from ..engine.verdict import (
    ERROR,
    ContradictionError,
    Limits,
    Verdict,
    all_labels,
    judge,
    not_scored,
    to_cats,
)
from .conversation import read_turns

KEY = "duoguard"

# The text and the digest of each doc whose results were read, as long as it lives:
# `doc.text` joins all tokens, which would be quadratic for attributes of many spans.
_texts: WeakKeyDictionary[Doc, tuple[str, str]] = WeakKeyDictionary()


def span_id(span: Span) -> str:
    """span (Span): A span.
    RETURNS (str): Its key in a record: its character offsets."""
    return f"{span.start_char}:{span.end_char}"


def to_offsets(key: str) -> tuple[int, int]:
    """key (str): From `span_id`.
    RETURNS (Tuple[int, int]): The character offsets."""
    start, end = key.split(":")
    return int(start), int(end)


def read_record(doc: Doc) -> dict[str, Any] | None:
    """doc (Doc): A doc.
    RETURNS (Optional[Dict[str, Any]]): Its record, empty if it is damaged; None if the
        component has not processed the doc."""
    if not isinstance(doc.user_data, dict) or KEY not in doc.user_data:
        return None
    record = doc.user_data[KEY]
    return record if isinstance(record, dict) else {}


def text_length(doc: Doc) -> int:
    """doc (Doc): A doc.
    RETURNS (int): The number of its characters, without joining its tokens as
        `doc.text` does."""
    if not len(doc):
        return 0
    last = doc[-1]
    return last.idx + len(last.text_with_ws)


def text_digest(text: str) -> str:
    """text (str): The text of a doc.
    RETURNS (str): What tells it from other texts of the same length."""
    return blake2b(text.encode("utf8", "surrogatepass"), digest_size=8).hexdigest()


def judge_record(record: Mapping[str, Any], doc: Doc) -> Verdict:
    """record (Mapping[str, Any]): The record of a doc.
    doc (Doc): The doc.
    RETURNS (Verdict): What the doc is. It is not scored if one of its spans or turns,
        or its curve, contradicts itself."""
    verdict = judge_text(record, doc)
    if not verdict.is_scored:
        return verdict
    try:
        for key in {**record["spans"], **record["span_flags"]}:
            if problem := judge_span(record, key).problem:
                raise ContradictionError(problem)
        _check_turns(record, doc)
        if "curve" in record:
            _check_curve(record, len(verdict.labels), text_length(doc))
    except Exception as e:
        known = isinstance(e, ContradictionError)
        problem = str(e) if known else "the record can't be read"
        return not_scored(verdict.labels, problem)
    return verdict


def judge_text(
    record: Mapping[str, Any], doc: Doc, span: Span | None = None
) -> Verdict:
    """record (Mapping[str, Any]), doc (Doc): As in `judge_record`.
    span (Optional[Span]): If results of it are read, the doc's text is that of an
        earlier read, unless the span reads differently now.
    RETURNS (Verdict): What the text of the doc is, whatever its spans are."""
    cats, windows, limits = None, None, None
    status, problem = record.get("status"), None
    if not isinstance(status, str):  # such as an array
        status = None
    try:
        cats = to_cats(record["labels"], record["probs"])
        windows = [window["probs"] for window in record["windows"]]
        limits = read_limits(record)
        if status != ERROR:
            _check_text(record, doc, span)
    except ContradictionError as e:
        problem = str(e)
    except Exception:  # not as the component wrote it
        problem = "the record can't be read"
    if problem is not None and status != ERROR:
        return not_scored(all_labels(record.get("labels")), problem)
    return judge(
        status,
        cats,
        record.get("flags"),
        text=doc.text if status == "empty" or not len(doc) else None,
        windows=windows,
        limits=limits,
        action=record.get("action"),
    )


def read_limits(record: Mapping[str, Any]) -> Limits:
    """record (Mapping[str, Any]): The record of a doc.
    RETURNS (Limits): The thresholds that decided.
    RAISES (KeyError / TypeError): The record is damaged."""
    return Limits(list(record["thresholds"]), list(record["review_thresholds"]))


def _check_text(record: Mapping[str, Any], doc: Doc, span: Span | None) -> None:
    """RAISES (ContradictionError): The record can't be that of the text of the doc.
    `Span.as_doc` can copy one to a part of the text, and other components can pass
    `user_data` on to a new doc."""
    if record["length"] != text_length(doc):  # known without joining the tokens
        raise ContradictionError("the record is that of another text")
    text, digest = _read_text(doc, span, record["digest"])
    if record["digest"] != digest:
        raise ContradictionError("the record is that of another text")
    offsets = [(window["start"], window["end"]) for window in record["windows"]]
    check_offsets(text, offsets, is_whole=record["status"] == "ok")


def _read_text(doc: Doc, span: Span | None, expected: str) -> tuple[str, str]:
    """The text of a doc and its digest. The known one only for a span, since the spaces
    of a doc can be changed, and for a record of it."""
    known = _texts.get(doc)
    if span is not None and known is not None:
        text, digest = known
        if digest == expected and text[span.start_char : span.end_char] == span.text:
            return known
    text = doc.text
    known = _texts[doc] = text, text_digest(text)
    return known


def check_offsets(
    text: str, windows: Sequence[tuple[int, int]], *, is_whole: bool
) -> None:
    """text (str): A text.
    windows (Sequence[Tuple[int, int]]): The character offsets of its windows.
    is_whole (bool): Whether they must cover all of it that needs a token.
    RAISES (ContradictionError): They aren't inside the text, or leave out some of it.
    """
    covered = 0
    for start, end in (*sorted(windows), (len(text), len(text))):
        is_range = type(start) is int and type(end) is int
        if not (is_range and 0 <= start <= end <= len(text)):
            raise ContradictionError("a window is outside the text")
        if start > covered and is_whole and any(map(needs_token, text[covered:start])):
            raise ContradictionError("the status is 'ok', but the windows have gaps")
        covered = max(covered, end)


def judge_span(record: Mapping[str, Any], key: str) -> Verdict:
    """record (Mapping[str, Any]): The record of a doc that is scored.
    key (str): One of its spans.
    RETURNS (Verdict): What the span is."""
    try:
        to_offsets(key)
        cats = to_cats(record["labels"], record["spans"][key])
        flags, action = record["span_flags"][key], record["span_actions"][key]
        status = "truncated" if key in record["truncated_spans"] else "ok"
        limits = read_limits(record)
    except Exception:  # not as the component wrote it
        labels = all_labels(record.get("labels"))
        return not_scored(labels, "the scores of a span can't be read")
    return judge(status, cats, flags, limits=limits, action=action)


def judge_turn(record: Mapping[str, Any], turn: Mapping[str, Any]) -> Verdict:
    """record (Mapping[str, Any]): The record of a doc that is scored.
    turn (Mapping[str, Any]): One of its turns, which isn't context.
    RETURNS (Verdict): What the turn is."""
    cats = to_cats(record["labels"], turn["probs"])
    values = turn["status"], cats, turn["flags"]
    return judge(*values, limits=read_limits(record), action=turn["action"])


def _check_turns(record: Mapping[str, Any], doc: Doc) -> None:
    """RAISES (ContradictionError): The turns can't be those of the conversation."""
    spans, turns = read_turns(doc), record.get("turns")
    if spans is None and turns is None:
        return
    stated = [TurnSpan(t["role"], t["start"], t["end"]) for t in turns or ()]
    if spans is None or stated != spans:
        raise ContradictionError("the turns are those of another conversation")
    for turn in turns or ():
        values = [turn[key] for key in ("probs", "flags", "action")]
        if turn["status"] == CONTEXT:
            if values != [None, None, None]:
                raise ContradictionError("a turn is context, but has scores")
            continue
        problem = judge_turn(record, turn).problem
        if problem is not None and turn["status"] != ERROR:
            raise ContradictionError(problem)


def _check_curve(record: Mapping[str, Any], n_labels: int, length: int) -> None:
    """RAISES (ContradictionError): The curve can't be that of a scored text."""
    curve, first = record["curve"], record["first_unsafe"]
    ends = np.array(curve["ends"], dtype=np.int64)
    values = np.array(curve["probs"], dtype=np.float64).reshape(len(ends), n_labels)
    if not ((values >= 0.0) & (values <= 1.0)).all():  # false for NaN as well
        raise ContradictionError("a score of the curve is not a number in [0, 1]")
    if (np.diff(ends, prepend=0, append=length) < 0).any():
        raise ContradictionError("the curve is outside the text, or out of order")
    if first is not None and not (type(first) is int and 0 <= first <= length):
        raise ContradictionError("the offset of the first flag is outside the text")
