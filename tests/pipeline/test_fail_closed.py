"""What a doc that could not be scored holds, beside its scores."""

import pytest
from spacy.util import ignore_error
from support.failures import BAD

from spacy_duoguard.errors import ScoringError
from spacy_duoguard.pipeline.fail_closed import score_docs
from spacy_duoguard.pipeline.settings import SPANS_KEY


def test_an_interrupt_leaves_no_group_of_spans_if_none_are_scored(breaking):
    nlp = breaking(KeyboardInterrupt())
    doc = nlp.make_doc(BAD)
    with pytest.raises(KeyboardInterrupt):
        nlp.get_pipe("duoguard")(doc)
    assert doc._.duoguard_status == "error"
    assert SPANS_KEY not in doc.spans


@pytest.mark.parametrize("key", ["", None])
def test_a_spans_key_that_cannot_be_used_is_that_of_the_config(make_nlp, key):
    nlp = make_nlp(sents=True, spans_key="risks")
    nlp.set_error_handler(ignore_error)
    nlp.get_pipe("duoguard").cfg["spans_key"] = key
    doc = nlp("The dog sleeps.")
    assert doc._.duoguard_status == "error"
    assert list(doc.spans) == ["risks"]


def test_what_settings_no_longer_say_counts_as_wanted(make_nlp):
    """A doc without deltas and a curve could be taken for one without risks."""
    nlp = make_nlp(sents=True)
    nlp.set_error_handler(ignore_error)
    component = nlp.get_pipe("duoguard")
    del component.cfg["curve"], component.in_context
    doc = nlp("The dog sleeps.")
    (sentence,) = doc.sents
    assert doc._.duoguard_curve == []
    assert doc._.duoguard_first_unsafe == 0
    assert set(sentence._.duoguard_delta.values()) == {1.0}


def test_a_curve_that_was_not_wanted_is_not_there(breaking):
    nlp = breaking(ValueError("broken"), sents=True)
    nlp.set_error_handler(ignore_error)
    doc = nlp(BAD)
    (sentence,) = doc.sents
    assert doc._.duoguard_curve is None
    assert sentence._.duoguard_delta is None


def test_a_category_that_was_added_fails_too(breaking):
    nlp = breaking(ValueError("broken"))
    nlp.set_error_handler(ignore_error)
    nlp.get_pipe("duoguard").add_label("Spam")
    doc = nlp(BAD)
    assert doc.cats["Spam"] == 1.0
    assert doc._.duoguard_flags[-1] == "Spam"


@pytest.mark.parametrize("index", range(4))
def test_the_error_handler_sees_the_error_of_the_doc_that_failed(breaking, index):
    error, handled = ValueError("broken"), []
    nlp = breaking(error)
    nlp.set_error_handler(lambda name, _, docs, e: handled.append((name, docs, e)))
    texts = ["a dog", "two dogs", "a fox", "the end"]
    texts[index] = BAD
    docs = list(nlp.pipe(texts))
    assert handled == [("duoguard", [docs[index]], error)]
    fallbacks = nlp.get_pipe("duoguard").classifier.runner.fallbacks
    assert fallbacks.halvings == 2
    assert fallbacks.first_cause.startswith("ValueError in conftest.py, line ")


def test_docs_of_a_batch_that_was_interrupted_share_nothing(breaking):
    nlp = breaking(KeyboardInterrupt(), curve=True)
    docs = [nlp.make_doc(text) for text in (BAD, "a dog")]
    with pytest.raises(KeyboardInterrupt):
        list(nlp.get_pipe("duoguard").pipe(docs))
    first, second = (doc.user_data["duoguard"] for doc in docs)
    assert (first["length"], second["length"]) == (3, 5)
    first["curve"]["ends"].append(1)
    first["windows"].append({})
    first["deltas"]["0:1"] = [1.0]
    assert second["curve"] == {"ends": [], "probs": []}
    assert second["windows"] == []
    assert second["deltas"] == {}


def test_an_interrupt_leaves_an_empty_group_of_spans_if_some_are_scored(breaking):
    nlp = breaking(KeyboardInterrupt(), sents=True)
    doc = nlp.get_pipe("sentencizer")(nlp.make_doc(f"{BAD} dog. A fox."))
    with pytest.raises(KeyboardInterrupt):
        nlp.get_pipe("duoguard")(doc)
    assert doc._.duoguard_status == "error"
    assert list(doc.spans[SPANS_KEY]) == []


def test_the_group_of_a_failed_doc_is_that_of_the_setting_now(breaking):
    nlp = breaking(ValueError("broken"), sents=True, spans_key="risks")
    nlp.set_error_handler(ignore_error)
    nlp.get_pipe("duoguard").cfg["spans_key"] = "other"
    assert list(nlp(BAD).spans) == ["other"]


def test_without_a_setting_the_group_is_that_of_an_earlier_run(make_nlp):
    nlp = make_nlp(sents=True, spans_key="earlier")
    nlp.set_error_handler(ignore_error)
    doc, component = nlp("The dog sleeps."), nlp.get_pipe("duoguard")
    component.configured["spans_key"] = "configured"
    del component.cfg["spans_key"]
    assert list(component(doc).spans) == ["earlier"]
    assert list(nlp("The dog sleeps.").spans) == ["configured"]
    component.configured["spans_key"] = ""
    assert list(nlp("The dog sleeps.").spans) == [SPANS_KEY]


def test_a_getter_that_raises_again_is_reported_once(make_nlp):
    def getter(docs):
        if any(doc.text == BAD for doc in docs):
            raise ValueError("no spans")
        return [[doc[:1]] for doc in docs]

    nlp, handled = make_nlp(), []
    nlp.set_error_handler(lambda name, _, docs, e: handled.append((docs, str(e))))
    nlp.get_pipe("duoguard").span_getter = getter
    docs = list(nlp.pipe([BAD, "The dog sleeps."]))
    assert handled == [([docs[0]], "no spans")]
    assert [doc._.duoguard_status for doc in docs] == ["error", "ok"]
    assert list(docs[0].spans[SPANS_KEY]) == []


def test_what_is_no_doc_is_named_and_the_docs_beside_it_are_marked(make_nlp):
    nlp = make_nlp()
    doc = nlp.make_doc("The dog sleeps.")
    with pytest.raises(ScoringError, match=r"E323.*'int'"):
        score_docs(nlp.get_pipe("duoguard"), [doc, 7])
    assert doc._.duoguard_status == "error"
    assert set(doc.cats.values()) == {1.0}
