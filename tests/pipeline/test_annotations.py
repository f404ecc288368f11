"""What is written into a doc: the whole record, the scores and the group of spans."""

import json

import numpy as np
import pytest
import spacy
from spacy.tokens import Span

from spacy_duoguard.engine.conversation import TurnSpan
from spacy_duoguard.engine.decisions import Policy
from spacy_duoguard.engine.prefix_scores import Curve
from spacy_duoguard.engine.text_scores import WindowScores
from spacy_duoguard.engine.turn_scores import ScoredTurn
from spacy_duoguard.errors import ScoringError
from spacy_duoguard.pipeline.annotations import annotate, make_record
from spacy_duoguard.pipeline.doc_record import text_digest
from spacy_duoguard.pipeline.doc_scores import DocScores, ScoredSpan
from spacy_duoguard.pipeline.record_writer import (
    SpansGroup,
    earlier_group,
    write_record,
)
from spacy_duoguard.taxonomy import CATEGORIES

NLP = spacy.blank("en")
TEXT = "a dog sleeps"
GROUP = SpansGroup("guard", "risks")
LABELS = ("Hate", "Privacy")
POLICY = Policy(dict.fromkeys(LABELS, 0.5), {"Hate": None, "Privacy": 0.125})


def plain(record):
    """A record as it comes back from bytes, with lists for tuples."""
    return json.loads(json.dumps(record))


def array(*values):
    return np.array(values, dtype=np.float32)


def ones(n):
    return np.ones(n, dtype=np.float32)


def whole(doc, row, spans=None, status="ok"):
    """The scores of a doc in one window."""
    row = array(*row, *[0.0] * (len(CATEGORIES) - len(row)))
    scored = None
    if spans is not None:
        scored = tuple(ScoredSpan(span, row, None) for span in spans)
    windows = (WindowScores(0, len(doc.text), row),)
    return DocScores(status, row, windows, scored, None)


def test_a_record_of_a_text_alone():
    row = array(0.25, 0.0625)
    scores = DocScores("ok", row, (WindowScores(0, 3, row),), None, None)
    record = make_record(scores, POLICY, GROUP, 2, length=3)
    assert plain(record) == {
        "length": 3,
        "labels": ["Hate", "Privacy"],
        "status": "ok",
        "flags": [],
        "probs": [0.25, 0.0625],
        "thresholds": [0.5, 0.5],
        "review_thresholds": [None, 0.125],
        "action": "allow",
        "windows": [{"start": 0, "end": 3, "probs": [0.25, 0.0625], "view": "text"}],
        "spans": {},
        "span_flags": {},
        "span_actions": {},
        "truncated_spans": [],
        "deltas": {},
        "component": "guard",
        "spans_key": None,
    }
    assert make_record(scores, POLICY, GROUP, 2)["length"] == 0


def test_a_record_of_spans_in_context():
    doc = NLP(TEXT)
    spans = (
        ScoredSpan(doc[:1], array(0.25, 0.25), array(0.25, 0.5, 0.75)),
        ScoredSpan(doc[1:2], array(0.75, 0.0), array(0.0, 0.25, 0.5)),
        ScoredSpan(doc[1:3], array(0.25, 0.0), None, truncated=True),
        ScoredSpan(doc[2:3], array(0.25, 0.0), None),
    )
    row = array(0.75, 0.25)
    scores = DocScores("truncated", row, (), spans, None)
    flagged = [(doc[1:2], {"Hate": 0.75}), (doc[2:3], {})]
    record = plain(make_record(scores, POLICY, GROUP, 2, flagged))
    assert (record["flags"], record["action"]) == (["Hate"], "block")
    assert record["spans_key"] == "risks"
    assert record["spans"] == {
        "0:1": [0.25, 0.25],
        "2:5": [0.75, 0.0],
        "2:12": [0.25, 0.0],
        "6:12": [0.25, 0.0],
    }
    assert record["span_flags"] == {"2:5": ["Hate"], "6:12": []}
    assert record["span_actions"] == {
        "0:1": "review",
        "2:5": "block",
        "2:12": "review",  # nobody has read all of it
        "6:12": "allow",
    }
    assert record["truncated_spans"] == ["2:12"]
    assert record["deltas"] == {"0:1": [0.25, 0.5, 0.75], "2:5": [0.0, 0.25, 0.5]}


def test_a_record_of_turns():
    turns = (
        ScoredTurn(TurnSpan("system", 0, 1), "context", None),
        ScoredTurn(TurnSpan("user", 2, 5), "ok", array(0.75, 0.25)),
        ScoredTurn(TurnSpan(None, 6, 8), "truncated", array(0.0, 0.0)),
        ScoredTurn(TurnSpan("user", 9, 12), "error", ones(2)),
    )
    scores = DocScores("ok", array(0.75, 0.25), (), None, None, turns)
    strict = Policy(dict.fromkeys(LABELS, 1.0), POLICY.review_thresholds)
    keys = ("role", "start", "end", "status", "probs", "flags", "action")
    for policy, flags, action in ((POLICY, ["Hate"], "block"), (strict, [], "review")):
        rows = plain(make_record(scores, policy, GROUP, 2))["turns"]
        assert [tuple(turn) for turn in rows] == [keys] * 4
        assert [tuple(turn.values()) for turn in rows] == [
            ("system", 0, 1, "context", None, None, None),
            ("user", 2, 5, "ok", [0.75, 0.25], flags, action),
            (None, 6, 8, "truncated", [0.0, 0.0], [], "review"),
            ("user", 9, 12, "error", [1.0, 1.0], list(LABELS), "block"),
        ]


@pytest.mark.parametrize(
    ("status", "patience", "first"),
    [("ok", 1, 2), ("ok", 2, 5), ("ok", 3, 12), ("error", 2, 0)],
)
def test_a_record_of_a_curve(status, patience, first):
    rows = np.array([[0.75, 0.0], [0.75, 0.0], [0.75, 0.25]], dtype=np.float32)
    curve = Curve(np.array([2, 5, 12]), rows)
    scores = DocScores(status, rows[-1], (), None, curve)
    record = plain(make_record(scores, POLICY, GROUP, patience))
    assert record["curve"] == {"ends": [2, 5, 12], "probs": rows.tolist()}
    assert record["first_unsafe"] == first
    without = DocScores(status, rows[-1], (), None, None)
    assert "curve" not in make_record(without, POLICY, GROUP, patience)


def test_a_window_of_a_view_says_what_was_read():
    row = array(0.25, 0.0)
    windows = (WindowScores(2, 6, row, "folded", "abc"),)
    scores = DocScores("ok", row, windows, None, None)
    assert plain(make_record(scores, POLICY, GROUP, 2))["windows"] == [
        {"start": 2, "end": 6, "probs": [0.25, 0.0], "view": "folded", "read_as": "abc"}
    ]


def test_spans_of_a_failed_doc_are_flagged_whatever_the_thresholds_are():
    doc = NLP(TEXT)
    doc.cats = {"Hate": 0.0, "other": 0.5}
    scores = DocScores.failed(2, [doc[:1], doc[2:]], deltas=True, curve=True)
    policy = Policy(dict.fromkeys(LABELS, 1.0), dict.fromkeys(LABELS))
    annotate(doc, scores, policy, GROUP, 2, "another text")
    record = plain(doc.user_data["duoguard"])
    assert doc.cats == {"Hate": 1.0, "other": 0.5, "Privacy": 1.0, "unsafe": 1.0}
    assert (record["status"], record["digest"], record["length"]) == ("error", "", 12)
    assert record["flags"] == list(LABELS)
    assert record["span_flags"] == {"0:1": list(LABELS), "6:12": list(LABELS)}
    assert record["span_actions"] == {"0:1": "block", "6:12": "block"}
    assert record["deltas"] == {"0:1": [1.0] * 3, "6:12": [1.0] * 3}
    assert record["curve"] == {"ends": [], "probs": []}
    group = doc.spans["risks"]
    entries = [(span.start, span.end, span.label_) for span in group]
    assert entries == [(s, e, label) for s, e in ((0, 1), (2, 3)) for label in LABELS]
    assert group.attrs == {"scores": [1.0] * 4}
    assert group.name == "risks"


def test_scores_of_another_text_change_nothing():
    doc, policy = NLP(TEXT), Policy.of(CATEGORIES, 0.5)
    scores = whole(doc, [0.75], [doc[:1]])
    with pytest.raises(ScoringError, match=r"E180.*guard.*that of another text"):
        annotate(doc, scores, policy, GROUP, 2, "A dog sleeps")
    assert (doc.cats, doc.user_data, dict(doc.spans)) == ({}, {}, {})
    annotate(doc, scores, policy, GROUP, 2, TEXT)
    assert doc.user_data["duoguard"]["digest"] == text_digest(TEXT)
    assert doc.user_data["duoguard"]["length"] == len(TEXT)
    other = NLP(TEXT)
    annotate(other, whole(other, [0.75], [other[:1]]), policy, GROUP, 2)
    assert other.user_data == doc.user_data
    assert [span.label_ for span in other.spans["risks"]] == [CATEGORIES[0]]


def test_what_other_code_replaced_is_made_anew():
    doc = NLP(TEXT)
    doc.cats, doc.user_data = None, "lost"
    annotate(doc, whole(doc, [0.75]), Policy.of(CATEGORIES, 0.5), GROUP, 2)
    assert doc.cats["unsafe"] == 0.75
    assert list(doc.user_data) == ["duoguard"]


@pytest.mark.parametrize(
    ("earlier", "spans_key", "expected"),
    [
        ({"component": "guard", "spans_key": "old"}, None, "old"),
        ({"component": "guard", "spans_key": "old"}, "new", "old"),
        ({"component": "other", "spans_key": "old"}, "new", None),
        ({"component": "other", "spans_key": "old"}, "old", "old"),
        ({"component": "other", "spans_key": "old"}, None, None),
        ({"component": "guard", "spans_key": None}, None, None),
        ({"component": "guard", "spans_key": 7}, 7, None),
        ({"component": ["guard"], "spans_key": "old"}, None, None),
        ({"component": np.zeros(2), "spans_key": "old"}, None, None),
        ({"spans_key": "old"}, None, None),
        ({"component": "guard"}, None, None),
        ({}, None, None),
        ("guard", None, None),
        (None, "old", None),
    ],
)
def test_the_group_of_an_earlier_run(earlier, spans_key, expected):
    doc = NLP(TEXT)
    if earlier is not None:
        doc.user_data["duoguard"] = earlier
    assert earlier_group(doc, "guard", spans_key=spans_key) == expected


@pytest.mark.parametrize(("component", "is_kept"), [("guard", False), ("other", True)])
@pytest.mark.parametrize("status", ["ok", "error"])
def test_only_the_component_s_earlier_group_goes(component, is_kept, status):
    doc = NLP(TEXT)
    doc.user_data["duoguard"] = {"component": component, "spans_key": "old"}
    doc.spans["old"] = doc.spans["more"] = [Span(doc, 0, 1, label="x")]
    scores = whole(doc, [0.75], [doc[:1]], status)
    annotate(doc, scores, Policy.of(CATEGORIES, 0.5), GROUP, 2)
    assert ("old" in doc.spans) is is_kept
    assert set(doc.spans) - {"old"} == {"more", "risks"}
    assert [span.label_ for span in doc.spans["more"]] == ["x"]


@pytest.mark.parametrize(("component", "is_kept"), [("guard", False), ("other", True)])
@pytest.mark.parametrize("status", ["ok", "error"])
@pytest.mark.parametrize("kind", [list, tuple])
def test_scores_of_categories_that_the_component_had_go(
    component, is_kept, status, kind
):
    doc = NLP(TEXT)
    labels = kind([*CATEGORIES, "Spam"])
    doc.user_data["duoguard"] = {"component": component, "labels": labels}
    doc.cats = {**dict.fromkeys(labels, 1.0), "unsafe": 1.0, "topic": 0.5}
    scores = whole(doc, [0.75], [doc[:1]], status)
    annotate(doc, scores, Policy.of(CATEGORIES, 0.5), GROUP, 2)
    kept = {"Spam"} if is_kept else set()
    assert set(doc.cats) == {*CATEGORIES, "unsafe", "topic"} | kept
    assert doc.cats["topic"] == 0.5


@pytest.mark.parametrize(("status", "unsafe"), [("ok", None), ("error", 1.0)])
def test_a_doc_is_marked_first_if_it_failed_and_last_if_not(status, unsafe):
    """Its spans may not fit it any more."""
    doc, longer = NLP("a dog"), NLP(TEXT)
    scores = whole(doc, [1.0], status=status)
    record = make_record(scores, Policy.of(CATEGORIES, 0.5), GROUP, 2)
    record["spans_key"] = "risks"
    with pytest.raises(IndexError):
        write_record(doc, record, GROUP, [(longer[2:3], {"Hate": 1.0})])
    assert doc.cats.get("unsafe") == unsafe
    assert ("duoguard" in doc.user_data) is (unsafe is not None)
