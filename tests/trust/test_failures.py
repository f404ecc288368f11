"""The trust table, rows 14 to 19 and 29: failures cost what failed, and nothing reads
as safe that was not scored."""

from collections.abc import Iterator

import pytest
import spacy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.util import ignore_error, raise_error
from support.checkpoints import BAD, TEXTS

from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.text.tokenizer import TextTokenizer
from spacy_duoguard.errors import ScoringError
from spacy_duoguard.pipeline import fail_closed
from spacy_duoguard.taxonomy import CATEGORIES

ONES = dict.fromkeys([*CATEGORIES, "unsafe"], 1.0)


def too_much():
    torch.empty(10**15)  # what the allocator of CPU memory says


def raising(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_row_14_logits_that_are_not_finite(make_nlp, monkeypatch, value):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    tokenizer = component.classifier.tokenizer
    texts = ["one dog", "two dogs", "three dogs and a fox", "four"]
    bad_ids = torch.from_numpy(tokenizer.encode(texts[2]).ids.astype("int64"))
    expected = [nlp(text).cats for text in texts]
    forward = CpuForward.__call__

    def broken(self, batch):
        logits = forward(self, batch).clone()
        for i, last in enumerate(batch.scored_rows.tolist()):
            length = int(batch.positions[last]) + 1
            ids = batch.token_ids[last + 1 - length : last + 1]
            if torch.equal(ids, bad_ids):
                logits[i, 3] = value
        return logits

    monkeypatch.setattr(CpuForward, "__call__", broken)
    with pytest.raises(ScoringError, match="E040"):
        list(nlp.pipe(texts))
    nlp.set_error_handler(ignore_error)
    docs = list(nlp.pipe(texts))
    assert docs[2].cats == ONES
    assert docs[2]._.duoguard_status == "error"
    for i in (0, 1, 3):
        assert docs[i].cats == pytest.approx(expected[i], abs=1e-5)


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_row_16_a_bad_text_costs_that_text_alone(breaking, make_nlp, place, batch_size):
    nlp = breaking(ValueError("broken"))
    nlp.set_error_handler(ignore_error)
    texts = TEXTS[:5]
    texts[place] = f"{BAD} text"
    docs = list(nlp.pipe(texts, batch_size=batch_size))
    assert [doc.text for doc in docs] == texts
    expected = make_nlp()
    for i, doc in enumerate(docs):
        if i == place:
            assert doc.cats == ONES
            assert doc._.duoguard_status == "error"
            assert doc._.duoguard_flags == list(CATEGORIES)
            assert doc._.duoguard_windows == []
        else:
            assert doc.cats == pytest.approx(expected(doc.text).cats, abs=1e-5)
            assert doc._.duoguard_status == "ok"


def test_row_16_the_default_handler_raises_the_original_error(breaking):
    error = ValueError("broken")
    nlp = breaking(error)
    with pytest.raises(ValueError, match="broken") as caught:
        list(nlp.pipe([*TEXTS, BAD]))
    assert caught.value is error
    with pytest.raises(ValueError, match="broken"):
        nlp(BAD)


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_row_17_a_failed_call_leaves_no_doc_that_looks_safe(breaking, threshold):
    nlp = breaking(ValueError("broken"), threshold=threshold)
    component = nlp.get_pipe("duoguard")
    doc = nlp.make_doc(BAD)
    doc.cats = {"unsafe": 0.0, "Hate": 0.0, "POSITIVE": 0.5}
    with pytest.raises(ValueError, match="broken"):
        component(doc)
    assert doc.cats == {**ONES, "POSITIVE": 0.5}
    component.set_error_handler(ignore_error)
    doc.cats["unsafe"] = 0.0
    assert component(doc) is doc
    assert doc.cats["unsafe"] == 1.0
    assert doc._.duoguard_flags == list(CATEGORIES)


@pytest.mark.parametrize("handler", [raise_error, ignore_error])
def test_row_18_a_key_error_is_not_taken_for_a_missing_initialize(breaking, handler):
    nlp = breaking(KeyError("lookup"))
    nlp.set_error_handler(handler)
    if handler is ignore_error:
        assert nlp(BAD).cats == ONES
        return
    for run in (lambda: nlp(BAD), lambda: list(nlp.pipe([BAD]))):
        with pytest.raises(RuntimeError, match="E044") as caught:
            run()
        assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "fail",
    [
        raising(torch.OutOfMemoryError("CUDA out of memory")),
        raising(MemoryError()),
        too_much,
    ],
    ids=["cuda", "python", "cpu"],
)
def test_row_19_a_batch_that_does_not_fit_is_halved(make_nlp, monkeypatch, fail):
    alone = make_nlp(model={"max_batch_tokens": 1})
    expected = [alone(text).cats for text in TEXTS]
    sizes = []
    forward = CpuForward.__call__

    def limited(self, batch):
        sizes.append(len(batch.scored_rows))
        if sizes[-1] > 2:
            fail()
        return forward(self, batch)

    monkeypatch.setattr(CpuForward, "__call__", limited)
    nlp = make_nlp()
    monkeypatch.setattr(fail_closed, "score_or_halve", score_once)
    docs = list(nlp.pipe(TEXTS))
    assert max(sizes) == len(TEXTS)
    assert len([size for size in sizes if size > 2]) < 6
    for doc, cats in zip(docs, expected, strict=True):
        assert doc._.duoguard_status == "ok"
        assert doc.cats == pytest.approx(cats, abs=1e-5)


def score_once(component, docs):
    """Scoring without the component's bisection, so that the engine does it all."""
    component.set_annotations(docs, component.predict(docs))


def test_row_19_one_window_that_does_not_fit(make_nlp, monkeypatch):
    forward = CpuForward.__call__

    def limited(self, batch):
        if len(batch.token_ids) > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, batch)

    nlp = make_nlp()
    tokenizer = nlp.get_pipe("duoguard").classifier.tokenizer
    large = [len(tokenizer.encode(text).ids) > 40 for text in TEXTS]
    assert set(large) == {True, False}
    expected = [nlp(text).cats for text in TEXTS]
    monkeypatch.setattr(CpuForward, "__call__", limited)
    with pytest.raises(ScoringError, match=r"E120.*max_batch_tokens") as caught:
        list(nlp.pipe(TEXTS))
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
    nlp.set_error_handler(ignore_error)
    for doc, cats, big in zip(nlp.pipe(TEXTS), expected, large, strict=True):
        assert doc.cats == (ONES if big else pytest.approx(cats, abs=1e-5))


# What a forward can do. The script has an entry for each call; then all goes well.
FAULTS = {
    "oom": torch.OutOfMemoryError("CUDA out of memory"),
    "runtime": RuntimeError("broken"),
    "key": KeyError("lookup"),
    "interrupt": KeyboardInterrupt(),
}
scripts = st.lists(st.sampled_from(["ok", "nan", "inf", *FAULTS]), max_size=12)


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


def failing_by(script: list[str]):
    steps: Iterator[str] = iter(script)
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
    script=scripts,
    texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8),
    batch_size=st.integers(1, 8),
    handler=st.sampled_from([raise_error, ignore_error]),
)
def test_row_29_a_forward_that_fails_by_a_script(
    nlp, truth, script, texts, batch_size, handler
):
    component = nlp.get_pipe("duoguard")
    component.set_error_handler(handler)
    docs = [nlp.get_pipe("sentencizer")(nlp.make_doc(text)) for text in texts]
    out, error = [], None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CpuForward, "__call__", failing_by(script))
        try:
            out.extend(component.pipe(iter(docs), batch_size=batch_size))
        except (Exception, KeyboardInterrupt) as e:
            error = e
    assert all(doc is same for doc, same in zip(docs, out, strict=False))
    if error is None:
        assert len(out) == len(docs)
    elif isinstance(error, KeyboardInterrupt):
        assert "interrupt" in script
    else:
        assert handler is raise_error
        assert isinstance(error, RuntimeError)
    for doc in docs:
        if not doc.cats:  # of a batch after the error: the caller never got it
            assert error is not None
            assert not any(doc is same for same in out)
        elif doc._.duoguard_status == "error":
            assert doc.cats == ONES
            spans = [sentence._.duoguard_cats for sentence in doc.sents]
            interrupted = not any(doc is same for same in out)
            assert all(cats == ONES or (interrupted and not cats) for cats in spans)
        else:
            assert doc.cats == pytest.approx(truth[doc.text], abs=1e-5)


def test_a_failure_that_passes_costs_nothing(make_nlp, monkeypatch):
    nlp = make_nlp()
    expected = [nlp(text).cats for text in TEXTS]
    nlp.set_error_handler(ignore_error)
    call = failing_by(["runtime"])
    monkeypatch.setattr(CpuForward, "__call__", call)
    for doc, cats in zip(nlp.pipe(TEXTS), expected, strict=True):
        assert doc.cats == pytest.approx(cats, abs=1e-5)


def test_an_interrupt_while_a_batch_is_halved(make_nlp, monkeypatch):
    nlp = make_nlp()
    nlp.set_error_handler(ignore_error)
    docs = [nlp.make_doc(text) for text in TEXTS]
    call = failing_by(["runtime", "ok", "interrupt"])
    monkeypatch.setattr(CpuForward, "__call__", call)
    with pytest.raises(KeyboardInterrupt):
        list(nlp.get_pipe("duoguard").pipe(docs))
    statuses = [doc._.duoguard_status for doc in docs]
    half = len(docs) // 2
    assert statuses == ["ok"] * half + ["error"] * (len(docs) - half)
    assert all(doc.cats == ONES for doc in docs[half:])


def test_an_error_handler_that_fails_itself(breaking):
    nlp = breaking(ValueError("broken"))

    def handler(name, component, docs, error):
        raise ZeroDivisionError("the handler") from error

    nlp.set_error_handler(handler)
    docs = [nlp.make_doc(text) for text in ("a dog", BAD, "two dogs", "a fox")]
    with pytest.raises(ZeroDivisionError, match="the handler"):
        list(nlp.get_pipe("duoguard").pipe(docs))
    assert docs[0]._.duoguard_status == "ok"
    assert [doc.cats for doc in docs[1:]] == [ONES] * 3


def test_a_tokenizer_that_fails_for_one_text(make_nlp, monkeypatch):
    encode = TextTokenizer.encode

    def failing(self, text):
        if BAD in text:
            raise Exception("tokenizers raises bare ones")
        return encode(self, text)

    nlp = make_nlp()
    expected = nlp("a dog").cats
    monkeypatch.setattr(TextTokenizer, "encode", failing)
    nlp.set_error_handler(ignore_error)
    good, bad = nlp.pipe(["a dog", BAD])
    assert good.cats == pytest.approx(expected, abs=1e-5)
    assert bad.cats == ONES
