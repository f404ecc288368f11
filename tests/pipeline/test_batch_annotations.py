"""A batch is judged at once: no doc may pass that would not pass alone."""

import random

import numpy as np
import pytest
import spacy

from spacy_duoguard.engine.decisions import Policy
from spacy_duoguard.engine.text_scores import WindowScores
from spacy_duoguard.engine.verdict import are_scored
from spacy_duoguard.errors import ScoringError
from spacy_duoguard.pipeline.annotations import annotate
from spacy_duoguard.pipeline.batch_annotations import annotate_docs
from spacy_duoguard.pipeline.doc_scores import DocScores
from spacy_duoguard.pipeline.record_writer import SpansGroup
from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

GROUP = SpansGroup("duoguard", "duoguard")
LIMITS = {label: i / 12 for i, label in enumerate(CATEGORIES)}
BAND = {label: i / 24 if i % 2 else None for i, label in enumerate(CATEGORIES)}
WHOLE_BAND = {label: limit / 2 for label, limit in LIMITS.items()}
NO_BAND = dict.fromkeys(CATEGORIES)
VALUES = [np.nan, np.inf, -np.inf, -0.25, 1.25, 0.0, 1.0]
STATUSES = ["ok", "truncated", "empty", "error", "fine", "", None, 1, ["ok"]]


def draw_scores(draw):
    """The scores of a doc; most contradict themselves in one way."""
    n_windows = draw.choice([1, 1, 1, 2, 3])
    rows = np.array([[draw.random() for _ in CATEGORIES] for _ in range(n_windows)])
    rows = rows.astype(np.float32)
    top, status, fault = rows.max(axis=0), "ok", draw.randrange(10)
    if fault == 0:
        rows[draw.randrange(n_windows), draw.randrange(12)] = draw.choice(VALUES)
        top = draw.choice([top, rows.max(axis=0)])
    elif fault == 1:
        top[draw.randrange(12)] = draw.choice(VALUES)
    elif fault == 2:
        status = draw.choice(STATUSES)
    elif fault == 3:
        rows = rows[:0]
    elif fault == 4:
        kind = draw.choice([bool, np.int64, np.float64, np.float16])
        rows, top = rows.astype(kind), top.astype(kind)
    elif fault == 5:
        rows, top = rows[:, :11], top[: draw.choice([11, 12])]
    elif fault == 6:
        rows, top = np.zeros_like(rows), np.zeros_like(top)
    # Inside the text "a b" and covering it, or not.
    spans = (
        [(0, 4), (-1, 3), (3, 0), (0, 1), (2, 3), (0, 3)] if fault == 7 else [(0, 3)]
    )
    windows = tuple(WindowScores(*draw.choice(spans), row) for row in rows)
    return DocScores(status, top, windows, None, None)


def outcome(write, doc):
    """What a doc holds after scores were written into it, or why they were not."""
    try:
        write(doc)
    except Exception as e:
        assert (doc.cats, doc.user_data) == ({}, {})
        return type(e), str(e)
    return doc.user_data["duoguard"], doc.cats, list(doc.cats), dict(doc.spans)


@pytest.mark.parametrize(
    ("limits", "review"),
    [
        (LIMITS, NO_BAND),
        (LIMITS, BAND),
        ({**LIMITS, "Hate": np.nan}, NO_BAND),
        (LIMITS, {**BAND, "Hate": np.nan}),
        (LIMITS, {**BAND, "Hate": 1.0}),
        (LIMITS, {**WHOLE_BAND, "Hate": np.nan}),
        (LIMITS, {**WHOLE_BAND, "Hate": 1.0}),
    ],
)
def test_a_batch_has_the_outcome_of_its_docs_one_by_one(limits, review):
    policy = Policy(limits, review)
    is_sound = limits is LIMITS and review in (NO_BAND, BAND)
    nlp, draw = spacy.blank("en"), random.Random(0)
    passed = []
    for i in range(600):
        scores, text = draw_scores(draw), "" if i % 9 == 0 else "a b"
        alone, batched = nlp(text), nlp(text)
        expected = outcome(lambda d, s=scores: annotate(d, s, policy, GROUP, 2), alone)
        found = outcome(
            lambda d, s=scores: annotate_docs([d], [s], policy, GROUP, 2), batched
        )
        assert repr(found) == repr(expected)
        if len(expected) == 4:
            passed.append((scores, text, expected))
    assert (
        len(passed) > 150
        if is_sound
        else all(scores.status == "error" for scores, *_ in passed)
    )
    docs = [nlp(text) for _, text, _ in passed]
    annotate_docs(docs, [scores for scores, *_ in passed], policy, GROUP, 2)
    for doc, (_, _, expected) in zip(docs, passed, strict=True):
        assert outcome(lambda _: None, doc) == expected


@pytest.mark.parametrize(
    "labels",
    [
        CATEGORIES[1:],
        (*CATEGORIES, "Hate"),
        (*CATEGORIES, UNSAFE),
        (*CATEGORIES[1:], None),
        (*CATEGORIES, 1),
    ],
    ids=["missing", "twice", "unsafe", "none", "number"],
)
def test_without_the_right_categories_no_result_passes_in_a_batch(labels):
    rows = np.full((2, len(labels)), 0.5, dtype=np.float32)
    limits = [0.5] * len(labels)
    assert are_scored(labels, limits, rows, rows, [1, 1]).tolist() == [False, False]


def test_one_result_that_contradicts_itself_fails_alone_in_a_batch():
    windows = np.full((5, 12), 0.25, dtype=np.float32)
    rows = np.full((3, 12), 0.25, dtype=np.float32)
    windows[2, 7] = 0.5  # the last window of the second result
    scored = are_scored(CATEGORIES, [0.5] * 12, rows, windows, [1, 2, 2])
    assert scored.tolist() == [True, False, True]


def test_an_empty_text_has_no_scores_in_a_batch_either():
    row = np.full(12, 0.5, dtype=np.float32)
    scores = DocScores("ok", row, (WindowScores(0, 0, row),), None, None)
    policy, doc = Policy(LIMITS, NO_BAND), spacy.blank("en")("")
    with pytest.raises(ScoringError, match=r"E180.*its text is empty"):
        annotate_docs([doc], [scores], policy, GROUP, 2)
    assert (doc.cats, doc.user_data) == ({}, {})


def containers(value):
    if isinstance(value, (list, dict)):
        yield value
    if isinstance(value, (list, dict, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


@pytest.mark.parametrize("status", ["ok", "error"])
@pytest.mark.parametrize("curve", [False, True])
def test_docs_share_nothing_that_can_be_changed_in_place(
    status, curve, make_nlp, monkeypatch
):
    nlp = make_nlp(curve=curve)
    guard = nlp.get_pipe("duoguard")
    if status == "error":
        monkeypatch.setattr(guard, "predict", lambda docs: [])
        guard.set_error_handler(lambda *args: None)
    docs = list(nlp.pipe(["a dog", "a cat", "a cow"]))
    records = [doc.user_data["duoguard"] for doc in docs]
    found = [id(item) for record in records for item in containers(record)]
    assert len(found) == len(set(found)) >= 3 * 6
    assert [record["status"] for record in records] == [status] * 3
    assert [record["length"] for record in records] == [5] * 3
