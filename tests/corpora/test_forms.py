"""Each documented form of a record is read as it is meant."""

import pytest

from spacy_duoguard.corpora.annotations import Annotation, Answer, Skipped
from spacy_duoguard.corpora.forms import read_annotation
from spacy_duoguard.corpora.labels import LabelNames, UnknownLabelError, parse_labels
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.scoring.record import BrokenRecordError

TEXT = "I hate you. Go home."
NAMES = LabelNames()
OPTIONS = [{"id": "Hate", "text": "hateful"}, {"id": "Privacy", "text": "private"}]
FIRST = {"start": 0, "end": 11, "label": "Hate"}
LAST = {"start": 12, "end": 20, "label": "Hate"}


def read(names=NAMES, **fields):
    return read_annotation({"text": TEXT, **fields}, TEXT, names)


def answers(*values, covers_spans=False):
    return Annotation(tuple(Answer(*value) for value in values), covers_spans)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"label": "Hate", "answer": "accept"}, answers(("Hate", 1.0))),
        ({"label": "Hate", "answer": "reject"}, answers(("Hate", 0.0))),
        ({"label": "unsafe", "answer": "reject"}, answers(("unsafe", 0.0))),
        # Prodigy highlights what a pattern matched: it isn't what was asked.
        (
            {"label": "Hate", "answer": "accept", "spans": [LAST]},
            answers(("Hate", 1.0)),
        ),
        (
            {"options": OPTIONS, "accept": ["Privacy"], "answer": "accept"},
            answers(("Hate", 0.0), ("Privacy", 1.0)),
        ),
        (
            {"options": OPTIONS, "accept": [], "answer": "accept"},
            answers(("Hate", 0.0), ("Privacy", 0.0)),
        ),
        # Results that were labelled with Prodigy keep their fields.
        (
            {
                **{"options": OPTIONS, "accept": ["Hate"], "answer": "accept"},
                **{"cats": {"Hate": 0.3}, "flags": [], "status": "ok"},
            },
            answers(("Hate", 1.0), ("Privacy", 0.0)),
        ),
        (
            {"_view_id": "spans", "spans": [LAST], "answer": "reject"},
            answers(("Hate", 0.0, (12, 20))),
        ),
        (
            {"_view_id": "ner", "spans": [FIRST, LAST], "answer": "accept"},
            answers(("Hate", 1.0, (0, 11)), ("Hate", 1.0, (12, 20))),
        ),
        (
            {"_view_id": "spans_manual", "spans": [FIRST], "answer": "accept"},
            answers(("Hate", 1.0, (0, 11)), covers_spans=True),
        ),
        ({"spans": [], "answer": "accept"}, answers(covers_spans=True)),
        (
            {"spans": [{**FIRST, "answer": "accept"}, {**LAST, "answer": "reject"}]},
            answers(("Hate", 1.0, (0, 11)), ("Hate", 0.0, (12, 20))),
        ),
        (
            {"cats": {"Hate": 1, "Privacy": 0.25}, "unsafe": True},
            answers(("Hate", 1.0), ("Privacy", 0.25), ("unsafe", 1.0)),
        ),
        ({"unsafe": 0}, answers(("unsafe", 0.0))),
    ],
)
def test_what_a_record_says(fields, expected):
    assert read(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"label": "", "answer": "ignore"}, Skipped.ignored),
        ({"options": OPTIONS, "accept": ["Hate"], "answer": "ignore"}, Skipped.ignored),
        (
            {"options": OPTIONS, "accept": ["Hate"], "answer": "reject"},
            Skipped.rejected,
        ),
        (
            {"_view_id": "spans", "spans": [FIRST, LAST], "answer": "reject"},
            Skipped.rejected,
        ),
        ({"spans": [FIRST], "answer": "reject"}, Skipped.rejected),
        ({"cats": {"Hate": 1}, "answer": "reject"}, Skipped.rejected),
    ],
)
def test_what_says_nothing_about_its_text(fields, reason):
    assert read(**fields) is reason


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "none of the fields"),
        ({"label": "Hate"}, "without an 'answer'"),
        ({"label": "Hate", "answer": "yes"}, "none of accept, reject"),
        ({"label": ["Hate"], "answer": "accept"}, "isn't a string"),
        ({"accept": ["Hate"], "answer": "accept"}, "without 'options'"),
        ({"options": OPTIONS, "accept": ["Hate"]}, "without an 'answer'"),
        ({"options": OPTIONS, "answer": "accept"}, "without 'accept'"),
        (
            {"options": OPTIONS, "accept": ["Spam"], "answer": "accept"},
            "isn't an option",
        ),
        (
            {"options": ["Hate"], "accept": [], "answer": "accept"},
            "an option without an 'id'",
        ),
        ({"cats": {"Hate": 2}}, "'Hate' isn't a number in"),
        ({"cats": {"Hate": float("nan")}}, "'Hate' isn't a number in"),
        ({"cats": {"Hate": "1"}}, "'Hate' isn't a number in"),
        ({"cats": ["Hate"]}, "'cats' isn't an object"),
        ({"cats": {"unsafe": 1}, "unsafe": 0}, "isn't the same"),
        ({"cats": {"Hate": 0.9}, "flags": ["Hate"], "status": "ok"}, "a result of"),
        ({"spans": [{"start": 0, "end": 3}]}, "a span without"),
        ({"spans": [{**FIRST, "end": 99}]}, "0-99 doesn't lie in the text"),
        ({"spans": [{**FIRST, "end": 0}]}, "0-0 doesn't lie in the text"),
        ({"spans": [{**FIRST, "start": True}]}, "aren't integers"),
        ({"spans": [{**FIRST, "answer": "accept"}, LAST]}, "some spans have"),
    ],
)
def test_a_record_that_cannot_be_read(fields, problem):
    with pytest.raises(BrokenRecordError, match=problem) as caught:
        read(**fields)
    assert "hate you" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"label": "Hat", "answer": "reject"},
        {"options": [{"id": "Hat"}], "accept": [], "answer": "accept"},
        {"cats": {"Hat": 0}},
        {"spans": [{**FIRST, "label": "Hat"}]},
    ],
)
def test_a_label_that_is_no_category(fields):
    with pytest.raises(UnknownLabelError, match="'Hat'"):
        read(**fields)


def test_a_label_that_is_a_stray_text_is_shortened():
    with pytest.raises(UnknownLabelError) as caught:
        read(label=TEXT * 9, answer="accept")
    assert len(str(caught.value)) < 80


def test_labels_are_renamed_added_and_left_out():
    names = parse_labels(" Spam , Spoilers", ["HATE=Hate", "1=Spam", "a=b=", "OTHER="])
    assert names.categories[12:] == ("Spam", "Spoilers")
    options = [{"id": "HATE"}, {"id": 1}, {"id": "OTHER"}]
    record = {"options": options, "accept": [1, "OTHER"], "answer": "accept"}
    assert read(names, **record) == answers(("Hate", 0.0), ("Spam", 1.0))
    assert read(names, label="a=b", answer="accept") == answers()


OTHER = {**LAST, "label": "OTHER"}


@pytest.mark.parametrize(
    ("renamed", "fields", "expected"),
    [
        # A span that is left out isn't safe, and neither is one of its category.
        ("OTHER=", {"spans": [OTHER]}, Annotation((), False, True)),
        (
            "OTHER=",
            {"spans": [FIRST, OTHER]},
            Annotation((Answer("Hate", 1.0, (0, 11)),), False, True),
        ),
        (
            "OTHER=",
            {"spans": [{**OTHER, "answer": "accept"}]},
            Annotation((), False, True),
        ),
        ("OTHER=", {"spans": [{**OTHER, "answer": "reject"}]}, answers()),
        (
            "OTHER=",
            {"_view_id": "spans", "spans": [OTHER], "answer": "accept"},
            Annotation((), False, True),
        ),
        ("Hate=", {"spans": [FIRST]}, Annotation((), False, True)),
        ("Hate=", {"spans": []}, answers()),
        ("unsafe=", {"spans": []}, answers()),
        ("OTHER=", {"spans": []}, answers(covers_spans=True)),
        (
            "OTHER=Hate",
            {"spans": [OTHER]},
            answers(("Hate", 1.0, (12, 20)), covers_spans=True),
        ),
    ],
)
def test_spans_that_are_left_out_stay_unknown(renamed, fields, expected):
    assert read(parse_labels("", [renamed]), **fields) == expected


def test_two_options_of_one_category_count_together():
    names = parse_labels("", ["slur=Hate", "threat=Hate"])
    options = [{"id": "slur"}, {"id": "threat"}]
    record = {"options": options, "accept": ["slur"], "answer": "accept"}
    assert read(names, **record) == answers(("Hate", 1.0))


@pytest.mark.parametrize(
    ("renamed", "code"), [("HATE", "E266"), ("=Hate", "E266"), ("HATE=Hat", "E267")]
)
def test_a_wrong_rename(renamed, code):
    with pytest.raises(SettingsError, match=code):
        parse_labels("", [renamed])
