"""What a record says that its doc is: scored, or, if it contradicts itself, not."""

import math

import pytest
import spacy
from support.scored import mark

from spacy_duoguard.pipeline.doc_record import (
    judge_record,
    judge_text,
    read_record,
    text_digest,
    text_length,
    to_offsets,
)
from spacy_duoguard.taxonomy import CATEGORIES

NLP = spacy.blank("en")
TEXT = "a dog "


@pytest.fixture
def doc():
    spans = {(0, 1): {"Hate": 0.25}, (1, 2): {"Hate": 0.75}}
    return mark(NLP(TEXT), {"Hate": 0.75}, spans=spans)


@pytest.fixture
def record(doc):
    return doc.user_data["duoguard"]


def row(value):
    return [value] * len(CATEGORIES)


@pytest.mark.parametrize(
    ("ends", "first", "is_scored"),
    [
        ([1, 6], None, True),
        ([1, 6], 0, True),
        ([0, 6], 6, True),
        ([3, 3], 3, True),
        ([1, 7], None, False),
        ([-1, 6], None, False),
        ([5, 4], None, False),
        ([1, 6], 7, False),
        ([1, 6], -1, False),
        ([1, 6], 1.0, False),
        ([1, 6], True, False),
        ([1, 6], "1", False),
        ([1, 3, 6], None, False),
        ([6], None, False),
        ([math.nan, 6], None, False),
        ([1, math.inf], None, False),
    ],
)
def test_the_ends_of_a_curve_are_in_the_text_and_in_order(
    doc, record, ends, first, is_scored
):
    record["curve"] = {"ends": ends, "probs": [row(0.25), row(0.5)]}
    record["first_unsafe"] = first
    assert judge_record(record, doc).is_scored is is_scored


@pytest.mark.parametrize(
    ("probs", "is_scored"),
    [
        ([row(0.0), row(1.0)], True),
        ([row(0.0), [*row(0.5)[1:], 1.25]], False),
        ([[-0.25, *row(0.5)[1:]], row(0.5)], False),
        ([row(0.5), [*row(0.5)[1:], math.nan]], False),
        ([row(0.5)[1:], row(0.5)[1:]], False),
        ([row(0.5)], False),
        ([row(None), row(0.5)], False),
    ],
)
def test_a_curve_holds_a_probability_of_each_category(doc, record, probs, is_scored):
    record["curve"] = {"ends": [1, 6], "probs": probs}
    record["first_unsafe"] = None
    assert judge_record(record, doc).is_scored is is_scored


def test_an_empty_text_has_an_empty_curve():
    doc = mark(NLP(""), {}, status="empty")
    record = doc.user_data["duoguard"]
    record["curve"], record["first_unsafe"] = {"ends": [], "probs": []}, None
    assert judge_record(record, doc).status == "empty"
    record["first_unsafe"] = 1
    assert judge_record(record, doc).status == "error"


@pytest.mark.parametrize("key", ["spans", "span_flags"])
def test_a_span_without_scores_or_flags_makes_its_doc_not_scored(doc, record, key):
    del record[key]["2:5"]
    verdict = judge_record(record, doc)
    assert verdict.problem == "the scores of a span can't be read"
    assert verdict.labels == list(CATEGORIES)
    assert judge_text(record, doc).is_scored


@pytest.mark.parametrize("key", ["2", "2:b", "2:5:6", "", None, 7])
def test_a_span_without_offsets_makes_its_doc_not_scored(doc, record, key):
    for of_span in ("spans", "span_flags", "span_actions"):
        record[of_span][key] = record[of_span].pop("2:5")
    assert judge_record(record, doc).problem == "the scores of a span can't be read"


def test_a_span_of_which_a_part_was_left_out_is_reviewed():
    spans = {(0, 1): {"Hate": 0.25}}
    doc = mark(NLP(TEXT), {"Hate": 0.75}, spans=spans, review={"Hate": 0.5})
    record = doc.user_data["duoguard"]
    assert record["span_actions"] == {"0:1": "allow"}
    assert judge_record(record, doc).is_scored
    record["truncated_spans"] = ["0:1"]
    assert not judge_record(record, doc).is_scored
    record["span_actions"]["0:1"] = "review"
    assert judge_record(record, doc).is_scored


def test_a_record_of_other_categories_names_them_all():
    labels = (*CATEGORIES, "Spam")
    doc = mark(NLP(TEXT), {"Spam": 0.75}, labels=labels)
    record = doc.user_data["duoguard"]
    assert judge_record(record, doc).flags == ["Spam"]
    record["length"] = 5
    verdict = judge_record(record, doc)
    assert verdict.problem == "the record is that of another text"
    assert verdict.flags == list(labels)


@pytest.mark.parametrize("status", [None, 1, ["ok"], "", "fine"])
def test_a_record_without_a_status_is_not_scored(doc, record, status):
    record["status"] = status
    assert judge_record(record, doc).status == "error"
    del record["status"]
    assert judge_record(record, doc).status == "error"


def test_an_empty_doc_has_no_scores():
    doc, other = NLP(""), NLP("\n")
    record = mark(other, {"Hate": 0.75}).user_data["duoguard"]
    record["windows"][0]["end"] = record["length"] = 0
    record["digest"] = text_digest("")
    assert judge_text(record, doc).problem == (
        "the record has scores, but its text is empty"
    )


@pytest.mark.parametrize(("text", "status"), [(" \u200b", "empty"), (" a", "error")])
def test_a_doc_with_a_text_is_not_empty(text, status):
    record = mark(NLP(""), {}, status="empty").user_data["duoguard"]
    record |= {"length": 2, "digest": text_digest(text)}
    assert judge_text(record, NLP(text)).status == status


def test_a_failed_record_says_why_whatever_else_it_holds(doc, record):
    record["status"] = "error"
    for damage in ({}, {"length": 1}, {"probs": None}, {"windows": None}):
        verdict = judge_text({**record, **damage}, doc)
        assert (verdict.status, verdict.problem) == ("error", "scoring failed")
        assert verdict.flags == list(CATEGORIES)


@pytest.mark.parametrize(
    ("text", "length"),
    [("", 0), ("a", 1), ("a ", 2), ("a dog", 5), (" \U0001f642 b ", 5)],
)
def test_the_length_of_a_doc_is_that_of_its_text(text, length):
    assert text_length(NLP(text)) == length


def test_texts_have_digests_of_their_bytes():
    assert text_digest("a dog") == text_digest("a dog")
    digests = {text_digest(text) for text in ("a dog", "a cat", "", "\ud800", "\ud801")}
    assert [len(digest) for digest in digests] == [16] * 5


def test_offsets_are_numbers():
    assert to_offsets("0:12") == (0, 12)
    assert to_offsets("3:4") == (3, 4)


def test_a_doc_has_a_record_if_the_component_has_seen_it(doc, record):
    assert read_record(NLP(TEXT)) is None
    assert read_record(doc) is record
    doc.user_data["duoguard"] = [record]
    assert read_record(doc) == {}
    doc.user_data = None
    assert read_record(doc) is None
