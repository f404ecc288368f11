"""What a doc that could not be scored holds, beside its scores."""

import pytest
from spacy.util import ignore_error
from support.failures import BAD

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
