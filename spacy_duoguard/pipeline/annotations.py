"""What the component writes into a doc, and the attributes that read it.

Everything but `doc.cats` and `doc.spans` is one record of plain data in
`doc.user_data["duoguard"]`, and the extension attributes are getters over it. Its keys
are strings, because tuples would not survive `Doc.to_bytes`:

    labels        the categories, in the order of all lists of probabilities
    status        as `doc._.duoguard_status`
    flags         as `doc._.duoguard_flags`
    windows       as `doc._.duoguard_windows`
    spans         probabilities of each scored span, by `span_id`
    deltas        likewise the deltas of each, with that of `unsafe` last
    curve         {"ends": [...], "probs": [...]}, with an item per token in each; in
                  the attribute they are paired
    first_unsafe  as `doc._.duoguard_first_unsafe`
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spacy.tokens import Doc, Span, SpanGroup

from ..engine.flags import first_flag, flagged
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
    """Write scores into a doc. The keys of other components in `doc.cats` are kept.

    doc (Doc): The doc.
    scores (DocScores): Its scores.
    thresholds (Mapping[str, float]): The threshold of each category, in order.
    spans_key (str): The group of `doc.spans` for flagged spans.
    patience (int): Number of consecutive tokens above a threshold that raise a flag in
        the curve.
    """
    labels = list(thresholds)
    probabilities = scores.probabilities.tolist()
    doc.cats.update(to_cats(labels, probabilities))
    spans = scores.spans or ()
    had_spans = _read(doc, "spans")
    doc.user_data[KEY] = {
        "labels": labels,
        "status": scores.status,
        "flags": list(flagged(probabilities, thresholds, failed=scores.has_failed)),
        "windows": [
            {"start": w.start, "end": w.end, "probs": w.probabilities.tolist()}
            for w in scores.windows
        ],
        "spans": {span_id(s.span): s.probabilities.tolist() for s in spans},
        "deltas": {
            span_id(s.span): s.delta.tolist() for s in spans if s.delta is not None
        },
        **_curve_fields(scores, thresholds, patience),
    }
    if scores.spans is not None:
        doc.spans[spans_key] = _flagged_spans(doc, scores, thresholds, spans_key)
    elif had_spans:
        doc.spans.pop(spans_key, None)  # from an earlier run that scored spans


def _flagged_spans(
    doc: Doc, scores: DocScores, thresholds: Mapping[str, float], name: str
) -> SpanGroup:
    """An entry for each span and each of its flagged categories."""
    entries: list[Span] = []
    probabilities: list[float] = []
    for scored in scores.spans or ():
        flags = flagged(
            scored.probabilities.tolist(), thresholds, failed=scores.has_failed
        )
        start, end = scored.span.start, scored.span.end
        entries += [Span(doc, start, end, label=label) for label in flags]
        probabilities += flags.values()
    return SpanGroup(doc, name=name, attrs={"scores": probabilities}, spans=entries)


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


def to_cats(labels: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    """labels (Sequence[str]): The categories.
    probabilities (Sequence[float]): One per category, in the same order.
    RETURNS (Dict[str, float]): Both, and `unsafe`, their maximum."""
    cats = dict(zip(labels, probabilities, strict=True))
    cats[UNSAFE] = max(probabilities)
    return cats


def span_id(span: Span) -> str:
    """span (Span): A span.
    RETURNS (str): Its key in a record: its character offsets."""
    return f"{span.start_char}:{span.end_char}"


def _read(doc: Doc, field: str) -> Any:
    """A field of the doc's record; None if the doc has no record, or the record has no
    such field."""
    return (doc.user_data.get(KEY) or {}).get(field)


def get_status(doc: Doc) -> str | None:
    """`doc._.duoguard_status`: "ok", "empty", "truncated" or "error"; None for a doc
    that the component has not processed."""
    return _read(doc, "status")


def get_flags(doc: Doc) -> list[str] | None:
    """`doc._.duoguard_flags`: the flagged categories, in order; None as above."""
    flags = _read(doc, "flags")
    return None if flags is None else list(flags)


def get_windows(doc: Doc) -> list[dict[str, Any]] | None:
    """`doc._.duoguard_windows`: the character offsets of each window into `doc.text`
    and its probabilities, in the order of the categories; None as above."""
    windows = _read(doc, "windows")
    if windows is None:
        return None
    # DocBin returns lists as tuples.
    return [{**window, "probs": list(window["probs"])} for window in windows]


def get_scored_spans(doc: Doc) -> dict[str, dict[str, float]]:
    """doc (Doc): A doc.
    RETURNS (Dict[str, Dict[str, float]]): The scores of all spans that were scored, by
        `span_id`, with the keys of `doc.cats`."""
    labels, spans = _read(doc, "labels"), _read(doc, "spans") or {}
    return {key: to_cats(labels, values) for key, values in spans.items()}


def get_span_cats(span: Span) -> dict[str, float] | None:
    """`span._.duoguard_cats`: the scores of a span that was scored, with the keys of
    `doc.cats`; None for any other span."""
    probabilities = (_read(span.doc, "spans") or {}).get(span_id(span))
    if probabilities is None:
        return None
    return to_cats(_read(span.doc, "labels"), probabilities)


def get_span_delta(span: Span) -> dict[str, float] | None:
    """`span._.duoguard_delta`: how much a span that was scored in context changed the
    probability of each category and of `unsafe`, with the keys of `doc.cats`; None for
    any other span."""
    deltas = (_read(span.doc, "deltas") or {}).get(span_id(span))
    if deltas is None:
        return None
    return dict(zip([*_read(span.doc, "labels"), UNSAFE], deltas, strict=True))


def get_curve(doc: Doc) -> list[dict[str, Any]] | None:
    """`doc._.duoguard_curve`: for each token of the model the character offset of its
    end and the probabilities of the text up to there, in the order of the categories;
    None if no curve was stored."""
    curve = _read(doc, "curve")
    if curve is None:
        return None
    pairs = zip(curve["ends"], curve["probs"], strict=True)
    return [{"end": end, "probs": list(probs)} for end, probs in pairs]


def get_first_unsafe(doc: Doc) -> int | None:
    """`doc._.duoguard_first_unsafe`: how many characters had to be read until a
    category had been above its threshold for `patience` tokens, or was above it at the
    end of the text; 0 for a doc that failed. None if nothing is flagged, or as
    above."""
    return _read(doc, "first_unsafe")


_EXTENSIONS: tuple[tuple[type[Doc] | type[Span], str, Callable[..., Any]], ...] = (
    (Doc, "duoguard_flags", get_flags),
    (Doc, "duoguard_status", get_status),
    (Doc, "duoguard_windows", get_windows),
    (Doc, "duoguard_curve", get_curve),
    (Doc, "duoguard_first_unsafe", get_first_unsafe),
    (Span, "duoguard_cats", get_span_cats),
    (Span, "duoguard_delta", get_span_delta),
)

# For `Language.factory`.
ASSIGNS: list[str] = [
    "doc.cats",
    "doc.spans",
    *(f"{owner.__name__.lower()}._.{name}" for owner, name, _ in _EXTENSIONS),
]


def install_extensions() -> None:
    """Register the extension attributes.

    RAISES (SettingsError): Another package uses one of the names.
    """
    for owner, name, getter in _EXTENSIONS:
        if not owner.has_extension(name):
            owner.set_extension(name, getter=getter)
        elif not _is_same_function(owner.get_extension(name)[2], getter):
            message = Errors.E045.format(owner=owner.__name__.lower(), name=name)
            raise SettingsError(message)


def _is_same_function(registered: Any, getter: Callable[..., Any]) -> bool:
    """By name: a notebook that reloads this module creates the functions again."""
    names = [getattr(registered, key, None) for key in ("__module__", "__name__")]
    return names == [getter.__module__, getter.__name__]
