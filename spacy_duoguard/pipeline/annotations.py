"""What the component writes into a doc, and the attributes that read it.

All results beside `doc.cats` and `doc.spans` are one record of plain data in
`doc.user_data["duoguard"]`, with string keys only: tuples would not survive
`Doc.to_bytes`. The extension attributes are getters over it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spacy.tokens import Doc, Span, SpanGroup

from ..engine.flags import first_flag
from ..errors import Errors, SettingsError
from ..taxonomy import UNSAFE
from .doc_scores import DocScores

KEY = "duoguard"


def annotate(
    doc: Doc,
    scores: DocScores,
    thresholds: Mapping[str, float],
    spans_key: str,
    patience: int,
) -> None:
    """Write scores into a doc. Other components' keys in `doc.cats` stay.

    doc (Doc): The doc.
    scores (DocScores): Its scores.
    thresholds (Mapping[str, float]): For each category, in order.
    spans_key (str): The group of `doc.spans` for flagged spans.
    patience (int): How many pieces in a row make a flag of the curve.
    """
    labels = list(thresholds)
    probabilities = scores.probabilities.tolist()
    doc.cats.update(to_cats(labels, probabilities))
    failed = scores.status == "error"
    spans = scores.spans or ()
    before = doc.user_data.get(KEY) or {"spans": {}}
    doc.user_data[KEY] = {
        "labels": labels,
        "status": scores.status,
        "flags": [
            label for label, _ in _flagged(probabilities, thresholds, failed=failed)
        ],
        "windows": [
            {"start": w.start, "end": w.end, "probs": w.probabilities.tolist()}
            for w in scores.windows
        ],
        "spans": {_span_key(own.span): own.probabilities.tolist() for own in spans},
        "deltas": {
            _span_key(own.span): own.delta.tolist()
            for own in spans
            if own.delta is not None
        },
        **_curve_record(scores, thresholds, patience),
    }
    if scores.spans is not None:
        entries = [
            (Span(doc, own.span.start, own.span.end, label=label), value)
            for own in spans
            for label, value in _flagged(
                own.probabilities.tolist(), thresholds, failed=failed
            )
        ]
        doc.spans[spans_key] = SpanGroup(
            doc,
            name=spans_key,
            attrs={"scores": [value for _, value in entries]},
            spans=[span for span, _ in entries],
        )
    elif before["spans"]:
        doc.spans.pop(spans_key, None)  # of an earlier run that wanted spans


def _flagged(
    values: Sequence[float], thresholds: Mapping[str, float], *, failed: bool
) -> list[tuple[str, float]]:
    """The flagged categories, and their probabilities."""
    rows = zip(thresholds.items(), values, strict=True)
    # A threshold of 1.0 is never exceeded, not even by a failure.
    return [(label, value) for (label, limit), value in rows if failed or value > limit]


def _curve_record(
    scores: DocScores, thresholds: Mapping[str, float], patience: int
) -> dict[str, Any]:
    curve = scores.curve
    if curve is None:
        return {}
    ends = curve.ends.tolist()
    first = first_flag(ends, curve.probabilities, thresholds, patience)
    return {
        "curve": {"ends": ends, "probs": curve.probabilities.tolist()},
        "first_unsafe": 0 if scores.status == "error" else first,
    }


def to_cats(labels: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    """labels (Sequence[str]): The categories.
    probabilities (Sequence[float]): Theirs, in the same order.
    RETURNS (Dict[str, float]): Both, and `unsafe`, their maximum."""
    cats = dict(zip(labels, probabilities, strict=True))
    cats[UNSAFE] = max(probabilities)
    return cats


def _span_key(span: Span) -> str:
    return f"{span.start_char}:{span.end_char}"


def get_status(doc: Doc) -> str | None:
    """`doc._.duoguard_status`: "ok", "empty", "truncated" or "error"; None for a doc
    that the component has not seen."""
    record = doc.user_data.get(KEY)
    return None if record is None else record["status"]


def get_flags(doc: Doc) -> list[str] | None:
    """`doc._.duoguard_flags`: the flagged categories, in order; None as above."""
    record = doc.user_data.get(KEY)
    return None if record is None else list(record["flags"])


def get_windows(doc: Doc) -> list[dict[str, Any]] | None:
    """`doc._.duoguard_windows`: for each window its place in `doc.text` and its
    probabilities, in the order of the categories; None as above."""
    record = doc.user_data.get(KEY)
    if record is None:
        return None
    # DocBin gives tuples back for lists.
    return [{**w, "probs": list(w["probs"])} for w in record["windows"]]


def get_span_cats(span: Span) -> dict[str, float] | None:
    """`span._.duoguard_cats`: the scores of a span that was scored, with the keys of
    `doc.cats`; None for any other span."""
    record = span.doc.user_data.get(KEY)
    if record is None or _span_key(span) not in record["spans"]:
        return None
    return to_cats(record["labels"], record["spans"][_span_key(span)])


def get_span_delta(span: Span) -> dict[str, float] | None:
    """`span._.duoguard_delta`: how much a span that was scored in context changed each
    category's probability and `unsafe`, with the keys of `doc.cats`; None for any
    other span."""
    record = span.doc.user_data.get(KEY)
    if record is None or _span_key(span) not in record["deltas"]:
        return None
    keys = [*record["labels"], UNSAFE]
    return dict(zip(keys, record["deltas"][_span_key(span)], strict=True))


def get_curve(doc: Doc) -> list[dict[str, Any]] | None:
    """`doc._.duoguard_curve`: for each piece of the tokenizer the character before
    which it ends and the probabilities of the text up to there, in the order of the
    categories; None for a doc of which no curve was wanted."""
    record = doc.user_data.get(KEY)
    if record is None or "curve" not in record:
        return None
    pairs = zip(record["curve"]["ends"], record["curve"]["probs"], strict=True)
    return [{"end": end, "probs": list(probs)} for end, probs in pairs]


def get_first_unsafe(doc: Doc) -> int | None:
    """`doc._.duoguard_first_unsafe`: the character up to which the text had to be read
    until a flag held for `patience` pieces in a row, or at the text's end; 0 for a doc
    that failed. None where nothing is flagged, and as above."""
    record = doc.user_data.get(KEY)
    return None if record is None else record.get("first_unsafe")


_EXTENSIONS: tuple[tuple[type[Doc] | type[Span], str, Callable[..., Any]], ...] = (
    (Doc, "duoguard_status", get_status),
    (Doc, "duoguard_flags", get_flags),
    (Doc, "duoguard_windows", get_windows),
    (Doc, "duoguard_curve", get_curve),
    (Doc, "duoguard_first_unsafe", get_first_unsafe),
    (Span, "duoguard_cats", get_span_cats),
    (Span, "duoguard_delta", get_span_delta),
)


def install_extensions() -> None:
    """Register the extension attributes.

    RAISES (SettingsError): A name is taken by something else.
    """
    for owner, name, getter in _EXTENSIONS:
        if not owner.has_extension(name):
            owner.set_extension(name, getter=getter)
        elif not _is_own(owner.get_extension(name)[2], getter):
            message = Errors.E045.format(owner=owner.__name__.lower(), name=name)
            raise SettingsError(message)


def _is_own(found: Any, getter: Callable[..., Any]) -> bool:
    """By name: a notebook that reloads this module makes the functions anew."""
    names = [getattr(found, key, None) for key in ("__module__", "__name__")]
    return names == [getter.__module__, getter.__name__]
