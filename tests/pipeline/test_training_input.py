"""Gold that is unusual, incomplete or wrong."""

import pytest
import torch
from spacy.tokens import Span
from spacy.training import Example
from support.training import (
    DEPTHS,
    LONG,
    TRAIN,
    assert_equal,
    decoder_of,
    gradients,
    make_examples,
    train,
    trainable,
)
from thinc.api import SGD, Adam

from spacy_duoguard.errors import SettingsError
from spacy_duoguard.taxonomy import CATEGORIES

# Gold spans

SPANS = "The dog sleeps. I hate the fox. The fox jumps."


def span_example(nlp, entries, *, cats=(), annotate=True):
    predicted, reference = nlp.make_doc(SPANS), nlp.make_doc(SPANS)
    if annotate:
        predicted = nlp.get_pipe("sentencizer")(predicted)
    reference.cats = dict(cats)
    reference.spans["duoguard"] = [
        Span(reference, start, end, label=label) for start, end, label in entries
    ]
    return Example(predicted, reference)


@DEPTHS
def test_gold_spans_are_learned(make_nlp, layers):
    nlp = trainable(make_nlp, layers, sents=True)
    example = span_example(nlp, [(4, 9, "Hate")])
    nlp.initialize(lambda: [example])
    optimizer = Adam(0.01)
    for _ in range(60):
        losses = nlp.update([example], sgd=optimizer, losses={})
    assert losses["duoguard"] < 0.1
    doc = nlp(SPANS)
    safe, hateful, other = doc.sents
    assert hateful._.duoguard_cats["Hate"] > 0.95
    assert safe._.duoguard_cats["unsafe"] < 0.1
    assert other._.duoguard_cats["unsafe"] < 0.1
    assert [span.label_ for span in doc.spans["duoguard"]] == ["Hate"]


def test_gold_spans_are_texts_of_their_own(make_nlp):
    nlp = trainable(make_nlp, 0, sents=True)
    example = span_example(nlp, [(4, 9, "Hate")], cats={"Privacy": 0.0})
    texts = [(SPANS, {"Privacy": 0.0}), ("The dog sleeps.", {"unsafe": 0.0})]
    texts += [("I hate the fox.", {**dict.fromkeys(CATEGORIES, 0.0), "Hate": 1.0})]
    texts += [("The fox jumps.", {"unsafe": 0.0})]
    nlp.initialize(lambda: [example])
    assert_equal(gradients(nlp, [example]), gradients(nlp, make_examples(nlp, texts)))


def test_without_the_group_spans_are_not_labelled(make_nlp):
    nlp = trainable(make_nlp, 0, sents=True)
    example = make_examples(nlp, [(SPANS, {"Hate": 1.0})])
    nlp.initialize(lambda: example)  # without sentences, too
    gradient = gradients(nlp, example)
    plain = trainable(make_nlp, 0)
    plain.initialize(lambda: example)
    assert_equal(gradient, gradients(plain, example), rel=1e-9)


def test_gold_spans_need_sentences(make_nlp):
    nlp = trainable(make_nlp, 0, sents=True)
    example = span_example(nlp, [(4, 9, "Hate")], annotate=False)
    nlp.initialize(lambda: [example])
    with pytest.raises(SettingsError, match=r"E066.*annotating_components"):
        nlp.update([example])
    nlp.update([example], annotates=["sentencizer"])


def test_gold_spans_that_cannot_be_used_warn_once(make_nlp):
    nlp = trainable(make_nlp, 0, sents=True)
    example = span_example(nlp, [(5, 6, "Hate")])
    nlp.initialize(lambda: [example])
    with pytest.warns(UserWarning, match=r"W012.* 1 gold spans"):
        nlp.update([example])
    nlp.update([example])
    plain = trainable(make_nlp, 0)
    plain.add_pipe("sentencizer", first=True)
    with pytest.warns(UserWarning, match=r"W011.*span_getter"):
        plain.initialize(lambda: [example])
    with pytest.raises(SettingsError, match="E065"):
        plain.update([example])


def test_gold_spans_of_an_unknown_category(make_nlp):
    nlp = trainable(make_nlp, 0, sents=True)
    example = span_example(nlp, [(4, 9, "Spam")])
    for wrong in (
        lambda: nlp.initialize(lambda: [example]),
        lambda: nlp.update([example]),
    ):
        with pytest.raises(SettingsError, match=r"E067.*'Spam'"):
            wrong()


# Bad input


def test_no_examples(make_nlp):
    nlp = trainable(make_nlp, 0)
    with pytest.raises(TypeError, match="E930"):
        nlp.initialize(lambda: [])
    nlp.initialize()
    raw = decoder_of(nlp).score.weight.detach().clone()
    losses = nlp.get_pipe("duoguard").update([], sgd=SGD(1.0))
    assert losses == {"duoguard": 0.0}
    assert torch.equal(decoder_of(nlp).score.weight, raw)
    with pytest.raises(TypeError, match="E978"):
        nlp.get_pipe("duoguard").update([nlp.make_doc("a")])


def test_examples_without_any_of_our_categories(make_nlp):
    nlp = trainable(make_nlp, 0)
    foreign = make_examples(nlp, [("a", {"POSITIVE": 1.0}), ("b", {})])
    nlp.initialize(lambda: foreign)
    with pytest.raises(SettingsError, match=r"E065.*Violent crimes.*frozen_components"):
        nlp.update(foreign)
    # Among examples that have some, such a batch has nothing to teach.
    nlp.initialize(lambda: [*foreign, *make_examples(nlp)])
    with pytest.warns(UserWarning, match=r"W010.*\['POSITIVE'\].*add_label"):
        losses = nlp.update(foreign, losses={})
    assert losses["duoguard"] == 0.0
    nlp.update(foreign)  # warns once


def test_foreign_keys_do_not_change_what_is_learned(make_nlp):
    nlp = trainable(make_nlp, 0)
    mixed = [(text, {**cats, "POSITIVE": 7.0}) for text, cats in TRAIN]
    nlp.initialize(lambda: make_examples(nlp))
    expected = gradients(nlp, make_examples(nlp))
    with pytest.warns(UserWarning, match="W010"):
        gradient = gradients(nlp, make_examples(nlp, mixed))
    assert_equal(gradient, expected, rel=1e-9)


@pytest.mark.parametrize(
    ("cats", "code"),
    [
        ({"Hate": 1.5}, "E063"),
        ({"unsafe": -1}, "E063"),
        ({"Hate": 0.25}, "E064"),
        ({**dict.fromkeys(CATEGORIES, 0.0), "unsafe": 1.0}, "E068"),
    ],
)
def test_bad_gold_is_found_before_the_first_step(make_nlp, cats, code):
    nlp = trainable(make_nlp, 0)
    examples = make_examples(nlp, [*TRAIN, ("secret words", cats)])
    for wrong in (
        lambda: nlp.initialize(lambda: examples),
        lambda: nlp.update(examples),
    ):
        with pytest.raises(SettingsError, match=code) as caught:
            wrong()
        assert "secret" not in str(caught.value)


def test_soft_labels_with_bce(make_nlp):
    nlp = trainable(make_nlp, 0, loss={"@losses": "spacy-duoguard.bce.v1"})
    train(nlp, [("a", {"Hate": 0.25, "Privacy": 0.75})], steps=200)
    cats = nlp("a").cats
    assert cats["Hate"] == pytest.approx(0.25, abs=0.02)
    assert cats["Privacy"] == pytest.approx(0.75, abs=0.02)


def test_more_trainable_layers_than_there_are(make_nlp):
    nlp = trainable(make_nlp, 4)
    assert nlp("a")._.duoguard_status == "ok"
    for wrong in (nlp.initialize, lambda: nlp.update(make_examples(nlp))):
        with pytest.raises(SettingsError, match=r"E061.*\(4\).* 3 layers"):
            wrong()


def test_int8_is_for_inference_only(make_nlp, monkeypatch):
    nlp = trainable(make_nlp, 0)
    nlp("a")
    shim = nlp.get_pipe("duoguard").model.shims[0]
    object.__setattr__(shim.settings, "precision", "int8")
    with pytest.raises(SettingsError, match=r"E069.*int8"):
        nlp.update(make_examples(nlp))


@pytest.mark.parametrize("text", ["", LONG * 3])
def test_empty_and_long_texts(make_nlp, text):
    nlp = trainable(make_nlp, 1, model={"window": 32, "stride": 24})
    train(nlp, [*TRAIN, (text, {"unsafe": 1.0})], steps=30)
    doc = nlp(text)
    assert doc.cats["unsafe"] > 0.9 if text else doc.cats["unsafe"] == 0.0


def test_max_chars_holds_in_training(make_nlp):
    nlp = trainable(make_nlp, 0, max_chars=20)
    short = trainable(make_nlp, 0)
    example = make_examples(nlp, [("I hate the fox very much, I do.", {"Hate": 1.0})])
    for each in (nlp, short):
        each.initialize(lambda: example)
    assert not torch.equal(
        gradients(nlp, example)["score.weight"],
        gradients(short, example)["score.weight"],
    )


def test_begin_update_reads_what_update_reads(make_nlp):
    nlp = trainable(make_nlp, 0, loss={"@losses": "spacy-duoguard.bce.v1"})
    examples = make_examples(nlp, [("I hate the fox very much, I do.", {"Hate": 1.0})])
    nlp.initialize(lambda: examples)
    component = nlp.get_pipe("duoguard")
    component.cfg["max_chars"] = 20
    logits, _ = component.model.begin_update([eg.predicted for eg in examples])
    loss, _ = component.get_loss(examples, logits)
    assert component.update(examples) == {"duoguard": loss}
