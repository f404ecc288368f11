"""Failures cost only what failed, and nothing that was not scored looks safe."""

import pytest
import torch
from spacy.util import ignore_error, raise_error
from support.checkpoints import TEXTS
from support.failures import BAD, FAILED_CATS

from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.text.byte_pairs import BytePairs
from spacy_duoguard.engine.text.tokenizer import TextTokenizer
from spacy_duoguard.errors import ScoringError
from spacy_duoguard.pipeline.doc_scores import get_sentences
from spacy_duoguard.taxonomy import CATEGORIES


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_logits_are_a_failure(make_nlp, monkeypatch, value):
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
    assert docs[2].cats == FAILED_CATS
    assert docs[2]._.duoguard_status == "error"
    for i in (0, 1, 3):
        assert docs[i].cats == pytest.approx(expected[i], abs=1e-5)


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_bad_text_costs_only_itself(breaking, make_nlp, index, batch_size):
    nlp = breaking(ValueError("broken"))
    nlp.set_error_handler(ignore_error)
    texts = TEXTS[:5]
    texts[index] = f"{BAD} text"
    docs = list(nlp.pipe(texts, batch_size=batch_size))
    assert [doc.text for doc in docs] == texts
    expected = make_nlp()
    for i, doc in enumerate(docs):
        if i == index:
            assert doc.cats == FAILED_CATS
            assert doc._.duoguard_status == "error"
            assert doc._.duoguard_flags == list(CATEGORIES)
            assert doc._.duoguard_windows == []
        else:
            assert doc.cats == pytest.approx(expected(doc.text).cats, abs=1e-5)
            assert doc._.duoguard_status == "ok"


def test_the_default_handler_raises_the_original_error(breaking):
    error = ValueError("broken")
    nlp = breaking(error)
    with pytest.raises(ValueError, match="broken") as caught:
        list(nlp.pipe([*TEXTS, BAD]))
    assert caught.value is error
    with pytest.raises(ValueError, match="broken"):
        nlp(BAD)


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_a_failure_overwrites_earlier_cats(breaking, threshold):
    nlp = breaking(ValueError("broken"), threshold=threshold)
    component = nlp.get_pipe("duoguard")
    doc = nlp.make_doc(BAD)
    doc.cats = {"unsafe": 0.0, "Hate": 0.0, "POSITIVE": 0.5}
    with pytest.raises(ValueError, match="broken"):
        component(doc)
    assert doc.cats == {**FAILED_CATS, "POSITIVE": 0.5}
    component.set_error_handler(ignore_error)
    doc.cats["unsafe"] = 0.0
    assert component(doc) is doc
    assert doc.cats["unsafe"] == 1.0
    assert doc._.duoguard_flags == list(CATEGORIES)


@pytest.mark.parametrize("handler", [raise_error, ignore_error])
def test_a_key_error_is_not_reported_as_uninitialized(breaking, handler):
    nlp = breaking(KeyError("lookup"))
    nlp.set_error_handler(handler)
    if handler is ignore_error:
        assert nlp(BAD).cats == FAILED_CATS
        return
    for run in (lambda: nlp(BAD), lambda: list(nlp.pipe([BAD]))):
        with pytest.raises(RuntimeError, match="E044") as caught:
            run()
        assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_handler_that_fails(breaking):
    nlp = breaking(ValueError("broken"))

    def handler(name, component, docs, error):
        raise ZeroDivisionError("the handler") from error

    nlp.set_error_handler(handler)
    docs = [nlp.make_doc(text) for text in ("a dog", BAD, "two dogs", "a fox")]
    with pytest.raises(ZeroDivisionError, match="the handler"):
        list(nlp.get_pipe("duoguard").pipe(docs))
    assert docs[0]._.duoguard_status == "ok"
    assert [doc.cats for doc in docs[1:]] == [FAILED_CATS] * 3


def test_a_tokenizer_that_fails_for_one_text(make_nlp, monkeypatch):
    encode, encode_pairs = TextTokenizer.encode, BytePairs.encode

    def failing(self, text):
        if BAD in text:
            raise Exception("as tokenizers does")
        return encode(self, text)

    def failing_pairs(self, texts):
        if any(BAD in text for text in texts):
            raise Exception("as tiktoken does")
        return encode_pairs(self, texts)

    nlp = make_nlp()
    expected = nlp("a dog").cats
    monkeypatch.setattr(TextTokenizer, "encode", failing)
    monkeypatch.setattr(BytePairs, "encode", failing_pairs)
    nlp.set_error_handler(ignore_error)
    good, bad = nlp.pipe(["a dog", BAD])
    assert good.cats == pytest.approx(expected, abs=1e-5)
    assert bad.cats == FAILED_CATS


def test_spans_of_a_failed_doc_are_unsafe(breaking):
    nlp = breaking(ValueError("broken"), sents=True)
    nlp.set_error_handler(ignore_error)
    good, bad = nlp.pipe(["The dog sleeps. So do I.", f"The dog sleeps. {BAD} things."])
    assert [sent._.duoguard_cats for sent in bad.sents] == [FAILED_CATS, FAILED_CATS]
    assert len(bad.spans["duoguard"]) == 2 * len(CATEGORIES)
    assert set(bad.spans["duoguard"].attrs["scores"]) == {1.0}
    assert good._.duoguard_status == "ok"


def test_a_span_getter_that_fails_for_one_doc(make_nlp):
    nlp = make_nlp()
    nlp.set_error_handler(ignore_error)

    def getter(docs):
        return [[doc[0:1] if BAD not in doc.text else 1 / 0] for doc in docs]

    nlp.get_pipe("duoguard").span_getter = getter
    good, bad = nlp.pipe(["The dog sleeps.", BAD])
    assert good._.duoguard_status == "ok"
    assert bad.cats == FAILED_CATS
    assert len(bad.spans["duoguard"]) == 0


def test_a_failure_removes_earlier_results(breaking):
    nlp = breaking(ValueError("broken"))
    component = nlp.get_pipe("duoguard")
    doc = component(nlp.make_doc("The dog sleeps."))
    assert doc._.duoguard_windows
    component.classifier.answer = None
    with pytest.raises(TypeError):
        component(doc)
    assert doc.cats == FAILED_CATS
    assert doc._.duoguard_windows == []


def test_an_interrupt_passes_through_and_marks_the_doc(breaking):
    nlp = breaking(KeyboardInterrupt())
    nlp.set_error_handler(ignore_error)
    doc = nlp.make_doc(BAD)
    with pytest.raises(KeyboardInterrupt):
        nlp.get_pipe("duoguard")(doc)
    assert doc.cats == FAILED_CATS


def test_an_error_handler_gets_the_doc_and_an_error_without_its_text(breaking):
    calls = []
    nlp = breaking(KeyError("lookup"))
    nlp.set_error_handler(lambda name, proc, docs, e: calls.append((name, docs, e)))
    doc = nlp(f"{BAD} secret")
    ((name, docs, error),) = calls
    assert name == "duoguard"
    assert docs == [doc]
    assert "secret" not in f"{error!r} {error.__cause__!r}"


def test_a_model_that_does_not_load(make_nlp, tmp_path):
    nlp = make_nlp(model={"name": str(tmp_path)})
    doc = nlp.make_doc("The dog sleeps.")
    with pytest.raises(ValueError, match=r"E017.*config\.json"):
        nlp.get_pipe("duoguard")(doc)
    assert doc.cats == FAILED_CATS
    nlp.set_error_handler(ignore_error)
    nlp.add_pipe("sentencizer", first=True)
    nlp.get_pipe("duoguard").span_getter = get_sentences
    doc = nlp("The dog sleeps. So do I.")
    assert doc.cats == FAILED_CATS
    assert [sent._.duoguard_cats for sent in doc.sents] == [FAILED_CATS, FAILED_CATS]
    with pytest.raises(ValueError, match=r"E017.*config\.json"):
        list(nlp.pipe(["The dog sleeps."]))


def test_a_model_that_does_not_load_in_a_worker(make_nlp, tmp_path):
    """spaCy leaves out the docs of a worker that raises, if the handler doesn't."""
    nlp = make_nlp(model={"name": str(tmp_path)})
    texts = [f"The dog sleeps {i} times." for i in range(5)]
    with pytest.raises(ValueError, match=r"(?s)E871.*E017"):
        list(nlp.pipe(texts, n_process=2, batch_size=2))
    nlp.set_error_handler(ignore_error)
    docs = list(nlp.pipe(texts, n_process=2, batch_size=2))
    assert [doc.text for doc in docs] == texts
    assert [doc._.duoguard_status for doc in docs] == ["error"] * 5
    assert all(doc.cats == FAILED_CATS for doc in docs)
