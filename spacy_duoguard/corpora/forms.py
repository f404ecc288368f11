"""Read what a record says: corrections of the review page, Prodigy's forms, or gold.

Prodigy's forms are those of its interfaces (prodi.gy/docs/api-interfaces): `text` with
`label` (binary classification), `choice`, and spans, marked one by one (`ner`, `spans`)
or all at once (`ner_manual`, `spans_manual`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..engine.verdict import STATUSES
from ..scoring.record import BrokenRecordError
from ..taxonomy import UNSAFE
from .annotations import Annotation, Answer, Skipped
from .labels import LabelNames

ACCEPT, REJECT, IGNORE = "accept", "reject", "ignore"

# Prodigy's interfaces that ask about one highlighted span.
_SPAN_QUESTIONS = ("ner", "spans")

_VALUES = {ACCEPT: 1.0, REJECT: 0.0}


def read_annotation(
    fields: Mapping[str, Any], text: str, names: LabelNames
) -> Annotation | Skipped:
    """Read a record in whichever form it has.

    fields (Mapping[str, Any]): The fields of the record.
    text (str): Its text.
    names (LabelNames): The labels that records may use.
    RETURNS (Union[Annotation, Skipped]): What it says, or why it says nothing.
    RAISES (BrokenRecordError): It has no known form, or is damaged. An
        `UnknownLabelError` for a label that records may not use.
    """
    answer = _read_answer(fields)
    if answer == IGNORE:
        return Skipped.ignored
    if "accept" in fields or ("options" in fields and answer is not None):
        return _read_choice(fields, answer, names)
    if "label" in fields:
        return _read_binary(fields, answer, names)
    if fields.get("_view_id") in _SPAN_QUESTIONS and answer is not None:
        return _read_span_question(fields, answer, text, names)
    if answer == REJECT:
        return Skipped.rejected
    return _read_gold(fields, text, names)


def _read_answer(fields: Mapping[str, Any]) -> str | None:
    answer = fields.get("answer")
    if answer not in (None, ACCEPT, REJECT, IGNORE):
        raise BrokenRecordError("'answer' is none of accept, reject and ignore")
    return answer


def _read_binary(
    fields: Mapping[str, Any], answer: str | None, names: LabelNames
) -> Annotation:
    """A label, accepted or rejected. Prodigy may highlight `spans` in the text, which
    aren't what was asked."""
    if answer is None:
        raise BrokenRecordError("a 'label' without an 'answer'")
    label = names.resolve(_string(fields["label"], "'label'"))
    if label is None:
        return Annotation(())
    return Annotation((Answer(label, _VALUES[answer]),))


def _read_choice(
    fields: Mapping[str, Any], answer: str | None, names: LabelNames
) -> Annotation | Skipped:
    """All options were seen: those that weren't chosen are negative."""
    if "options" not in fields:
        raise BrokenRecordError("'accept' without 'options': what was rejected?")
    if answer is None:
        raise BrokenRecordError("'options' without an 'answer'")
    if answer == REJECT:
        return Skipped.rejected
    if "accept" not in fields:
        raise BrokenRecordError("'options' without 'accept'")
    offered = [_option_id(option) for option in _list(fields["options"], "'options'")]
    chosen = [_id(value) for value in _list(fields["accept"], "'accept'")]
    if not set(chosen) <= set(offered):
        raise BrokenRecordError("'accept' has something that isn't an option")
    values: dict[str, float] = {}
    for option in offered:
        label = names.resolve(option)
        if label is not None:  # several options may be renamed to one category
            values[label] = max(float(option in chosen), values.get(label, 0.0))
    return Annotation(tuple(Answer(label, value) for label, value in values.items()))


def _option_id(option: Any) -> str:
    if isinstance(option, Mapping) and "id" in option:
        return _id(option["id"])
    raise BrokenRecordError("an option without an 'id'")


def _id(value: Any) -> str:
    """Prodigy's options are called by strings or by integers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _string(value, "the id of an option")


def _read_span_question(
    fields: Mapping[str, Any], answer: str, text: str, names: LabelNames
) -> Annotation | Skipped:
    """Highlighted spans, accepted or rejected. Of several that were rejected, nobody
    knows which one is wrong."""
    spans = _list(fields.get("spans"), "'spans'")
    if answer == REJECT and len(spans) != 1:
        return Skipped.rejected
    value = _VALUES[answer]
    answers = _read_spans(spans, text, names, value=value)
    left_out = answer == ACCEPT and len(answers) < len(spans)
    return Annotation(tuple(answers), leaves_out_spans=left_out)


def _read_gold(fields: Mapping[str, Any], text: str, names: LabelNames) -> Annotation:
    cats, spans = fields.get("cats"), fields.get("spans")
    if cats is None and spans is None and UNSAFE not in fields:
        raise BrokenRecordError(
            "none of the fields 'label', 'accept', 'cats', 'unsafe' and 'spans'"
        )
    if fields.get("status") in STATUSES and isinstance(fields.get("flags"), list):
        raise BrokenRecordError("a result of 'score': its probabilities aren't labels")
    answers: list[Answer] = []
    values = dict(_mapping(cats, "'cats'")) if cats is not None else {}
    if UNSAFE in fields and fields[UNSAFE] is not None:
        if UNSAFE in values and values[UNSAFE] != fields[UNSAFE]:
            raise BrokenRecordError("'unsafe' isn't the same in 'cats'")
        values[UNSAFE] = fields[UNSAFE]
    for name, value in values.items():
        label = names.resolve(_string(name, "a label"))
        if label is not None:
            answers.append(Answer(label, _value(value, label)))
    if spans is None:
        return Annotation(tuple(answers))
    return _add_spans(answers, _list(spans, "'spans'"), text, names)


def _add_spans(
    answers: list[Answer], spans: Sequence[Any], text: str, names: LabelNames
) -> Annotation:
    """Spans are all there are, unless they have answers: then the rest is unknown. It
    is, too, where labels are left out: without its entry, a span would count as safe.
    """
    marked = [isinstance(span, Mapping) and "answer" in span for span in spans]
    if any(marked) and not all(marked):
        raise BrokenRecordError("some spans have an 'answer', others don't")
    left_out = False
    for span in spans:
        answer = _read_answer(span) if any(marked) else ACCEPT
        if answer in _VALUES:
            read = _read_spans([span], text, names, value=_VALUES[answer])
            left_out |= answer == ACCEPT and not read
            answers += read
    covers = not (any(marked) or left_out or names.omits_category)
    return Annotation(tuple(answers), covers, left_out)


def _read_spans(
    spans: Sequence[Any], text: str, names: LabelNames, *, value: float
) -> list[Answer]:
    answers = []
    for span in spans:
        content = _mapping(span, "a span")
        if not {"start", "end", "label"} <= content.keys():
            raise BrokenRecordError("a span without 'start', 'end' or 'label'")
        start, end = content["start"], content["end"]
        check_offsets(start, end, text)
        label = names.resolve(_string(content["label"], "the label of a span"))
        if label is not None:
            answers.append(Answer(label, value, (start, end)))
    return answers


def check_offsets(start: Any, end: Any, text: str) -> None:
    """start (Any), end (Any): Half-open character offsets.
    text (str): The text.
    RAISES (BrokenRecordError): They don't lie in the text."""
    if not all(type(offset) is int for offset in (start, end)):
        raise BrokenRecordError("the offsets of a span aren't integers")
    if not 0 <= start < end <= len(text):
        raise BrokenRecordError(
            f"the span {start}-{end} doesn't lie in the text, which has {len(text)} "
            "characters"
        )


def _value(value: Any, label: str) -> float:
    if not isinstance(value, (bool, int, float)) or not 0.0 <= value <= 1.0:
        raise BrokenRecordError(f"the value of '{label}' isn't a number in [0, 1]")
    return float(value)


def _string(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise BrokenRecordError(f"{what} isn't a string")
    return value


def _list(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise BrokenRecordError(f"{what} isn't a list")
    return value


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BrokenRecordError(f"{what} isn't an object")
    return value
