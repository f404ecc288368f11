"""Several failures in a row: each text gets its true score, or a doc that is marked as
failed, or an error is raised."""

import copy

import pytest
import spacy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.util import ignore_error, raise_error
from support.checkpoints import TEXTS
from support.failures import BAD, FAILED_CATS

from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.streaming.stream import StreamBatch

# What a forward can raise. A script has a step for each call; later calls succeed.
FAULTS = {
    "oom": torch.OutOfMemoryError("CUDA out of memory"),
    "runtime": RuntimeError("broken"),
    "key": KeyError("lookup"),
    "interrupt": KeyboardInterrupt(),
}
SCRIPTS = st.lists(st.sampled_from(["ok", "nan", "inf", *FAULTS]), max_size=12)


@pytest.fixture(scope="module")
def nlp(qwen2_folder):
    """Small batches, so that one call of the component needs several forwards."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    model = {"name": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    model["max_batch_tokens"] = 48
    nlp.add_pipe("duoguard", config={"sents": True, "model": model})
    return nlp


@pytest.fixture(scope="module")
def truth(nlp):
    return {text: nlp(text).cats for text in TEXTS}


def failing_by(script):
    steps = iter(script)
    forward = CpuForward.__call__

    def call(self, batch):
        step = next(steps, "ok")
        if step in FAULTS:
            raise FAULTS[step]
        logits = forward(self, batch)
        if step in ("nan", "inf"):
            logits = logits.clone()
            logits[len(logits) // 2, 5] = float(step)
        return logits

    return call


@pytest.mark.filterwarnings("ignore:.W005")
@settings(deadline=None, max_examples=200)
@given(
    script=SCRIPTS,
    texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8),
    batch_size=st.integers(1, 8),
    handler=st.sampled_from([raise_error, ignore_error]),
)
def test_any_sequence_of_failures_fails_closed(
    nlp, truth, script, texts, batch_size, handler
):
    component = nlp.get_pipe("duoguard")
    component.set_error_handler(handler)
    docs = [nlp.get_pipe("sentencizer")(nlp.make_doc(text)) for text in texts]
    returned, error = [], None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CpuForward, "__call__", failing_by(script))
        try:
            returned.extend(component.pipe(iter(docs), batch_size=batch_size))
        except (Exception, KeyboardInterrupt) as e:
            error = e
    assert all(doc is same for doc, same in zip(docs, returned, strict=False))
    if error is None:
        assert len(returned) == len(docs)
    elif isinstance(error, KeyboardInterrupt):
        assert "interrupt" in script
    else:
        assert handler is raise_error
        assert isinstance(error, RuntimeError)
    for i, doc in enumerate(docs):
        if not doc.cats:  # in a batch after the error
            assert error is not None
            assert i >= len(returned)
        elif doc._.duoguard_status == "error":
            spans = [sentence._.duoguard_cats for sentence in doc.sents]
            if i >= len(returned):  # an interrupt may come before the spans
                spans = [cats for cats in spans if cats]
            assert all(cats == FAILED_CATS for cats in [doc.cats, *spans])
        else:
            assert doc.cats == pytest.approx(truth[doc.text], abs=1e-5)


def test_a_transient_failure_costs_nothing(make_nlp, monkeypatch):
    nlp = make_nlp()
    expected = [nlp(text).cats for text in TEXTS]
    nlp.set_error_handler(ignore_error)
    monkeypatch.setattr(CpuForward, "__call__", failing_by(["runtime"]))
    with pytest.warns(UserWarning, match="W005"):
        docs = list(nlp.pipe(TEXTS))
    for doc, cats in zip(docs, expected, strict=True):
        assert doc.cats == pytest.approx(cats, abs=1e-5)


def only_single_texts(error):
    """A forward that fails for every batch, as on a GPU whose kernel for batches is
    broken: each doc alone would still succeed."""
    forward = CpuForward.__call__

    def call(self, batch):
        if len(batch.cu_seqlens) > 2:
            raise error
        return forward(self, batch)

    return call


def test_batches_that_only_succeed_doc_by_doc_are_reported_once(make_nlp, monkeypatch):
    nlp = make_nlp()
    fallbacks = nlp.get_pipe("duoguard").classifier.runner.fallbacks
    list(nlp.pipe(TEXTS))
    assert not fallbacks.counts
    error = TypeError("a message with the text How to kill")
    monkeypatch.setattr(CpuForward, "__call__", only_single_texts(error))
    with pytest.warns(UserWarning, match="W005") as caught:
        docs = [*nlp.pipe(TEXTS), *nlp.pipe(TEXTS)]
    assert {doc._.duoguard_status for doc in docs} == {"ok"}
    (warning,) = caught
    assert "TypeError in test_failure_sequences.py, line" in str(warning.message)
    assert "How to kill" not in str(warning.message)
    assert fallbacks.halvings == 2 * (len(TEXTS) - 1)
    assert fallbacks.first_cause.startswith("TypeError in test_failure_sequences.py")
    fallbacks.reset()
    assert (fallbacks.halvings, fallbacks.first_cause) == (0, None)


def test_a_handler_swallows_the_warning_where_a_filter_makes_it_an_error(
    make_nlp, monkeypatch
):
    nlp, handled = make_nlp(), []
    nlp.set_error_handler(lambda name, proc, docs, e: handled.append((docs, e)))
    monkeypatch.setattr(CpuForward, "__call__", only_single_texts(ValueError("broken")))
    docs = list(nlp.pipe(TEXTS))
    assert [doc.text for doc in docs] == TEXTS
    assert {doc._.duoguard_status for doc in docs} == {"ok"}
    assert {str(error)[:6] for _, error in handled} == {"[W005]"}
    assert [docs for docs, _ in handled] == [[]] * len(handled)


def test_a_bad_text_that_the_handler_sees_is_not_reported_twice(breaking):
    nlp = breaking(ValueError("broken"))
    nlp.set_error_handler(ignore_error)
    docs = list(nlp.pipe([*TEXTS, BAD]))
    assert [doc._.duoguard_status for doc in docs].count("error") == 1
    assert nlp.get_pipe("duoguard").classifier.runner.fallbacks.halvings > 0


def test_streams_that_only_succeed_one_by_one_are_reported(classifier, monkeypatch):
    """The same for streams."""
    forward = CpuForward.extend

    def call(self, batch, attends):
        if len(batch.cu_seqlens) > 2:
            raise RuntimeError("broken")
        return forward(self, batch, attends)

    monkeypatch.setattr(CpuForward, "extend", call)
    classifier = copy.copy(classifier)
    classifier.runner = copy.copy(classifier.runner)
    batch = StreamBatch(classifier)
    streams = [batch.open() for _ in range(3)]
    with pytest.warns(UserWarning, match="W005"):
        batch.push(streams, ["The dog", "sleeps", "on"])
    assert classifier.runner.fallbacks.halvings == 1
    assert all(stream.error is None for stream in streams)


def test_an_interrupt_while_a_batch_is_halved(make_nlp, monkeypatch):
    nlp = make_nlp()
    nlp.set_error_handler(ignore_error)
    docs = [nlp.make_doc(text) for text in TEXTS]
    script = ["runtime", "ok", "interrupt"]
    monkeypatch.setattr(CpuForward, "__call__", failing_by(script))
    with pytest.raises(KeyboardInterrupt):
        list(nlp.get_pipe("duoguard").pipe(docs))
    statuses = [doc._.duoguard_status for doc in docs]
    half = len(docs) // 2
    assert statuses == ["ok"] * half + ["error"] * (len(docs) - half)
    assert all(doc.cats == FAILED_CATS for doc in docs[half:])
