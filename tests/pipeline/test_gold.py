"""Reading gold annotations."""

import numpy as np
import pytest
import spacy
from spacy.tokens import DocBin, Span, SpanGroup

from spacy_duoguard.errors import SettingsError
from spacy_duoguard.pipeline.gold import (
    REJECTED,
    LabelledText,
    fill_maximum,
    foreign_keys,
    read_cats,
    read_rejected,
    read_span_group,
    training_queries,
)
from spacy_duoguard.taxonomy import CATEGORIES

NAN = float("nan")
LABELS = ("A", "B", "C")


@pytest.mark.parametrize(
    ("cats", "truths", "maximum"),
    [
        ({}, [NAN, NAN, NAN], None),
        ({"A": 1.0}, [1, NAN, NAN], None),
        ({"B": 0}, [NAN, 0, NAN], None),
        ({"A": True, "C": np.float32(0.0)}, [1, NAN, 0], None),
        ({"unsafe": 0.0}, [0, 0, 0], None),
        ({"unsafe": 0.0, "A": 0.5}, [0.5, 0, 0], None),
        ({"unsafe": 1.0}, [NAN, NAN, NAN], 1.0),
        ({"unsafe": 1.0, "A": 0.0}, [0, NAN, NAN], 1.0),
        ({"unsafe": 1.0, "A": 1.0}, [1, NAN, NAN], None),
        ({"unsafe": 0.75, "A": 0.25}, [0.25, NAN, NAN], 0.75),
        ({"unsafe": 0.25, "A": 0.0}, [0, NAN, NAN], 0.25),
        ({"unsafe": 0.25, "A": 0.0, "B": 0.25, "C": 0.0}, [0, 0.25, 0], None),
        ({"POSITIVE": 1.0}, [NAN, NAN, NAN], None),
    ],
)
def test_cats(cats, truths, maximum):
    gold = read_cats(cats, LABELS)
    assert np.array_equal(gold.truths, np.array(truths, "f4"), equal_nan=True)
    assert gold.maximum == maximum
    assert gold.is_known == (cats not in ({}, {"POSITIVE": 1.0}))


@pytest.mark.parametrize("value", [1.5, -0.1, NAN, "1", None, [1]])
@pytest.mark.parametrize("key", ["A", "unsafe"])
def test_values_outside_the_range(key, value):
    with pytest.raises(SettingsError, match=rf"E063.*'{key}'"):
        read_cats({key: value}, LABELS)
    read_cats({"POSITIVE": value}, LABELS)  # belongs to another component


def test_an_unsafe_text_without_a_category_contradicts_itself():
    with pytest.raises(SettingsError, match=r"E068.*add_label"):
        read_cats({"A": 0, "B": 0, "C": 0, "unsafe": 1}, LABELS)


@pytest.mark.parametrize(
    "cats",
    [
        {"unsafe": 0, "Hate": 1},
        {"unsafe": 0.5, "Hate": 0.75},
        {"unsafe": 0, "Hate": True},
    ],
)
def test_a_text_with_a_category_is_unsafe(cats):
    with pytest.raises(SettingsError, match=r"E327.*unsafe = 0.*, but Hate = "):
        read_cats({"Violent crimes": 0.0, **cats}, CATEGORIES)


def test_a_text_of_an_own_category_can_be_safe_in_the_others():
    truths = read_cats({"unsafe": 0.0, "Spam": 1.0}, (*CATEGORIES, "Spam")).truths
    assert truths.tolist() == [0.0] * len(CATEGORIES) + [1.0]


def test_unsafe_supervises_the_largest_open_category():
    golds = [
        read_cats({"unsafe": 1.0, "A": 0.0}, LABELS),
        read_cats({"unsafe": 0.75}, LABELS),
        read_cats({"B": 1.0}, LABELS),
    ]
    logits = np.array([[9.0, -1.0, -2.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    expected = np.array([[0, 1, NAN], [NAN, NAN, 0.75], [NAN, 1, NAN]])
    assert np.array_equal(fill_maximum(golds, logits), expected, equal_nan=True)
    assert np.isnan(golds[1].truths).all()  # the gold itself stays as it was


def test_foreign_keys():
    assert foreign_keys({"A": 1, "unsafe": 0, "POSITIVE": 1}, LABELS) == ["POSITIVE"]


@pytest.fixture
def doc():
    return spacy.blank("en")("one two three four five six")


def test_spans_without_an_entry_are_negative(doc):
    group = [Span(doc, 0, 2, label="A"), Span(doc, 0, 2, label="C")]
    golds, unmatched = read_span_group(group, [doc[0:2], doc[2:4]], LABELS)
    assert [gold.truths.tolist() for gold in golds] == [[1, 0, 1], [0, 0, 0]]
    assert unmatched == 0


def test_an_entry_on_no_span_leaves_its_category_open_where_it_lies(doc):
    group = [Span(doc, 1, 3, label="A"), Span(doc, 2, 4, label="B")]
    golds, unmatched = read_span_group(group, [doc[0:2], doc[2:4], doc[4:6]], LABELS)
    expected = [[NAN, 0, 0], [NAN, 1, 0], [0, 0, 0]]
    for gold, truths in zip(golds, expected, strict=True):
        assert np.array_equal(gold.truths, np.array(truths, "f4"), equal_nan=True)
    assert unmatched == 1


def test_entries_that_only_touch_a_span_do_not_open_it():
    vocab = spacy.blank("en").vocab
    doc = spacy.tokens.Doc(vocab, words=list("abcdef"), spaces=[False] * 6)
    spans = [doc[0:2], doc[4:6]]
    golds, unmatched = read_span_group([Span(doc, 2, 4, label="A")], spans, LABELS)
    assert [gold.truths.tolist() for gold in golds] == [[0, 0, 0], [0, 0, 0]]
    assert unmatched == 1


def test_a_span_can_be_unsafe_in_some_way(doc):
    spans = [doc[0:2], doc[2:4]]
    golds, _ = read_span_group([Span(doc, 0, 2, label="unsafe")], spans, LABELS)
    assert golds[0].maximum == 1.0
    assert np.isnan(golds[0].truths).all()
    assert golds[1].truths.tolist() == [0, 0, 0]
    golds, _ = read_span_group([Span(doc, 1, 2, label="unsafe")], spans, LABELS)
    assert not golds[0].is_known


def test_an_entry_of_another_tokenization_is_found_by_its_characters(doc):
    other = spacy.tokens.Doc(
        doc.vocab,
        words=["one", "t", "wo", "three", "four", "five", "six"],
        spaces=[True, False, True, True, True, True, False],
    )
    assert other.text == doc.text
    group = [Span(other, 0, 3, label="A")]
    golds, unmatched = read_span_group(group, [doc[0:2]], LABELS)
    assert golds[0].truths.tolist() == [1, 0, 0]
    assert unmatched == 0


@pytest.mark.parametrize("label", ["D", ""])
def test_an_entry_of_an_unknown_category(doc, label):
    with pytest.raises(SettingsError, match=rf"E067.*'{label}'.*A, B, C"):
        read_span_group([Span(doc, 0, 2, label=label)], [doc[0:2]], LABELS)


def test_in_context_what_an_earlier_span_has_is_open_in_later_ones():
    """The text up to a later span has the earlier one, so it's no negative example."""
    nlp = spacy.blank("en")
    doc = nlp("a b c d")
    spans = [doc[i : i + 1] for i in range(4)]
    golds = [
        read_cats({"unsafe": 0.0}, LABELS),
        read_cats({"A": 1.0, "B": 0.0, "C": 0.0}, LABELS),
        read_cats({"A": 0.0, "B": 1.0, "C": 0.0}, LABELS),
        read_cats({"unsafe": 0.0}, LABELS),
    ]
    texts = [LabelledText(doc, read_cats({}, LABELS))]
    texts += map(LabelledText, spans, golds)
    expected = [[NAN] * 3, [0, 0, 0], [1, 0, 0], [NAN, 1, 0], [NAN, NAN, 0]]
    _, in_context = training_queries(texts, in_context=True)
    truths = [gold.truths for gold in in_context]
    assert np.array_equal(truths, np.array(expected, "f4"), equal_nan=True)
    # In any order, and apart each span has its gold alone.
    texts[1:] = texts[:0:-1]
    _, in_context = training_queries(texts, in_context=True)
    truths = [gold.truths for gold in in_context][:0:-1]
    assert np.array_equal(truths, np.array(expected[1:], "f4"), equal_nan=True)
    _, apart = training_queries(texts, in_context=False)
    assert [gold.truths.sum() for gold in apart[1:]] == [0, 1, 1, 0]


def test_in_context_an_unsafe_span_without_a_category_leaves_later_ones_open():
    doc = spacy.blank("en")("a b")
    golds = [read_cats({"unsafe": 1.0, "A": 0.0}, LABELS)]
    golds.append(read_cats({"unsafe": 0.0}, LABELS))
    texts = list(map(LabelledText, (doc[:1], doc[1:]), golds))
    _, (of_doc, first, second) = training_queries(texts, in_context=True)
    assert not of_doc.is_known
    assert first.maximum == 1.0
    assert np.array_equal(second.truths, np.array([0, NAN, NAN], "f4"), equal_nan=True)


# Partial groups


def partial(doc, entries, rejected):
    spans = [Span(doc, start, end, label=label) for start, end, label in entries]
    return SpanGroup(doc, name="duoguard", attrs={REJECTED: rejected}, spans=spans)


def test_in_a_partial_group_the_rest_is_open(doc):
    spans = [doc[0:2], doc[2:4], doc[4:6]]
    rejected = [[0, 7, "B"], [8, 18, "unsafe"], [1, 3, "A"]]
    group = partial(doc, [(0, 2, "A"), (3, 4, "C")], rejected)
    doc.spans["duoguard"] = group
    (saved,) = DocBin(docs=[doc]).get_docs(doc.vocab)  # attributes are saved
    for group in (doc.spans["duoguard"], saved.spans["duoguard"]):
        golds, unmatched = read_span_group(group, spans, LABELS)
        expected = [[1, 0, NAN], [0, 0, 0], [NAN, NAN, NAN]]
        for gold, truths in zip(golds, expected, strict=True):
            assert np.array_equal(gold.truths, np.array(truths, "f4"), equal_nan=True)
        assert unmatched == 2
    golds, _ = read_span_group(partial(doc, [], []), spans, LABELS)
    assert not any(gold.is_known for gold in golds)


def test_a_group_without_the_list_is_complete(doc):
    assert read_rejected(SpanGroup(doc, name="x", spans=[doc[0:2]]), LABELS) is None
    assert read_rejected([], LABELS) is None
    assert read_rejected(partial(doc, [], []), LABELS) == []


@pytest.mark.parametrize(
    "damaged",
    [
        *(3, [3], [[0, 7]], [[0, 7, "A", "B"]]),
        *([["a", 7, "A"]], [["0", "7", "A"]], [[0, 7, 5]]),
        *([[0.5, 7, "A"]], [[0, 7.0, "A"]], [[False, 7, "A"]]),
    ],
)
def test_a_damaged_list(doc, damaged):
    with pytest.raises(SettingsError, match="E265"):
        read_rejected(partial(doc, [], damaged), LABELS)
    with pytest.raises(SettingsError, match="E067"):
        read_rejected(partial(doc, [], [[0, 7, "D"]]), LABELS)


@pytest.mark.parametrize("offsets", [(0, 600), (-1, 6), (7, 7), (7, 3), (27, 28)])
def test_offsets_outside_the_text(doc, offsets):
    group = partial(doc, [], [[*offsets, "A"]])
    message = rf"E328.*\[{offsets[0]}, {offsets[1]}\].*27 characters"
    with pytest.raises(SettingsError, match=message):
        read_rejected(group, LABELS)
    with pytest.raises(SettingsError, match="E328"):
        read_span_group(group, [doc[0:2]], LABELS)


def test_a_span_that_was_rejected_as_unsafe_has_no_category(doc):
    group = partial(doc, [(0, 2, "Hate")], [[0, 7, "unsafe"]])
    with pytest.raises(SettingsError, match=r"E327.*Hate = 1\.0"):
        read_span_group(group, [doc[0:2]], CATEGORIES)
