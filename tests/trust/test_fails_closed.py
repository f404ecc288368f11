"""A guard fails closed: what could not be scored reads as unsafe."""

import pytest
from spacy.util import ignore_error
from support.checkpoints import BAD

from spacy_duoguard.pipeline.doc_scores import get_sentences
from spacy_duoguard.taxonomy import CATEGORIES

ONES = dict.fromkeys([*CATEGORIES, "unsafe"], 1.0)


def test_spans_of_a_failed_doc_read_as_unsafe(breaking):
    nlp = breaking(ValueError("broken"), sents=True)
    nlp.set_error_handler(ignore_error)
    good, bad = nlp.pipe(["The dog sleeps. So do I.", f"The dog sleeps. {BAD} things."])
    assert [sent._.duoguard_cats for sent in bad.sents] == [ONES, ONES]
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
    assert bad.cats == ONES
    assert len(bad.spans["duoguard"]) == 0


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("threshold", float("nan"), "E001"),
        ("threshold", "high", "E001"),
        ("thresholds", {"Hate": None}, "E001"),
        ("thresholds", {"Hat": 0.1}, "E002"),
        ("max_chars", 0, "E004"),
    ],
)
def test_settings_that_were_changed_for_the_worse(make_nlp, key, value, code):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    component.cfg[key] = value
    doc = nlp.make_doc("The dog sleeps.")
    with pytest.raises(ValueError, match=code):
        component(doc)
    assert doc.cats == ONES
    assert doc._.duoguard_flags == list(CATEGORIES)


def test_results_of_an_earlier_run_do_not_outlive_a_failure(breaking):
    nlp = breaking(ValueError("broken"))
    component = nlp.get_pipe("duoguard")
    doc = component(nlp.make_doc("The dog sleeps."))
    assert doc._.duoguard_windows
    component.classifier.answer = None
    with pytest.raises(TypeError):
        component(doc)
    assert doc.cats == ONES
    assert doc._.duoguard_windows == []


def test_an_interrupt_passes_through_and_leaves_docs_closed(breaking):
    nlp = breaking(KeyboardInterrupt())
    nlp.set_error_handler(ignore_error)
    doc = nlp.make_doc(BAD)
    with pytest.raises(KeyboardInterrupt):
        nlp.get_pipe("duoguard")(doc)
    assert doc.cats == ONES


def test_handlers_and_messages_never_see_the_text(breaking, make_nlp):
    seen = []
    nlp = breaking(KeyError("lookup"))
    nlp.set_error_handler(lambda name, proc, docs, e: seen.append((name, docs, e)))
    secret = f"{BAD} secret"
    doc = nlp(secret)
    ((name, docs, error),) = seen
    assert name == "duoguard"
    assert docs == [doc]
    assert "secret" not in f"{error!r} {error.__cause__!r}"


def test_a_model_that_does_not_load_raises_and_leaves_docs_closed(make_nlp, tmp_path):
    nlp = make_nlp(model={"name": str(tmp_path)})
    doc = nlp.make_doc("The dog sleeps.")
    with pytest.raises(ValueError, match=r"E017.*config\.json"):
        nlp.get_pipe("duoguard")(doc)
    assert doc.cats == ONES
    nlp.set_error_handler(ignore_error)
    nlp.add_pipe("sentencizer", first=True)
    nlp.get_pipe("duoguard").span_getter = get_sentences
    doc = nlp("The dog sleeps. So do I.")
    assert doc.cats == ONES
    assert [sent._.duoguard_cats for sent in doc.sents] == [ONES, ONES]
    with pytest.raises(ValueError, match=r"E017.*config\.json"):
        list(nlp.pipe(["The dog sleeps."]))
