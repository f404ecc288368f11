"""Several failures in a row: each text gets its true score, or a doc that is marked as
failed, or an error is raised."""

import pytest
import spacy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.util import ignore_error, raise_error
from support.checkpoints import TEXTS
from support.failures import FAILED_CATS

from spacy_duoguard.engine.network.cpu import CpuForward

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
    for doc, cats in zip(nlp.pipe(TEXTS), expected, strict=True):
        assert doc.cats == pytest.approx(cats, abs=1e-5)


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
