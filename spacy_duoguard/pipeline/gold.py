"""Reading gold annotations: `doc.cats` of reference docs, and the span group of their
spans.

A category that the gold leaves out is open: neither positive nor negative. `read_cats`
says what gold `unsafe` means for open categories.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
from spacy.tokens import Doc, Span, SpanGroup

from ..engine.prefix_scores import Query
from ..errors import Errors, SettingsError
from ..taxonomy import CATEGORIES, UNSAFE
from .doc_scores import query_in_context

# Gold above this is positive, in training and in the scorer.
POSITIVE = 0.5

# The key of a group's `attrs` that lists what its entries leave out and is known to be
# negative, as [start_char, end_char, label]. A group that has it is partial: a span
# that is neither an entry nor listed there is unknown.
REJECTED = "rejected"


@dataclass(frozen=True)
class Gold:
    """The gold of one text."""

    truths: np.ndarray  # (n_labels,) float32 in [0, 1], NaN where open
    maximum: float | None = None  # target for the largest of the open categories

    @property
    def is_known(self) -> bool:
        """RETURNS (bool): Whether there is any gold."""
        return self.maximum is not None or not np.isnan(self.truths).all()

    @property
    def positive(self) -> np.ndarray:
        """RETURNS (ndarray): (n_labels,) bool, the categories that are positive, or
        that may be the one that is."""
        if self.maximum is not None and self.maximum > POSITIVE:
            return np.isnan(self.truths)
        return self.truths > POSITIVE


@dataclass(frozen=True)
class LabelledText:
    """A text to learn from."""

    source: Doc | Span  # the predicted doc, or a span of it
    gold: Gold


def training_queries(
    texts: Sequence[LabelledText], *, in_context: bool
) -> tuple[list[Query], list[Gold]]:
    """Make the queries to learn from.

    texts (Sequence[LabelledText]): Docs and spans.
    in_context (bool): Score spans in the pass of their doc, not as texts of their own.
    RETURNS (Tuple[List[Query], List[Gold]]): The queries, and the gold of each of their
        outputs: for each query that of the text, then of its spans.
    """
    if not in_context:
        return [Query(text.source.text) for text in texts], [t.gold for t in texts]
    by_doc: dict[Doc, list[LabelledText]] = {}
    for text in texts:
        doc = text.source if isinstance(text.source, Doc) else text.source.doc
        by_doc.setdefault(doc, []).append(text)
    queries, golds = [], []
    for doc, labelled in by_doc.items():
        spans = [text.source for text in labelled if isinstance(text.source, Span)]
        queries.append(query_in_context(doc.text, spans))
        if len(spans) == len(labelled):  # the doc itself is open
            golds.append(Gold(np.full_like(labelled[0].gold.truths, np.nan)))
        n_docs = len(labelled) - len(spans)  # the doc comes before its spans
        golds += [text.gold for text in labelled[:n_docs]]
        golds += _golds_up_to(spans, [text.gold for text in labelled[n_docs:]])
    return queries, golds


def _golds_up_to(spans: Sequence[Span], golds: Sequence[Gold]) -> list[Gold]:
    """The gold of the text up to the end of each span. What an earlier span has, that
    text has too, so it's no example of a text without: the category is open."""
    if not spans:
        return []
    ends = np.array([span.end_char for span in spans])
    order = np.argsort(ends, kind="stable")
    positive = np.stack([gold.positive for gold in golds])
    so_far = np.logical_or.accumulate(positive[order])
    so_far = so_far[np.searchsorted(ends[order], ends, side="right") - 1]
    opened = []
    for gold, before, of_span in zip(golds, so_far, positive, strict=True):
        truths = gold.truths.copy()
        truths[before & ~of_span] = np.nan
        opened.append(replace(gold, truths=truths))
    return opened


def read_cats(cats: Mapping[str, Any], labels: Sequence[str]) -> Gold:
    """Read the gold of a text. Keys other than the categories and `unsafe` are ignored.

    Gold `unsafe` of 0 means that all open categories are 0. Above 0, if no category is
    positive, it is the target for the largest of the open ones.

    cats (Mapping[str, Any]): The known categories, and perhaps `unsafe`.
    labels (Sequence[str]): All categories, in order.
    RETURNS (Gold): The gold.
    RAISES (SettingsError): A value that is not a number in [0, 1], an unsafe text whose
        categories are all 0, or as in `check_maximum` and `check_cats`.
    """
    check_cats(cats)
    values = [read_value(cats, label) for label in labels]
    truths = np.array(values, dtype=np.float32)
    unsafe = read_value(cats, UNSAFE)
    check_maximum(cats)
    if unsafe == 0.0:
        return Gold(np.nan_to_num(truths, nan=0.0))
    if np.isnan(unsafe) or (truths > POSITIVE).any():
        return Gold(truths)
    if np.isnan(truths).any():
        return Gold(truths, unsafe)
    if unsafe > POSITIVE:
        raise SettingsError(Errors.E068.format(value=cats[UNSAFE]))
    return Gold(truths)


def check_maximum(cats: Mapping[str, Any]) -> None:
    """Check that gold doesn't deny `unsafe` where it has one of the twelve categories.
    With a category of your own, a text can be safe in the others.

    cats (Mapping[str, Any]): The gold of a text.
    RAISES (SettingsError): It does.
    """
    unsafe = read_value(cats, UNSAFE)
    for label in CATEGORIES:
        if unsafe <= POSITIVE < read_value(cats, label):  # false if one is open
            value = cats[label]
            message = Errors.E327.format(unsafe=cats[UNSAFE], label=label, value=value)
            raise SettingsError(message)


def check_cats(cats: Any) -> None:
    """cats (Any): The gold of a doc, perhaps damaged.
    RAISES (SettingsError): It isn't a dict."""
    if not isinstance(cats, Mapping):
        raise SettingsError(Errors.E343.format(kind=type(cats).__name__))


def read_value(cats: Mapping[str, Any], key: str) -> float:
    """cats (Mapping[str, Any]): The gold of a text.
    key (str): A category, or `unsafe`.
    RETURNS (float): Its value; NaN if it is unknown.
    RAISES (SettingsError): The value is not a number in [0, 1]."""
    if key not in cats:
        return np.nan
    value = cats[key]
    number = isinstance(value, (bool, int, float, np.integer, np.floating, np.bool_))
    if not number or not 0.0 <= value <= 1.0:  # false for NaN as well
        raise SettingsError(Errors.E063.format(key=key, value=value))
    return float(value)


def foreign_keys(cats: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    """cats (Mapping[str, Any]): Gold of a doc.
    labels (Sequence[str]): The component's categories.
    RETURNS (List[str]): The keys that belong to other components."""
    return [str(key) for key in cats if key != UNSAFE and key not in labels]


def fill_maximum(golds: Sequence[Gold], logits: np.ndarray) -> np.ndarray:
    """Apply gold `unsafe` without a positive category to the likeliest open category,
    as the gradient of a maximum would.

    golds (Sequence[Gold]): The gold of each text.
    logits (ndarray): (n_texts, n_labels).
    RETURNS (ndarray): Truths for a loss, (n_texts, n_labels), NaN where open.
    """
    truths = np.stack([gold.truths for gold in golds])
    for row, gold, scores in zip(truths, golds, logits, strict=True):
        if gold.maximum is not None:
            row[np.where(np.isnan(row), scores, -np.inf).argmax()] = gold.maximum
    return truths


class GoldEntry(NamedTuple):
    """An entry of a gold span group: a span and one category."""

    start: int  # character offsets
    end: int
    label: str


def read_entries(group: Iterable[Span], labels: Sequence[str]) -> list[GoldEntry]:
    """group (Iterable[Span]): The span group of a reference doc.
    labels (Sequence[str]): The categories.
    RETURNS (List[GoldEntry]): Its entries.
    RAISES (SettingsError): A label is not a category."""
    entries = [GoldEntry(span.start_char, span.end_char, span.label_) for span in group]
    _check_labels(entries, labels)
    return entries


def read_rejected(
    group: Iterable[Span], labels: Sequence[str]
) -> list[GoldEntry] | None:
    """group (Iterable[Span]): The span group of a reference doc.
    labels (Sequence[str]): The categories.
    RETURNS (Optional[List[GoldEntry]]): What a partial group says is negative. None if
        the group isn't partial: all that has no entry is negative.
    RAISES (SettingsError): The list is damaged, or a label is not a category."""
    rejected = read_listed(group)
    if rejected is not None:
        _check_labels(rejected, labels)
    return rejected


def read_listed(group: Iterable[Span]) -> list[GoldEntry] | None:
    """group (Iterable[Span]): As in `read_rejected`.
    RETURNS (Optional[List[GoldEntry]]): The same, whatever the labels are.
    RAISES (SettingsError): The list is damaged, or has offsets outside the text."""
    listed = getattr(group, "attrs", {}).get(REJECTED)
    if listed is None:
        return None
    try:
        entries = [GoldEntry(*entry) for entry in listed]
    except TypeError as e:
        raise SettingsError(Errors.E265.format(key=REJECTED)) from e
    length = len(cast(SpanGroup, group).doc.text)
    for start, end, label in entries:
        if not (_is_offset(start) and _is_offset(end) and isinstance(label, str)):
            raise SettingsError(Errors.E265.format(key=REJECTED))
        if not 0 <= start < end <= length:
            message = Errors.E328.format(
                key=REJECTED, start=start, end=end, length=length
            )
            raise SettingsError(message)
    return [GoldEntry(int(start), int(end), label) for start, end, label in entries]


def _is_offset(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check_labels(entries: Iterable[GoldEntry], labels: Sequence[str]) -> None:
    for entry in entries:
        if entry.label != UNSAFE and entry.label not in labels:
            names = ", ".join(labels)
            message = Errors.E067.format(label=entry.label, categories=names)
            raise SettingsError(message)


def read_span_group(
    group: Iterable[Span], spans: Sequence[Span], labels: Sequence[str]
) -> tuple[list[Gold], int]:
    """Read the gold of the spans of a doc. A span without an entry is negative in all
    categories. If an entry with other offsets overlaps a span, its category is open
    there: different boundaries don't make the span safe. In a partial group, a category
    without an entry is only negative if it was rejected (see `REJECTED`), else open.

    group (Iterable[Span]): The span group of the reference doc.
    spans (Sequence[Span]): What the span getter returned for the predicted doc.
    labels (Sequence[str]): The categories.
    RETURNS (Tuple[List[Gold], int]): The gold of each span, and the number of entries
        that match no span.
    RAISES (SettingsError): A label is not a category.
    """
    entries, rejected = read_entries(group, labels), read_rejected(group, labels)
    offsets = [(span.start_char, span.end_char) for span in spans]
    known = set(offsets)
    if rejected is not None:
        return _read_partial(entries, rejected, offsets, labels)
    unmatched = [entry for entry in entries if entry[:2] not in known]
    golds = []
    for start, end in offsets:
        matching = {entry.label for entry in entries if entry[:2] == (start, end)}
        overlapping = {
            entry.label
            for entry in unmatched
            if entry.start < end and start < entry.end
        }
        cats = dict.fromkeys(matching, 1.0)
        if UNSAFE not in matching | overlapping:
            negative = set(labels) - matching - overlapping
            cats.update(dict.fromkeys(negative, 0.0))
        golds.append(read_cats(cats, labels))
    return golds, len(unmatched)


def _read_partial(
    entries: Sequence[GoldEntry],
    rejected: Sequence[GoldEntry],
    offsets: Sequence[tuple[int, int]],
    labels: Sequence[str],
) -> tuple[list[Gold], int]:
    cats: dict[tuple[int, int], dict[str, float]] = {key: {} for key in offsets}
    n_unmatched = 0
    for known, value in ((rejected, 0.0), (entries, 1.0)):
        for entry in known:
            if entry[:2] in cats:
                cats[entry[:2]][entry.label] = value
            else:
                n_unmatched += 1
    return [read_cats(cats[key], labels) for key in offsets], n_unmatched
