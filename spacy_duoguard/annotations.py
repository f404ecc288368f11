"""What the component writes into a doc, and the attributes that read it.

All results beside `doc.cats` and `doc.spans` are one record of plain data in
`doc.user_data["duoguard"]`, with string keys only: tuples would not survive
`Doc.to_bytes`. The extension attributes are getters over it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span, SpanGroup

from .engine.classifier import TextScores, WindowScores
from .errors import Errors, SettingsError
from .taxonomy import UNSAFE

KEY = "duoguard"


@dataclass(frozen=True)
class DocScores:
    """What scoring found out about one doc."""

    status: str  # "ok", "empty", "truncated" or "error"
    probabilities: np.ndarray  # (n_labels,)
    windows: tuple[WindowScores, ...]
    spans: tuple[tuple[Span, np.ndarray], ...] | None  # None where none are wanted

    @classmethod
    def from_texts(
        cls, text: TextScores, spans: Sequence[tuple[Span, TextScores]] | None
    ) -> "DocScores":
        """text (TextScores): Of the whole doc.
        spans (Optional[Sequence[Tuple[Span, TextScores]]]): Of its spans.
        RETURNS (DocScores): Both."""
        status = "ok" if text.windows else "empty"
        if text.truncated or any(score.truncated for _, score in spans or ()):
            status = "truncated"
        pairs = None
        if spans is not None:
            pairs = tuple((span, score.probabilities) for span, score in spans)
        return cls(status, text.probabilities, text.windows, pairs)

    @classmethod
    def failed(cls, n_labels: int, spans: Sequence[Span] | None) -> "DocScores":
        """A guard fails closed: what could not be scored reads as unsafe.

        n_labels (int): The categories.
        spans (Optional[Sequence[Span]]): The doc's spans, None if none are wanted.
        RETURNS (DocScores): All probabilities are 1.0.
        """
        ones = np.ones(n_labels, dtype=np.float32)
        pairs = None if spans is None else tuple((span, ones) for span in spans)
        return cls("error", ones, (), pairs)


def annotate(
    doc: Doc, scores: DocScores, thresholds: Mapping[str, float], spans_key: str
) -> None:
    """Write scores into a doc. Other components' keys in `doc.cats` stay.

    doc (Doc): The doc.
    scores (DocScores): Its scores.
    thresholds (Mapping[str, float]): For each category, in order.
    spans_key (str): The group of `doc.spans` for flagged spans.
    """
    labels = list(thresholds)
    probabilities = scores.probabilities.tolist()
    doc.cats.update(to_cats(labels, probabilities))

    def flagged(values: Sequence[float]) -> list[tuple[str, float]]:
        pairs = list(zip(labels, values, strict=True))
        # A threshold of 1.0 is never exceeded, not even by a failure.
        if scores.status == "error":
            return pairs
        return [(label, value) for label, value in pairs if value > thresholds[label]]

    spans = [(span, values.tolist()) for span, values in scores.spans or ()]
    before = doc.user_data.get(KEY) or {"spans": {}}
    doc.user_data[KEY] = {
        "labels": labels,
        "status": scores.status,
        "flags": [label for label, _ in flagged(probabilities)],
        "windows": [
            {"start": w.start, "end": w.end, "probs": w.probabilities.tolist()}
            for w in scores.windows
        ],
        "spans": {_span_key(span): values for span, values in spans},
    }
    if scores.spans is not None:
        entries = [
            (Span(doc, span.start, span.end, label=label), value)
            for span, values in spans
            for label, value in flagged(values)
        ]
        doc.spans[spans_key] = SpanGroup(
            doc,
            name=spans_key,
            attrs={"scores": [value for _, value in entries]},
            spans=[span for span, _ in entries],
        )
    elif before["spans"]:
        doc.spans.pop(spans_key, None)  # of an earlier run that wanted spans


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


_EXTENSIONS: tuple[tuple[type[Doc] | type[Span], str, Callable[..., Any]], ...] = (
    (Doc, "duoguard_status", get_status),
    (Doc, "duoguard_flags", get_flags),
    (Doc, "duoguard_windows", get_windows),
    (Span, "duoguard_cats", get_span_cats),
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
