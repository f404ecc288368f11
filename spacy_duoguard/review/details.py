"""What a result says of its text beside the scores: sentences, other readings, and the
risk curve."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..engine.decisions import REVIEW
from ..engine.turn_scores import CONTEXT
from ..engine.verdict import (
    ERROR,
    ContradictionError,
    Verdict,
    are_scores,
    check_cats,
    is_score,
    judge,
)
from ..taxonomy import UNSAFE

_TOLERANCE = 1e-6  # scores are rounded to as many decimals


@dataclass(frozen=True)
class Sentence:
    """A sentence that is flagged or to be reviewed: its character offsets, and its
    scores above the threshold or the review threshold."""

    start: int
    end: int
    cats: dict[str, float]
    is_flagged: bool = True


@dataclass(frozen=True)
class Reading:
    """How the text, or a part of it, reads otherwise, and the score of that."""

    view: str
    start: int
    end: int
    unsafe: float
    text: str


def to_dict(cats: Any) -> Any:
    """cats (Any): The scores of a record or a sentence, as they are stored.
    RETURNS (Any): The same as `judge` expects them."""
    if isinstance(cats, list) and all(map(_is_score_of_category, cats)):
        pairs, cats = cats, dict(cats)  # a Parquet map
        if len(cats) < len(pairs):
            raise ContradictionError("a category has two scores")
    if isinstance(cats, Mapping):
        # A Parquet struct has None for the categories that a row doesn't have.
        return {key: value for key, value in cats.items() if value is not None}
    return cats


def _is_score_of_category(pair: Any) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)


def read_sentences(
    sentences: Any, length: int, verdict: Verdict
) -> tuple[Sentence, ...]:
    """sentences (Any): The sentences of a record.
    length (int): The length of its text.
    verdict (Verdict): What its scores are.
    RETURNS (Tuple[Sentence, ...]): The same, checked.
    RAISES (ContradictionError): They don't fit the text or the scores."""
    if sentences is None:
        return ()
    if not isinstance(sentences, list):
        raise ContradictionError("the sentences are not a list")
    checked = []
    for sentence in sentences:
        if not isinstance(sentence, Mapping):
            raise ContradictionError("a sentence is not an object")
        start: Any = sentence.get("start")
        end: Any = sentence.get("end")
        if not (is_offset(start, length) and is_offset(end, length) and start < end):
            raise ContradictionError("a sentence is outside the text")
        scores = check_cats(to_dict(sentence.get("cats")))
        scores.pop(UNSAFE, None)
        if not scores or not set(scores) <= set(verdict.labels):
            raise ContradictionError("a sentence has no scores of known categories")
        is_flagged = sentence.get("action") != REVIEW
        checked.append(Sentence(start, end, scores, is_flagged))
    return tuple(checked)


def read_turns(turns: Any, length: int, verdict: Verdict) -> tuple[Sentence, ...]:
    """turns (Any): The turns of a conversation in a record.
    length (int), verdict (Verdict): As for `read_sentences`.
    RETURNS (Tuple[Sentence, ...]): The turns that are flagged, or not scored, or to be
        reviewed, checked. Each is shown like a sentence.
    RAISES (ContradictionError): They don't fit the text, or contradict themselves."""
    if turns is None:
        return ()
    if not isinstance(turns, list):
        raise ContradictionError("the turns are not a list")
    checked = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise ContradictionError("a turn is not an object")
        start: Any = turn.get("start")
        end: Any = turn.get("end")
        if not (is_offset(start, length) and is_offset(end, length) and start <= end):
            raise ContradictionError("a turn is outside the text")
        if turn.get("status") == CONTEXT:
            continue
        scores = to_dict(turn.get("cats"))
        of_turn = judge(turn.get("status"), scores, turn.get("flags"))
        if not of_turn.is_scored and turn.get("status") != ERROR:
            raise ContradictionError("the scores of a turn contradict themselves")
        labels, is_flagged = of_turn.flags, True
        if not labels and turn.get("action") == REVIEW:
            highest = max(of_turn.labels, key=of_turn.cats.__getitem__)
            labels, is_flagged = [highest], False
        if labels and start < end and set(labels) <= set(verdict.labels):
            cats = {label: of_turn.cats[label] for label in labels}
            checked.append(Sentence(start, end, cats, is_flagged))
    return tuple(checked)


def is_offset(value: Any, length: int) -> bool:
    """value (Any): An offset, perhaps.
    length (int): The length of the text.
    RETURNS (bool): Whether it is an offset into the text."""
    return type(value) is int and 0 <= value <= length


def read_readings(readings: Any, length: int, verdict: Verdict) -> tuple[Reading, ...]:
    """readings (Any): The other readings of a record.
    length (int), verdict (Verdict): As in `read_sentences`.
    RETURNS (Tuple[Reading, ...]): The same, checked.
    RAISES (ContradictionError): They don't fit the text or the scores."""
    if readings is None:
        return ()
    if not isinstance(readings, list):
        raise ContradictionError("the readings are not a list")
    checked = []
    for reading in readings:
        if not isinstance(reading, Mapping):
            raise ContradictionError("a reading is not an object")
        start: Any = reading.get("start")
        end: Any = reading.get("end")
        if not (is_offset(start, length) and is_offset(end, length) and start < end):
            raise ContradictionError("a reading is outside the text")
        view, text = reading.get("view"), reading.get("text")
        unsafe: Any = reading.get("unsafe")
        if not (isinstance(view, str) and isinstance(text, str) and is_score(unsafe)):
            raise ContradictionError("a reading lacks its view, its text or its score")
        if unsafe > verdict.cats[UNSAFE] + _TOLERANCE:
            raise ContradictionError("a reading is more unsafe than the record")
        checked.append(Reading(view, start, end, float(unsafe), text))
    return tuple(checked)


def read_curve(curve: Any, length: int) -> dict[str, list[Any]] | None:
    """curve (Any): The risk curve of a record.
    length (int): The length of its text.
    RETURNS (Optional[Dict[str, List[Any]]]): The same, checked; None if it is empty.
    RAISES (ContradictionError): It doesn't fit the text."""
    if curve is None:
        return None
    try:
        points = list(zip(curve["end"], curve["unsafe"], strict=True))
    except (KeyError, TypeError, ValueError) as e:
        raise ContradictionError("the curve needs a score for each offset") from e
    ends, scores = [end for end, _ in points], [score for _, score in points]
    if not all(is_offset(end, length) for end in ends) or ends != sorted(ends):
        raise ContradictionError("the curve is outside the text, or out of order")
    if not are_scores(scores):
        raise ContradictionError("a score of the curve is not a number in [0, 1]")
    return {"end": ends, "unsafe": scores} if ends else None
