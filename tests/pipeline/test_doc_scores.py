"""What is asked about docs and their spans, and whose answer is whose."""

import numpy as np
import pytest
import spacy

from spacy_duoguard.engine.prefix_scores import SpanScores
from spacy_duoguard.engine.text_scores import TextScores
from spacy_duoguard.pipeline.doc_scores import DocQueries


def texts(docs):
    return [doc.text for doc in docs]


@pytest.fixture
def docs():
    nlp = spacy.blank("en")
    return [nlp("one two three"), nlp("four"), nlp("five six")]


def answer(query, *, truncated=False):
    """The scores of a text are its length."""
    spans = tuple(SpanScores(np.array([e - s]), np.zeros(2)) for s, e in query.spans)
    return TextScores(np.array([len(query.text)]), (), truncated, spans)


@pytest.mark.parametrize("in_context", [True, False])
def test_each_span_gets_its_own_answer(docs, in_context):
    spans = [[docs[0][:1], docs[0][2:]], [], [docs[2][1:]]]
    asked = DocQueries.of(
        [doc.text for doc in docs], spans, in_context=in_context, curve=False
    )
    assert len(asked.queries) == (3 if in_context else 6)
    scores = asked.read([answer(query) for query in asked.queries])
    assert [doc.probabilities.item() for doc in scores] == [13, 4, 8]
    values = [[span.probabilities.item() for span in doc.spans] for doc in scores]
    assert values == [[3, 5], [], [3]]
    assert [[span.span for span in doc.spans] for doc in scores] == spans


def test_a_truncated_span_marks_its_own_doc_only(docs):
    spans = [[docs[0][:1]], [docs[1][:]], [docs[2][1:]]]
    asked = DocQueries.of(
        [doc.text for doc in docs], spans, in_context=False, curve=False
    )
    answers = [answer(q, truncated=q.text == "six") for q in asked.queries]
    statuses = [doc.status for doc in asked.read(answers)]
    assert statuses == ["empty", "empty", "truncated"]


@pytest.mark.parametrize("in_context", [True, False])
def test_without_spans(docs, in_context):
    asked = DocQueries.of(
        [doc.text for doc in docs], None, in_context=in_context, curve=True
    )
    assert [query.text for query in asked.queries] == [doc.text for doc in docs]
    assert all(query.curve for query in asked.queries)
    scores = asked.read([answer(query) for query in asked.queries])
    assert [doc.spans for doc in scores] == [None] * 3
