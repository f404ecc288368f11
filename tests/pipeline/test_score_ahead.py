"""What a GPU computes while the host goes on is what it would compute at the end."""

import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import islice

import numpy as np
import pytest
import torch
from support.checkpoints import TEXTS
from support.failures import BAD, FAILED_CATS
from support.threads import no_thread_left

from spacy_duoguard.engine import classifier as classifier_module
from spacy_duoguard.engine import launched
from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.prefix_scores import Query
from spacy_duoguard.engine.text import ahead
from spacy_duoguard.pipeline.conversation import make_conversation

DOCS = [f"{i} {text}" for i in range(12) for text in TEXTS if text.strip()]


EXECUTOR = ahead.ThreadPoolExecutor


class QuickExecutor:
    """Has finished when it was asked, so that nothing depends on the time."""

    def __init__(self, *_, **__):
        pass

    def submit(self, work, *args):
        future = Future()
        try:
            future.set_result(work(*args))
        except Exception as e:
            future.set_exception(e)
        return future

    def shutdown(self, **_):
        pass


@pytest.fixture
def computes_apart(monkeypatch):
    """As on a GPU, with few texts in each launch."""
    monkeypatch.setattr(ahead, "ThreadPoolExecutor", QuickExecutor)
    for module in (classifier_module, launched):
        monkeypatch.setattr(module, "computes_apart", lambda device: True)
    monkeypatch.setattr(launched, "PART_CHARS", 60)
    monkeypatch.setattr(ahead, "_LEAST", 4)
    # With one of torch's threads, nothing is tokenized ahead.
    monkeypatch.setattr(ahead, "may_use_threads", lambda device: True)


@contextmanager
def counted_tokens(monkeypatch):
    """YIELDS (List[int]): The tokens of each pass."""
    forward, counts = CpuForward.__call__, []

    def counting(self, batch):
        counts.append(len(batch.token_ids))
        return forward(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(CpuForward, "__call__", counting)
        yield counts


def n_tokens(nlp, texts):
    tokenizer = nlp.get_pipe("duoguard").classifier.tokenizer
    return sum(len(tokenizer.encode(text).ids) for text in texts)


def assert_same(docs, expected):
    for doc, other in zip(docs, expected, strict=True):
        assert doc.text == other.text
        assert doc.cats == pytest.approx(other.cats, abs=1e-5)
        assert doc._.duoguard_status == other._.duoguard_status


@pytest.mark.parametrize("curve", [False, True])
def test_launches_of_a_few_queries_equal_one(classifier, monkeypatch, request, curve):
    queries = [Query(text, ((0, 1),), curve) for text in [*DOCS, *DOCS[:5], "", " "]]
    expected = classifier.answer(queries)
    request.getfixturevalue("computes_apart")
    assert len(list(launched.divide_queries(queries, torch.device("cuda")))) > 10
    found = classifier.answer(queries)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        np.testing.assert_allclose(
            one.spans[0].probabilities if one.spans[0] else 0,
            other.spans[0].probabilities if other.spans[0] else 0,
            atol=1e-5,
        )
        assert [(w.start, w.end) for w in one.windows] == [
            (w.start, w.end) for w in other.windows
        ]


def test_every_query_is_in_one_launch(monkeypatch):
    monkeypatch.setattr(launched, "PART_CHARS", 10)
    queries = [Query("x" * n) for n in (0, 3, 30, 4, 5, 6, 1, 10, 0)]
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    parts = list(launched.divide_queries(queries, gpu))
    assert [query for part in parts for query in part] == queries
    for part in parts:
        assert len(part) == 1 or sum(len(query.text) for query in part) <= 10
    assert list(launched.divide_queries(queries, cpu)) == [queries]
    for device in (cpu, gpu):
        assert list(launched.divide_queries([], device)) == []


def test_a_pipeline_computes_each_text_once(make_nlp, monkeypatch, computes_apart):
    nlp = make_nlp()
    expected = [nlp(text) for text in DOCS]
    read = classifier_module.Classifier._take_launched
    taken = []

    def reading(*args):
        taken.extend(read(*args))
        return list(taken)

    monkeypatch.setattr(classifier_module.Classifier, "_take_launched", reading)
    with counted_tokens(monkeypatch) as counts:
        docs = list(nlp.pipe(DOCS, batch_size=len(DOCS)))
    assert taken
    assert_same(docs, expected)
    assert sum(counts) == n_tokens(nlp, DOCS)
    assert len(counts) > 3


@pytest.mark.parametrize(
    "config", [{"sents": True}, {"sents": True, "span_context": "document"}]
)
def test_spans_are_scored_as_alone(make_nlp, computes_apart, config):
    nlp = make_nlp(**config)
    expected = [nlp(text) for text in DOCS]
    docs = list(nlp.pipe(DOCS, batch_size=20))
    assert_same(docs, expected)
    for doc, other in zip(docs, expected, strict=True):
        for sent, same in zip(doc.sents, other.sents, strict=True):
            cats = same._.duoguard_cats
            assert sent._.duoguard_cats == pytest.approx(cats, abs=1e-5)


def scored_while(nlp, change):
    """Change something before the last doc is made. Every doc that comes later was
    scored with the change, launched or not.

    RETURNS (Tuple[List[Doc], List[Doc]]): The docs before, and those after it."""
    before, after = [], []

    def stream():
        yield from DOCS[:-1]
        before.extend(after)
        after.clear()
        change()
        yield DOCS[-1]

    for doc in nlp.pipe(stream(), batch_size=len(DOCS)):
        after.append(doc)
    assert len(before) + len(after) == len(DOCS)
    assert before
    assert len(after) > 3
    return before, after


@pytest.mark.parametrize("name", ["score", "norm"])
def test_weights_that_change_in_the_middle_of_a_batch(make_nlp, computes_apart, name):
    """By other code, while it makes docs."""
    nlp = make_nlp()
    expected = [nlp(text) for text in DOCS]
    decoder = nlp.get_pipe("duoguard").classifier.decoder

    def change():
        with torch.no_grad():
            getattr(decoder, name).weight.neg_()

    before, after = scored_while(nlp, change)
    assert_same(before, expected[: len(before)])
    assert_same(after, [nlp(text) for text in DOCS[len(before) :]])


def test_settings_that_change_in_the_middle_of_a_batch(make_nlp, computes_apart):
    nlp = make_nlp()
    guard = nlp.get_pipe("duoguard")
    expected = [nlp(text) for text in DOCS]
    before, after = scored_while(nlp, lambda: guard.cfg.update(max_chars=6))
    assert_same(before, expected[: len(before)])
    assert_same(after, [nlp(text) for text in DOCS[len(before) :]])


def test_docs_that_were_read_and_not_yet_scored_are_marked(make_nlp, computes_apart):
    nlp = make_nlp()
    nlp("the weights are loaded")
    docs = [nlp.make_doc(text) for text in DOCS]
    read = []

    def stream():
        for doc in docs:
            read.append(doc)
            yield doc

    pipe = nlp.get_pipe("duoguard").pipe(stream(), batch_size=len(DOCS))
    first = next(pipe)
    pipe.close()
    assert first is docs[0]
    assert first._.duoguard_status == "ok"
    assert 5 < len(read) < len(docs)
    n_scored = sum(doc._.duoguard_status == "ok" for doc in read)
    assert 0 < n_scored < len(read)
    for doc in read[n_scored:]:
        assert doc._.duoguard_status == "error"
        assert doc.cats == FAILED_CATS


@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_no_doc_is_read_that_a_batch_has_no_room_for(make_nlp, computes_apart, size):
    """Whoever makes the docs may wait for the results of the batch before."""
    nlp = make_nlp()
    nlp("the weights are loaded")
    scored = []

    def stream():
        for i, text in enumerate(DOCS):
            assert len(scored) >= i // size * size
            yield text

    for doc in nlp.pipe(stream(), batch_size=size):
        scored.append(doc)
    assert_same(scored, [nlp(text) for text in DOCS])


def test_a_text_that_fails_costs_no_other(make_nlp, monkeypatch, computes_apart):
    nlp = make_nlp()
    expected = [nlp(text) for text in DOCS]
    classifier = nlp.get_pipe("duoguard").classifier
    bad = classifier.tokenizer.encode(BAD).ids[0]
    forward = CpuForward.__call__

    def failing(self, batch):
        logits = forward(self, batch)
        starts = batch.cu_seqlens[:-1].long()
        logits[batch.token_ids[starts] == bad] = torch.nan
        return logits

    monkeypatch.setattr(CpuForward, "__call__", failing)
    nlp.set_error_handler(lambda *args: None)
    texts = [*DOCS[:9], BAD, *DOCS[9:]]
    docs = list(nlp.pipe(texts, batch_size=len(texts)))
    assert docs[9].cats == FAILED_CATS
    assert_same([*docs[:9], *docs[10:]], expected)


def test_conversations_are_not_computed_twice(make_nlp, monkeypatch, computes_apart):
    nlp = make_nlp()
    chats = [[text, "and then?", "x"] for text in DOCS]
    texts = [" ".join(chat) for chat in chats]
    nlp(make_conversation(nlp, chats[0]))
    with counted_tokens(monkeypatch) as counts:
        docs = (make_conversation(nlp, chat) for chat in chats)
        list(nlp.pipe(docs, batch_size=len(chats)))
    assert sum(counts) == n_tokens(nlp, texts)


def test_an_error_while_docs_are_made_is_met_again(
    make_nlp, monkeypatch, computes_apart
):
    nlp = make_nlp()
    expected = [nlp(text) for text in DOCS]
    forward, failures = CpuForward.__call__, []

    def failing(self, batch):
        if not failures:
            failures.append(batch)
            raise ValueError("once")
        return forward(self, batch)

    monkeypatch.setattr(CpuForward, "__call__", failing)
    docs = list(nlp.pipe(DOCS, batch_size=len(DOCS)))
    assert failures
    assert_same(docs, expected)


def test_docs_that_were_read_before_an_error_are_marked(make_nlp, computes_apart):
    nlp = make_nlp()
    nlp("the weights are loaded")
    docs = [nlp.make_doc(text) for text in DOCS]

    def stream():
        yield from docs[:-2]
        raise OSError("the line is dead")

    arrived = []
    pipe = nlp.get_pipe("duoguard").pipe(stream(), batch_size=len(DOCS))
    with pytest.raises(OSError, match="dead"):
        arrived.extend(pipe)
    assert 0 < len(arrived) < len(docs) - 2
    assert {doc._.duoguard_status for doc in arrived} == {"ok"}
    assert {doc._.duoguard_status for doc in docs[len(arrived) : -2]} == {"error"}


@pytest.mark.parametrize("n_read", [1, 20, len(DOCS)])
def test_threads_split_what_is_launched(make_nlp, computes_apart, monkeypatch, n_read):
    """With threads that take their time, and a reader that stops anywhere."""
    nlp = make_nlp()
    expected = [nlp(text) for text in DOCS]
    begin = ahead.begin_texts
    monkeypatch.setattr(ahead, "ThreadPoolExecutor", EXECUTOR)
    names = []

    def beginning(*args, **options):
        names.append(threading.current_thread().name)
        time.sleep(0.01 * (len(names) % 3))
        return begin(*args, **options)

    monkeypatch.setattr(ahead, "begin_texts", beginning)
    with no_thread_left():
        docs = nlp.pipe(DOCS, batch_size=30)
        assert_same(islice(docs, n_read), expected[:n_read])
        docs.close()
    assert names
    assert all(name.startswith("spacy-duoguard tokenizer") for name in names)
