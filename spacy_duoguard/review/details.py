"""What a result says of its text beside the scores: sentences, other readings, and the
risk curve."""

from collections.abc import Iterator, Mapping
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
    checked = []
    for sentence, start, end in _read_parts(sentences, length, "sentence"):
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
    checked = []
    for turn, start, end in _read_parts(turns, length, "turn", least=0):
        if turn.get("status") == CONTEXT:
            continue
        scores = to_dict(turn.get("cats"))
        of_turn = judge(turn.get("status"), scores, turn.get("flags"))
        if not of_turn.is_scored and turn.get("status") != ERROR:
            raise ContradictionError("the scores of a turn contradict themselves")
        if not set(of_turn.labels) <= set(verdict.labels):
            raise ContradictionError("a turn has scores of unknown categories")
        labels, is_flagged = of_turn.flags, True
        if not labels and turn.get("action") == REVIEW:
            highest = max(of_turn.labels, key=of_turn.cats.__getitem__)
            labels, is_flagged = [highest], False
        if labels and start < end:
            cats = {label: of_turn.cats[label] for label in labels}
            checked.append(Sentence(start, end, cats, is_flagged))
    return tuple(checked)


def _read_parts(
    parts: Any, length: int, name: str, *, least: int = 1
) -> Iterator[tuple[Mapping[str, Any], int, int]]:
    """parts (Any): The parts of a text in a record, or None.
    length (int): The length of the text.
    name (str): What to call a part.
    least (int): The characters that a part has at least.
    YIELDS (Tuple[Mapping[str, Any], int, int]): Each part, with its character offsets.
    RAISES (ContradictionError): They don't fit the text."""
    if parts is None:
        return
    if not isinstance(parts, list):
        raise ContradictionError(f"the {name}s are not a list")
    for part in parts:
        if not isinstance(part, Mapping):
            raise ContradictionError(f"a {name} is not an object")
        start: Any = part.get("start")
        end: Any = part.get("end")
        is_inside = is_offset(start, length) and is_offset(end, length)
        if not (is_inside and start + least <= end):
            raise ContradictionError(f"a {name} is outside the text")
        yield part, start, end


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
    checked = []
    for reading, start, end in _read_parts(readings, length, "reading"):
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
