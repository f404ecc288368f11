"""Records of one text are merged, and their contradictions found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_duoguard.corpora.annotations import Annotation, Answer
from spacy_duoguard.corpora.merge import Policy, _Denials, merge
from spacy_duoguard.taxonomy import UNSAFE

LABELS = ("A", "B")
SPAN, OTHER = (0, 5), (6, 9)


def note(*answers, covers_spans=False):
    return Annotation(tuple(Answer(*answer) for answer in answers), covers_spans)


def merged(*annotations, policy=Policy.refuse):
    return merge(list(enumerate(annotations, start=1)), LABELS, policy)


def test_what_agrees_is_combined():
    gold = merged(
        note(("A", 1.0)),
        note(("B", 0.0), ("A", 1.0)),
        note((UNSAFE, 1.0), ("A", 0.0, SPAN)),
        note(("B", 1.0, SPAN)),
    )
    assert gold.cats == {"A": 1.0, "B": 0.0, UNSAFE: 1.0}
    assert gold.spans == {SPAN: {"A": 0.0, "B": 1.0}}
    assert (gold.covers_spans, gold.conflicts) == (False, [])


# Each with what the policies `unknown`, `unsafe` and `last` make of it.
CONFLICTS = [
    (
        [note(("A", 1.0)), note(("A", 0.0))],
        ("A", (1, 2)),
        [{}, {"A": 1.0}, {"A": 0.0}],
    ),
    (
        [note((UNSAFE, 0.0)), note(("A", 1.0), ("B", 0.0))],
        (UNSAFE, (1, 2)),
        [{"B": 0.0}, {"A": 1.0, "B": 0.0}, {"A": 1.0, "B": 0.0}],
    ),
    (
        [note(("A", 1.0), ("B", 0.0)), note((UNSAFE, 0.0))],
        (UNSAFE, (1, 2)),
        [{"B": 0.0}, {"A": 1.0, "B": 0.0}, {UNSAFE: 0.0, "B": 0.0}],
    ),
    (
        [note((UNSAFE, 1.0)), note(("A", 0.0)), note(("B", 0.0))],
        (UNSAFE, (1, 2, 3)),
        [{}, {UNSAFE: 1.0}, {"A": 0.0, "B": 0.0}],
    ),
]


@pytest.mark.parametrize(("annotations", "conflict", "outcomes"), CONFLICTS)
def test_contradictions_are_found_and_settled(annotations, conflict, outcomes):
    for policy, cats in zip(list(Policy)[1:], outcomes, strict=True):
        gold = merged(*annotations, policy=policy)
        assert [(c.label, c.records) for c in gold.conflicts] == [conflict]
        assert gold.cats == cats, policy
    on_spans = [
        note(*(answer._replace(span=SPAN) for answer in annotation.answers))
        for annotation in annotations
    ]
    for policy, values in zip(list(Policy)[1:], outcomes, strict=True):
        gold = merged(*on_spans, policy=policy)
        assert [(c.label, c.span) for c in gold.conflicts] == [(conflict[0], SPAN)]
        assert gold.spans == ({SPAN: values} if values else {})


def test_all_spans_labelled_means_that_the_rest_is_negative():
    every = note(("A", 1.0, SPAN), covers_spans=True)
    assert merged(every, note(("B", 0.0, SPAN))).conflicts == []
    assert merged(every, note(("A", 1.0, SPAN))).conflicts == []
    gold = merged(every, note(("A", 1.0, OTHER)))
    assert [(c.label, c.span, c.records) for c in gold.conflicts] == [
        ("A", OTHER, (1, 2))
    ]
    # Different boundaries are no contradiction: training leaves the category open.
    assert merged(every, note(("A", 1.0, (1, 5)))).conflicts == []
    assert merged(every, note((UNSAFE, 1.0, SPAN))).conflicts == []
    gold = merged(every, note(covers_spans=True))
    assert [c.records for c in gold.conflicts] == [(1, 2)]


def test_a_group_with_an_unknown_span_no_longer_covers_all():
    every = note(("A", 1.0, SPAN), covers_spans=True)
    other = note(("A", 1.0, OTHER))
    assert merged(every, other, policy=Policy.unsafe).covers_spans
    gold = merged(every, other, policy=Policy.unknown)
    assert (gold.spans, gold.covers_spans) == ({SPAN: {"A": 1.0}}, False)


def test_a_group_that_leaves_out_a_span_no_longer_covers_all():
    """Another record, which doesn't have the span, would make it safe."""
    every = note(("A", 1.0, SPAN), covers_spans=True)
    gold = merged(every, Annotation((), leaves_out_spans=True))
    assert (gold.spans, gold.covers_spans) == ({SPAN: {"A": 1.0}}, False)


answers = st.builds(
    Answer,
    st.sampled_from([*LABELS, UNSAFE]),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([None, SPAN]),
)
notes = st.lists(st.lists(answers, max_size=3).map(lambda a: note(*a)), max_size=6)


@given(notes, st.sampled_from(list(Policy)[1:]))
def test_what_is_settled_has_no_contradiction(annotations, policy):
    gold = merged(*annotations, policy=policy)
    places = {None: gold.cats, **gold.spans}
    settled = [
        Answer(label, value, span)
        for span, values in places.items()
        for label, value in values.items()
    ]
    assert merged(note(*settled)).conflicts == []
    given = {answer for annotation in annotations for answer in annotation.answers}
    assert given.issuperset(settled)
    if not gold.conflicts:
        assert given == set(settled)


@given(notes)
def test_the_order_of_records_matters_only_to_last(annotations):
    for policy in (Policy.unknown, Policy.unsafe):
        gold = merged(*annotations, policy=policy)
        turned = merged(*reversed(annotations), policy=policy)
        assert (gold.cats, gold.spans) == (turned.cats, turned.spans)
        assert len(gold.conflicts) == len(turned.conflicts)


def denies(answers, other):
    """Like `_Denials`, span by span."""
    return not any(
        UNSAFE in (answer.label, other.label) or answer.label == other.label
        for answer in answers
        if answer.span is not None
        and answer.span[0] < other.span[1]
        and other.span[0] < answer.span[1]
    )


places = st.tuples(st.integers(0, 12), st.integers(1, 5)).map(lambda p: (p[0], sum(p)))
labels = st.sampled_from([*LABELS, UNSAFE])
answers = st.builds(Answer, labels, st.just(1.0), st.none() | places)


@given(st.lists(answers, max_size=6), st.builds(Answer, labels, st.just(1.0), places))
def test_a_record_denies_what_overlaps_none_of_its_spans(found, other):
    assert _Denials(found).denies(other) == denies(found, other)
