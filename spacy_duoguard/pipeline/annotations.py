"""What the component writes into a doc, and the attributes that read it.

Everything but `doc.cats` and `doc.spans` is one record of plain data in
`doc.user_data["duoguard"]`, and the extension attributes are getters over it. Its keys
are strings, because tuples would not survive `Doc.to_bytes`:

    labels        the categories, in the order of all lists of probabilities
    status        as `doc._.duoguard_status`
    flags         as `doc._.duoguard_flags`
    probs         the probabilities of the doc, as in `doc.cats`, which other components
                  can overwrite
    windows       as `doc._.duoguard_windows`
    spans         probabilities of each scored span, by `span_id`
    span_flags    likewise the flagged categories of each
    deltas        likewise its deltas, with that of `unsafe` last
    curve         {"ends": [...], "probs": [...]}, with an item per token in each; in
                  the attribute they are paired
    first_unsafe  as `doc._.duoguard_first_unsafe`
    component     the component that wrote the record
    spans_key     the group of `doc.spans` that it wrote; None if it scores no spans
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from spacy.tokens import Doc, Span, SpanGroup

from ..engine.flags import first_flag, flagged
from ..errors import Warnings
from ..taxonomy import UNSAFE
from .doc_scores import DocScores

KEY = "duoguard"

FlaggedSpans = Sequence[tuple[Span, dict[str, float]]]


class SpansGroup(NamedTuple):
    """The group of `doc.spans` that a component writes."""

    component: str
    spans_key: str


def annotate(
    doc: Doc,
    scores: DocScores,
    thresholds: Mapping[str, float],
    group: SpansGroup,
    patience: int,
) -> None:
    """Write scores into a doc. The keys of other components in `doc.cats` are kept.

    doc (Doc): The doc.
    scores (DocScores): Its scores.
    thresholds (Mapping[str, float]): The threshold of each category, in order.
    group (SpansGroup): The component, and its group for flagged spans.
    patience (int): Number of consecutive tokens above a threshold that raise a flag in
        the curve.
    """
    flagged_spans = _flag_spans(scores, thresholds)
    record = make_record(scores, thresholds, group, patience, flagged_spans)
    write_record(doc, record, group, flagged_spans)


def make_record(
    scores: DocScores,
    thresholds: Mapping[str, float],
    group: SpansGroup,
    patience: int,
    flagged_spans: FlaggedSpans = (),
) -> dict[str, Any]:
    """scores, thresholds, group, patience: As for `annotate`.
    flagged_spans (FlaggedSpans): The flags of each span.
    RETURNS (Dict[str, Any]): The record for the doc."""
    probabilities = scores.probabilities.tolist()
    spans = scores.spans or ()
    return {
        "labels": list(thresholds),
        "status": scores.status,
        "flags": list(flagged(probabilities, thresholds, failed=scores.has_failed)),
        "probs": probabilities,
        "windows": [
            {"start": w.start, "end": w.end, "probs": w.probabilities.tolist()}
            for w in scores.windows
        ],
        "spans": {span_id(s.span): s.probabilities.tolist() for s in spans},
        "span_flags": {span_id(span): list(flags) for span, flags in flagged_spans},
        "deltas": {
            span_id(s.span): s.delta.tolist() for s in spans if s.delta is not None
        },
        **_curve_fields(scores, thresholds, patience),
        "component": group.component,
        "spans_key": None if scores.spans is None else group.spans_key,
    }


def write_record(
    doc: Doc, record: dict[str, Any], group: SpansGroup, spans: FlaggedSpans = ()
) -> None:
    """doc (Doc), group (SpansGroup): As for `annotate`.
    record (Dict[str, Any]), spans: What `make_record` made, and of which spans."""
    earlier = earlier_group(doc, group.component, spans_key=group.spans_key)
    _repair(doc)
    doc.cats.update(to_cats(record["labels"], record["probs"]))
    doc.user_data[KEY] = record
    if earlier is not None:
        doc.spans.pop(earlier, None)
    if record["spans_key"] is not None:
        doc.spans[group.spans_key] = _to_group(doc, spans, group.spans_key)


def earlier_group(
    doc: Doc, component: str, *, spans_key: str | None = None
) -> str | None:
    """doc (Doc): A doc.
    component (str): The name of a component.
    spans_key (Optional[str]): Its group of `doc.spans`, if known.
    RETURNS (Optional[str]): The group that the component wrote in an earlier run, or
        that had the same key; None if another component wrote another group."""
    key = _read(doc, "spans_key")
    is_same = key == spans_key or _read(doc, "component") == component
    return key if is_same and isinstance(key, str) else None


def _repair(doc: Doc) -> None:
    """Make room for the results if other code replaced what holds them."""
    if not isinstance(doc.cats, dict):
        doc.cats = {}
    if not isinstance(doc.user_data, dict):
        doc.user_data = {}


def _flag_spans(scores: DocScores, thresholds: Mapping[str, float]) -> FlaggedSpans:
    """Each scored span with the probabilities of its flagged categories."""
    flag = partial(flagged, thresholds=thresholds, failed=scores.has_failed)
    return [(s.span, flag(s.probabilities.tolist())) for s in scores.spans or ()]


def _to_group(doc: Doc, flagged_spans: FlaggedSpans, name: str) -> SpanGroup:
    """An entry for each span and each of its flagged categories."""
    entries: list[Span] = []
    probabilities: list[float] = []
    for span, flags in flagged_spans:
        entries += [Span(doc, span.start, span.end, label=label) for label in flags]
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
    record = doc.user_data.get(KEY) if isinstance(doc.user_data, dict) else None
    return record.get(field) if isinstance(record, dict) else None


def get_status(doc: Doc) -> str | None:
    """`doc._.duoguard_status`: "ok", "empty", "truncated" or "error"; None for a doc
    that the component has not processed."""
    _warn_of_clash(doc)
    return _read(doc, "status")


def get_flags(doc: Doc) -> list[str] | None:
    """`doc._.duoguard_flags`: the flagged categories, in order; None as above."""
    _warn_of_clash(doc)
    flags = _read(doc, "flags")
    return None if flags is None else list(flags)


def get_scores(doc: Doc) -> dict[str, float] | None:
    """`doc._.duoguard_cats`: the scores that the component wrote, with the keys of
    `doc.cats`, where another component may have overwritten them; None as above."""
    _warn_of_clash(doc)
    return _read_scores(doc)


def _read_scores(doc: Doc) -> dict[str, float] | None:
    labels, probabilities = _read(doc, "labels"), _read(doc, "probs")
    return to_cats(labels, probabilities) if labels and probabilities else None


def _warn_of_clash(doc: Doc) -> None:
    """Warn if `doc.cats` has other scores than the component wrote."""
    scores, cats = _read_scores(doc) or {}, doc.cats or {}
    changed = [key for key, value in scores.items() if cats.get(key, value) != value]
    if changed:
        keys = ", ".join(map(repr, changed))
        # Always at this line, so that Python shows it once.
        warnings.warn(Warnings.W004.format(keys=keys), stacklevel=1)


def get_windows(doc: Doc) -> list[dict[str, Any]] | None:
    """`doc._.duoguard_windows`: the character offsets of each window into `doc.text`
    and its probabilities, in the order of the categories; None as above."""
    windows = _read(doc, "windows")
    if windows is None:
        return None
    # DocBin returns lists as tuples.
    return [{**window, "probs": list(window["probs"])} for window in windows]


def get_flagged_spans(doc: Doc) -> list[dict[str, Any]]:
    """doc (Doc): A doc.
    RETURNS (List[Dict[str, Any]]): The spans that were flagged, in order: character
        offsets "start" and "end", and "cats" with their flagged categories."""
    scored = get_scored_spans(doc)
    spans = []
    for key, flags in (_read(doc, "span_flags") or {}).items():
        start, end = map(int, key.split(":"))
        cats = {label: scored[key][label] for label in flags}
        if cats:
            spans.append({"start": start, "end": end, "cats": cats})
    return spans


def get_spans_key(doc: Doc) -> str | None:
    """doc (Doc): A doc.
    RETURNS (Optional[str]): The group of `doc.spans` that the component wrote."""
    return _read(doc, "spans_key")


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
