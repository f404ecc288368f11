"""Categories added by the user."""

import json
import math
import pickle

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.util import ignore_error
from support.checkpoints import QWEN2, TEXTS
from support.training import DEPTHS, decoder_of, make_examples, trainable
from thinc.api import Adam, Config

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.config import is_label
from spacy_duoguard.errors import CheckpointError, SettingsError
from spacy_duoguard.evaluation.reference import reference_scores
from spacy_duoguard.taxonomy import CATEGORIES

ADDED = ("Spam", "Réclame")
LABELS = (*CATEGORIES, *ADDED)
KEYS = [*LABELS, "unsafe"]


@pytest.fixture
def added_nlp(make_nlp):
    """A pipeline with two added categories, whose scores differ between texts."""
    nlp = make_nlp(sents=True)
    component = nlp.get_pipe("duoguard")
    for label in ADDED:
        assert component.add_label(label) == 1
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        nlp("a")
        decoder_of(nlp).score.weight[12:].normal_(generator=generator)
    return nlp


@pytest.mark.parametrize("loaded", [False, True])
def test_they_follow_the_twelve(make_nlp, loaded):
    nlp = make_nlp()
    before = nlp("a").cats if loaded else make_nlp()("a").cats
    component = nlp.get_pipe("duoguard")
    assert [component.add_label(label) for label in ADDED] == [1, 1]
    assert [component.add_label(label) for label in ("Spam", "Hate")] == [0, 0]
    assert component.labels == LABELS
    assert component.label_data == list(LABELS)
    assert component.is_resizable
    assert "Spam" in nlp.vocab.strings
    cats = nlp("a").cats
    assert list(cats) == KEYS
    assert {key: cats[key] for key in CATEGORIES} == {
        key: before[key] for key in CATEGORIES
    }


def test_a_new_category_changes_no_verdict_before_it_is_trained(make_nlp):
    nlp = make_nlp(model={"window": 16, "stride": 12})
    before = [doc.cats["unsafe"] for doc in nlp.pipe(TEXTS)]
    nlp.get_pipe("duoguard").add_label("Spam")
    for doc, unsafe in zip(nlp.pipe(TEXTS), before, strict=True):
        assert doc.cats["unsafe"] == pytest.approx(unsafe, abs=1e-7)
        assert doc.cats["Spam"] <= unsafe + 1e-7
        if len(doc._.duoguard_windows) == 1:
            logits = [
                math.log(doc.cats[key] / (1 - doc.cats[key])) for key in LABELS[:13]
            ]
            assert logits[12] == pytest.approx(sum(logits[:12]) / 12, abs=1e-3)


def test_they_count_everywhere(added_nlp):
    component = added_nlp.get_pipe("duoguard")
    expected = reference_scores(component.classifier, TEXTS)
    assert expected.shape == (len(TEXTS), 14)
    docs = list(added_nlp.pipe([*TEXTS, ""]))
    for doc, row in zip(docs, expected, strict=False):
        assert [doc.cats[key] for key in LABELS] == pytest.approx(row, abs=1e-5)
        assert doc.cats["unsafe"] == max(doc.cats[key] for key in LABELS)
        assert [len(window["probs"]) for window in doc._.duoguard_windows] == [14]
        assert list(next(iter(doc.sents))._.duoguard_cats) == KEYS
    assert max(doc.cats["unsafe"] == doc.cats["Spam"] for doc in docs[:-1])
    assert docs[-1].cats == dict.fromkeys(KEYS, 0.0)
    component.cfg["thresholds"] = {**dict.fromkeys(CATEGORIES, 1.0), "Spam": 0.0}
    doc = added_nlp(TEXTS[0])
    assert doc._.duoguard_flags[0] == "Spam"
    assert doc.spans["duoguard"][0].label_ == "Spam"


def test_a_failed_doc_has_all_of_them(added_nlp, monkeypatch):
    added_nlp.set_error_handler(ignore_error)
    classifier = added_nlp.get_pipe("duoguard").classifier
    monkeypatch.setattr(classifier, "answer", None)
    doc = added_nlp("a")
    assert doc.cats == dict.fromkeys(KEYS, 1.0)
    assert doc._.duoguard_flags == list(LABELS)
    assert next(iter(doc.sents))._.duoguard_cats == doc.cats


def test_they_are_saved_and_restored(added_nlp, make_nlp, tmp_path):
    added_nlp.get_pipe("duoguard").cfg["thresholds"] = {"Spam": 0.25}
    added_nlp.to_disk(tmp_path)
    other = make_nlp(sents=True)
    other.get_pipe("duoguard").add_label("Other")
    copies = [
        spacy.load(tmp_path),
        other.from_bytes(added_nlp.to_bytes()),
        pickle.loads(pickle.dumps(added_nlp)),
    ]
    for nlp in copies:
        component = nlp.get_pipe("duoguard")
        assert component.labels == LABELS
        assert component.cfg["thresholds"] == {"Spam": 0.25}
        for doc, expected in zip(nlp.pipe(TEXTS), added_nlp.pipe(TEXTS), strict=True):
            assert doc.cats == expected.cats
            assert doc._.duoguard_flags == expected._.duoguard_flags
    folder = tmp_path / "duoguard" / "model"
    config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    assert list(config["id2label"].values()) == list(LABELS)
    classifier = Classifier.from_pretrained(str(folder), precision="float32")
    assert classifier.labels == LABELS
    assert np.array_equal(
        classifier.score(TEXTS),
        added_nlp.get_pipe("duoguard").classifier.score(TEXTS),
    )


def test_they_are_pickled_before_the_weights_are_loaded(make_nlp):
    nlp = make_nlp()
    nlp.get_pipe("duoguard").add_label("Spam")
    other = pickle.loads(pickle.dumps(nlp))
    assert other.get_pipe("duoguard").labels == (*CATEGORIES, "Spam")
    assert list(other("a").cats) == [*CATEGORIES, "Spam", "unsafe"]


def test_the_config_sets_a_threshold_for_one(added_nlp, tmp_path):
    added_nlp.to_disk(tmp_path)
    config = {"components.duoguard.thresholds": {"Spam": 0.0}}
    nlp = spacy.load(tmp_path, config=config)
    assert "Spam" in nlp("a")._.duoguard_flags
    config = {"components.duoguard.thresholds": {"Spma": 0.0}}
    with pytest.raises(SettingsError, match=r"E002.*'Spma'.*Spam"):
        spacy.load(tmp_path, config=config)


def test_they_survive_in_docs(added_nlp):
    doc = added_nlp(TEXTS[0])
    docbin = DocBin(docs=[doc], store_user_data=True)
    (copy,) = DocBin().from_bytes(docbin.to_bytes()).get_docs(added_nlp.vocab)
    assert copy.cats == doc.cats
    assert (
        next(iter(copy.sents))._.duoguard_cats == next(iter(doc.sents))._.duoguard_cats
    )


def test_they_are_evaluated(added_nlp):
    text = TEXTS[0]
    gold = {**dict.fromkeys(LABELS, 0.0), "Spam": 1.0}
    added_nlp.get_pipe("duoguard").cfg["thresholds"] = {"Spam": 0.0}
    scores = added_nlp.evaluate(make_examples(added_nlp, [(text, gold)]))
    assert scores["duoguard_f_per_type"]["Spam"]["r"] == 1.0


class MyStr(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "label",
    [
        *("unsafe", "", " ", None, 7, "\ud800", MyStr("Hate")),
        *("Hate: religion", "a=b", "a\nb", " a", "a ", "#a", ";a", "[a]", "@a", "*"),
    ],
)
def test_names_that_cannot_be_categories(make_nlp, label):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    with pytest.raises(SettingsError, match=r"E062.*'unsafe' is the maximum"):
        component.add_label(label)
    with pytest.raises(SettingsError, match="E062"):
        component.initialize(lambda: make_examples(nlp), labels=[label])
    assert component.labels == CATEGORIES


SIGNS = st.sampled_from("aZ =:#;[]@*%${}.\"'\\\n\t-_\xe9\u0130")


@given(st.text(SIGNS | st.characters()))
def test_a_config_can_hold_the_threshold_of_each_category(label):
    if is_label(label):
        config = Config({"duoguard": {"thresholds": {label: 0.25}}})
        assert Config().from_str(config.to_str()) == config


def test_initialize_adds_labels_and_keeps_the_rest(make_nlp):
    nlp = make_nlp()
    nlp.config["initialize"]["components"]["duoguard"] = {"labels": ["Spam", "Hate"]}
    nlp.initialize()
    assert nlp.get_pipe("duoguard").labels == (*CATEGORIES, "Spam")
    nlp.initialize()
    assert nlp.get_pipe("duoguard").labels == (*CATEGORIES, "Spam")


@DEPTHS
def test_one_is_trained_while_the_twelve_are_open(make_nlp, layers):
    nlp = trainable(make_nlp, layers)
    nlp.get_pipe("duoguard").add_label("Spam")
    old = decoder_of(nlp) if nlp("a") else None
    twelve = old.score.weight[:12].detach().clone()
    data = [("Buy the quick fox", {"Spam": 1.0}), ("The dog sleeps.", {"Spam": 0.0})]
    examples = make_examples(nlp, data)
    optimizer = nlp.initialize(lambda: examples, sgd=Adam(0.01))
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    assert nlp(data[0][0]).cats["Spam"] > 0.9
    assert nlp(data[1][0]).cats["Spam"] < 0.1
    if layers == 0:
        assert torch.allclose(old.score.weight[:12], twelve, atol=1e-6)


def test_one_is_added_during_training(make_nlp):
    nlp = trainable(make_nlp, 1)
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples, sgd=Adam(0.01, use_averages=True))
    nlp.update(examples, sgd=optimizer)
    nlp.get_pipe("duoguard").add_label("Spam")
    examples = make_examples(nlp, [("Buy the fox", {"Spam": 1.0})])
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    assert nlp("Buy the fox").cats["Spam"] > 0.9
    with nlp.use_params(optimizer.averages):
        assert list(nlp("a").cats) == [*CATEGORIES, "Spam", "unsafe"]


def test_rehearsal_holds_the_categories_that_were_there(make_nlp):
    nlp = trainable(make_nlp, 1)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    component = nlp.get_pipe("duoguard")
    component.rehearse(examples)  # training has begun
    component.add_label("Spam")
    with torch.no_grad():
        decoder_of(nlp).score.weight.mul_(1.5)
    assert component.rehearse(examples)["duoguard"] > 0.1
    gradient = decoder_of(nlp).score.weight.grad
    assert (gradient[:12].abs().sum(dim=1) > 0).all()
    assert (gradient[12] == 0).all()


def test_a_restored_component_has_the_labels_of_what_it_restores(make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path)
    nlp = make_nlp()
    nlp.get_pipe("duoguard").add_label("Spam")
    nlp.from_disk(tmp_path)
    assert nlp.get_pipe("duoguard").labels == CATEGORIES
    assert list(nlp("a").cats) == [*CATEGORIES, "unsafe"]


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        (["unsafe"], "E062.*'unsafe'"),
        ([""], "E062"),
        (["Hate"], "E014.* 13 rows"),
        (["Spam", "Spam"], "E014.* 14 rows"),
    ],
)
def test_a_checkpoint_whose_added_names_are_not_allowed(checkpoint, added, problem):
    names = [*CATEGORIES, *added]
    id2label = {str(i): name for i, name in enumerate(names)}
    with pytest.raises(CheckpointError, match=problem):
        Classifier.from_pretrained(str(checkpoint(QWEN2, id2label=id2label)))
