"""Combine what several records say about one text, and find where they contradict each
other."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import NamedTuple

from ..pipeline.gold import POSITIVE
from ..taxonomy import UNSAFE
from .annotations import Annotation, Answer

Span = tuple[int, int] | None  # None: the whole text


class Policy(str, Enum):
    """What becomes of contradictions."""

    refuse = "refuse"  # nothing is written
    unknown = "unknown"  # what is contradicted is left out
    unsafe = "unsafe"  # the highest value counts
    last = "last"  # the later record counts


class Fact(NamedTuple):
    """A value that a record gives, or implies."""

    value: float
    record: int  # its number


@dataclass(frozen=True)
class Conflict:
    """Records that contradict each other."""

    label: str
    span: Span
    records: tuple[int, ...]


@dataclass
class Merged:
    """What all records of a text say."""

    cats: dict[str, float]
    spans: dict[tuple[int, int], dict[str, float]]
    covers_spans: bool  # all spans that have a category are there
    conflicts: list[Conflict]


def merge(
    annotations: Sequence[tuple[int, Annotation]],
    categories: Sequence[str],
    policy: Policy,
) -> Merged:
    """annotations (Sequence[Tuple[int, Annotation]]): The numbers of the records of one
        text, and what they say, in order.
    categories (Sequence[str]): All categories.
    policy (Policy): What becomes of contradictions. `refuse` only reports them.
    RETURNS (Merged): The gold of the text."""
    conflicts: list[Conflict] = []
    places: dict[Span, dict[str, float]] = {}
    for span, facts in _group(annotations).items():
        place = _Place(span, facts, policy, conflicts)
        place.settle_values()
        place.settle_unsafe()
        place.settle_all_negative(categories)
        places[span] = {label: fact.value for label, fact in place.facts.items()}
    cats = places.pop(None, {})
    spans = {span: values for span, values in places.items() if span and values}
    covers = any(annotation.covers_spans for _, annotation in annotations)
    # An entry that was left out would count as negative in a complete group.
    doubted = policy is Policy.unknown and any(c.span for c in conflicts)
    doubted |= any(annotation.leaves_out_spans for _, annotation in annotations)
    return Merged(cats, spans, covers and not doubted, conflicts)


def _group(
    annotations: Sequence[tuple[int, Annotation]],
) -> dict[Span, dict[str, list[Fact]]]:
    """The facts about each span and label. Where a record labels all spans, those of
    other records that it doesn't have are negative."""
    grouped: dict[Span, dict[str, list[Fact]]] = {}
    positive = dict.fromkeys(
        answer
        for _, annotation in annotations
        for answer in annotation.answers
        if answer.span is not None and answer.value > POSITIVE
    )
    for number, annotation in annotations:
        answers = list(annotation.answers)
        if annotation.covers_spans:
            denials = _Denials(answers)
            answers += [a._replace(value=0.0) for a in positive if denials.denies(a)]
        for answer in answers:
            facts = grouped.setdefault(answer.span, {}).setdefault(answer.label, [])
            facts.append(Fact(answer.value, number))
    return grouped


class _Overlaps:
    """Finds out in logarithmic time whether one of many spans overlaps another."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(spans)
        self.starts = [start for start, _ in ordered]
        # The highest end of each span and all before it.
        self.ends = list(accumulate((end for _, end in ordered), max))

    def __call__(self, start: int, end: int) -> bool:
        before = bisect_left(self.starts, end)
        return before > 0 and start < self.ends[before - 1]


class _Denials:
    """Whether a record that labels all spans says that another one's span is negative.
    Where it has the category with other boundaries, it doesn't say so."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        by_label: dict[str, list[tuple[int, int]]] = {}
        for answer in answers:
            if answer.span is not None:
                by_label.setdefault(answer.label, []).append(answer.span)
        self.by_label = {label: _Overlaps(spans) for label, spans in by_label.items()}

    def denies(self, answer: Answer) -> bool:
        """answer (Answer): What another record says about a span."""
        assert answer.span is not None
        labels = [answer.label, UNSAFE]
        if answer.label == UNSAFE:  # any category makes a span unsafe
            labels = list(self.by_label)
        return not any(
            self.by_label[label](*answer.span)
            for label in labels
            if label in self.by_label
        )


class _Place:
    """The facts about a text or a span, from which contradictions are removed."""

    def __init__(
        self,
        span: Span,
        values: Mapping[str, list[Fact]],
        policy: Policy,
        conflicts: list[Conflict],
    ) -> None:
        self.span = span
        self.values = values
        self.policy = policy
        self.conflicts = conflicts
        self.facts: dict[str, Fact] = {}

    def settle_values(self) -> None:
        """Keep one fact for each label."""
        for label, facts in self.values.items():
            if len({fact.value for fact in facts}) > 1:
                self._report(label, facts)
                if self.policy is Policy.unknown:
                    continue
                if self.policy is Policy.unsafe:
                    facts = sorted(facts)
            self.facts[label] = facts[-1]

    def settle_unsafe(self) -> None:
        """A text that isn't unsafe has no category."""
        unsafe = self.facts.get(UNSAFE)
        positive = self._labels(positive=True)
        if unsafe is None or unsafe.value > POSITIVE or not positive:
            return
        self._choose(positive, keep_unsafe=False)

    def settle_all_negative(self, categories: Sequence[str]) -> None:
        """A text that is unsafe has a category."""
        unsafe = self.facts.get(UNSAFE)
        negative = self._labels(positive=False)
        if unsafe is None or unsafe.value <= POSITIVE or {*categories} - {*negative}:
            return
        self._choose(negative, keep_unsafe=True)

    def _labels(self, *, positive: bool) -> list[str]:
        return [
            label
            for label, fact in self.facts.items()
            if label != UNSAFE and (fact.value > POSITIVE) == positive
        ]

    def _choose(self, labels: Iterable[str], *, keep_unsafe: bool) -> None:
        """Leave out `unsafe` or the categories that contradict it.

        labels (Iterable[str]): The categories.
        keep_unsafe (bool): Whether `unsafe` has the higher value."""
        labels = list(labels)
        facts = [self.facts[label] for label in (UNSAFE, *labels)]
        self._report(UNSAFE, facts)
        if self.policy is Policy.last:
            keep_unsafe = facts[0].record >= max(fact.record for fact in facts[1:])
        if not keep_unsafe or self.policy is Policy.unknown:
            del self.facts[UNSAFE]
        if keep_unsafe or self.policy is Policy.unknown:
            for label in labels:
                del self.facts[label]

    def _report(self, label: str, facts: Iterable[Fact]) -> None:
        records = tuple(sorted({fact.record for fact in facts}))
        self.conflicts.append(Conflict(label, self.span, records))
