"""Decisions in results: shown as they are, unless they contradict the flags."""

import json
import re

import pytest
from support.review_page import record

from spacy_duoguard.review.digest import digest_of
from spacy_duoguard.review.documents import read_document
from spacy_duoguard.review.page import build_page
from spacy_duoguard.taxonomy import CATEGORIES

LABELS = list(CATEGORIES)
REASON = {"category": "Hate", "margin": 0.4}


def read(number=1, **fields):
    return read_document({**record("A text.", scores={"Hate": 0.9}), **fields}, number)


def embedded(documents, **options):
    page = build_page(documents, title="x", **options)
    pattern = r'<script type="application/json" id="data">(.*?)</script>'
    (data,) = re.findall(pattern, page)
    return json.loads(data)


def test_a_decision_is_read():
    document = read(action="block", reason=REASON)
    assert (document.status, document.fields) == ("ok", {})
    assert document.decision.action == "block"
    (row,) = embedded([document])["docs"]
    assert (row["action"], row["reason"]) == ("block", [8, 0.4])


def test_a_decision_without_a_category():
    none = {"category": None, "margin": None}
    safe = {**record("A text."), "action": "review", "reason": none}
    (row,) = embedded([read_document(safe, 1)])["docs"]
    assert (row["action"], "reason" in row) == ("review", False)


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "allow", "reason": REASON},
        {"action": "review", "reason": REASON},
        {"action": "block", "reason": {"category": "Nothing", "margin": 0.4}},
        {"action": "block", "reason": {"category": ["Hate"], "margin": 0.4}},
        {"action": "block", "reason": {"category": "Hate", "margin": None}},
        {"action": "block", "reason": {"category": "Hate", "margin": "0.4"}},
        {"action": "block", "reason": {"category": "Hate", "margin": float("nan")}},
        {"action": "block", "reason": {"category": "Hate", "margin": 2.0}},
        {"action": "block", "reason": {"category": "Hate", "margin": -0.1}},
        {"action": "block", "reason": REASON, "flags": []},
        {"action": "allow", "reason": REASON, "flags": []},
        {"action": "review", "reason": {**REASON, "margin": -0.1}, "flags": []},
    ],
)
def test_a_decision_that_contradicts_the_record_is_not_believed(fields):
    assert read(**fields).status == "error"


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "allow"},
        {"action": "allow", "reason": "spam"},
        {"action": "delete", "reason": {"category": "Hate", "margin": 0.1}},
        {"reason": {"category": "Hate"}},
    ],
)
def test_fields_of_the_input_with_these_names_are_fields(fields):
    document = read(**fields)
    assert (document.status, document.decision) == ("ok", None)
    assert set(document.fields) == set(fields)


def test_a_sentence_to_be_reviewed_is_not_flagged():
    sentences = [
        {"start": 0, "end": 2, "cats": {"Hate": 0.9}, "action": "block"},
        {"start": 2, "end": 7, "cats": {"Hate": 0.4}, "action": "review"},
    ]
    document = read(sentences=sentences)
    assert [s.is_flagged for s in document.sentences] == [True, False]
    rows = embedded([document])["docs"][0]["sentences"]
    assert [row.get("review") for row in rows] == [None, True]


def test_the_digest_is_of_the_results_and_not_of_their_form():
    texts = ["One.", "Two.", "\ud800"]
    documents = [read(i, text=text) for i, text in enumerate(texts, start=1)]
    digest = digest_of(documents, LABELS)
    assert len(digest) == 32
    assert embedded(documents, top=1)["digest"] == digest
    same = [read(i, text=t, id=i) for i, t in enumerate(texts, 1)]
    assert digest_of(same, LABELS) == digest
    others = [
        documents[:2],
        documents[::-1],
        [*documents[:2], read(3, text="Three.")],
        [*documents[:2], read(3, text="\ud800", sentences=None, status="truncated")],
    ]
    digests = {digest_of(other, LABELS) for other in others}
    assert len({digest, *digests, digest_of(documents, LABELS[::-1])}) == 6


def test_labels_have_the_same_order_on_a_page_with_top():
    first, second = (
        record(text, scores={"Hate": s}) for text, s in [("a", 0.1), ("b", 0.9)]
    )
    first["cats"].update(Spam=0.0, Ham=0.0)
    second["cats"].update(Ham=0.0, Spam=0.0)
    documents = [read_document(first, 1), read_document(second, 2)]
    labels = embedded(documents)["labels"]
    assert labels[-2:] == ["Spam", "Ham"]
    assert embedded(documents, top=1)["labels"] == labels
