"""What reference docs teach: `doc.cats` of docs, and the span group of their spans.

A category that the gold leaves out is open: neither yes nor no. What gold `unsafe` says
of the open ones is in `read_cats`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span

from ..engine.prefix_scores import Query
from ..errors import Errors, SettingsError
from ..taxonomy import UNSAFE

# A category is positive above it, here as in the scorer.
POSITIVE = 0.5


@dataclass(frozen=True)
class Gold:
    """What is known about one text."""

    truths: np.ndarray  # (n_labels,) float32 in [0, 1], NaN where open
    maximum: float | None = None  # what the largest of the open ones should be

    @property
    def teaches(self) -> bool:
        """Whether anything is known."""
        return self.maximum is not None or not np.isnan(self.truths).all()


@dataclass(frozen=True)
class Lesson:
    """A text and its gold."""

    source: Doc | Span  # of the predicted doc
    gold: Gold


def ask_lessons(
    lessons: Sequence[Lesson], *, in_context: bool
) -> tuple[list[Query], list[Gold]]:
    """What to score in order to learn.

    lessons (Sequence[Lesson]): Docs and spans.
    in_context (bool): Score spans in the pass of their doc, not as texts of their own.
    RETURNS (Tuple[List[Query], List[Gold]]): The queries, and the gold of each text and
        span in the order in which they answer.
    """
    if not in_context:
        queries = [Query(lesson.source.text) for lesson in lessons]
        return queries, [lesson.gold for lesson in lessons]
    by_doc: dict[Doc, tuple[list[Gold], list[tuple[Span, Gold]]]] = {}
    for lesson in lessons:
        own = lesson.source
        if isinstance(own, Doc):
            by_doc.setdefault(own, ([], []))[0].append(lesson.gold)
        else:
            by_doc.setdefault(own.doc, ([], []))[1].append((own, lesson.gold))
    queries, golds = [], []
    for doc, (of_doc, of_spans) in by_doc.items():
        # A doc that only its spans teach is open.
        open_gold = Gold(np.full_like(lessons[0].gold.truths, np.nan))
        places = tuple((span.start_char, span.end_char) for span, _ in of_spans)
        queries.append(Query(doc.text, places))
        golds += [*(of_doc or [open_gold]), *(gold for _, gold in of_spans)]
    return queries, golds


def read_cats(cats: Mapping[str, Any], labels: Sequence[str]) -> Gold:
    """Read the gold of a text. Keys that are neither ours nor `unsafe` are left alone.

    Gold `unsafe` of 0 says that all open categories are 0. Above 0, where no category
    is positive, it says what the largest of the open ones should be.

    cats (Mapping[str, Any]): The categories that are known, and perhaps `unsafe`.
    labels (Sequence[str]): All categories, in order.
    RETURNS (Gold): What they say.
    RAISES (SettingsError): A value that is no number in [0, 1], or an unsafe text all
        of whose categories are known to be 0.
    """
    values = [_value(cats, label) for label in labels]
    truths = np.array(values, dtype=np.float32)
    unsafe = _value(cats, UNSAFE)
    if unsafe == 0.0:
        return Gold(np.nan_to_num(truths, nan=0.0))
    if np.isnan(unsafe) or (truths > POSITIVE).any():
        return Gold(truths)
    if np.isnan(truths).any():
        return Gold(truths, unsafe)
    if unsafe > POSITIVE:
        raise SettingsError(Errors.E068.format(value=cats[UNSAFE]))
    return Gold(truths)


def _value(cats: Mapping[str, Any], key: str) -> float:
    if key not in cats:
        return np.nan
    value = cats[key]
    number = isinstance(value, (bool, int, float, np.integer, np.floating, np.bool_))
    if not number or not 0.0 <= value <= 1.0:  # false for NaN as well
        raise SettingsError(Errors.E063.format(key=key, value=value))
    return float(value)


def foreign_keys(cats: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    """cats (Mapping[str, Any]): Gold of a doc.
    labels (Sequence[str]): Our categories.
    RETURNS (List[str]): Keys that belong to someone else."""
    return [str(key) for key in cats if key != UNSAFE and key not in labels]


def fill_maximum(golds: Sequence[Gold], logits: np.ndarray) -> np.ndarray:
    """Decide which category an `unsafe` without one supervises: of the open ones that
    which the model finds likeliest, as the gradient of a maximum does.

    golds (Sequence[Gold]): Of each text.
    logits (ndarray): Theirs, (n_texts, n_labels).
    RETURNS (ndarray): Truths for a loss, of the same shape, NaN where open.
    """
    truths = np.stack([gold.truths for gold in golds])
    for row, gold, own in zip(truths, golds, logits, strict=True):
        if gold.maximum is not None:
            row[np.where(np.isnan(row), own, -np.inf).argmax()] = gold.maximum
    return truths


def read_group(
    group: Iterable[Span], spans: Sequence[Span], labels: Sequence[str]
) -> tuple[list[Gold], int]:
    """Read the gold of the spans of a doc. A span without an entry has no category. A
    span that an entry of another extent overlaps is open in the entry's categories:
    that the gold was drawn elsewhere does not make the span safe.

    group (Iterable[Span]): The entries of the reference: a span for each category.
    spans (Sequence[Span]): What the getter gave for the predicted doc.
    labels (Sequence[str]): The categories.
    RETURNS (Tuple[List[Gold], int]): The gold of each span, and how many entries lie on
        none of them.
    RAISES (SettingsError): An entry whose label is no category.
    """
    entries = check_group(group, labels)
    places = {_place(span) for span in spans}
    strays = [entry for entry in entries if entry[0] not in places]
    golds = []
    for span in spans:
        start, end = _place(span)
        own = {label for place, label in entries if place == (start, end)}
        touching = {
            label for (left, right), label in strays if left < end and start < right
        }
        cats = dict.fromkeys(own, 1.0)
        if UNSAFE not in own | touching:
            rest = [label for label in labels if label not in own | touching]
            cats.update(dict.fromkeys(rest, 0.0))
        golds.append(read_cats(cats, labels))
    return golds, len(strays)


def check_group(
    group: Iterable[Span], labels: Sequence[str]
) -> list[tuple[tuple[int, int], str]]:
    """group (Iterable[Span]): The entries of a reference.
    labels (Sequence[str]): The categories.
    RETURNS (List[Tuple]): For each the characters from and to, and the label.
    RAISES (SettingsError): A label that is no category."""
    entries = [(_place(span), span.label_) for span in group]
    for _, label in entries:
        if label != UNSAFE and label not in labels:
            names = ", ".join(labels)
            raise SettingsError(Errors.E067.format(label=label, categories=names))
    return entries


def _place(span: Span) -> tuple[int, int]:
    return span.start_char, span.end_char
