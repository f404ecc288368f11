"""Training the component: what updates change and what they leave alone."""

import math

import numpy as np
import pytest
import spacy
import torch
import torch.nn.functional as F
from spacy.training import Example
from support.checkpoints import TEXTS
from support.training import (
    DEPTHS,
    LONG,
    TRAIN,
    assert_close,
    assert_equal,
    decoder_of,
    gradients,
    make_examples,
    train,
    trainable,
)
from thinc.api import SGD, Adam

from spacy_duoguard.engine.checkpoint.tensor_names import checkpoint_tensors
from spacy_duoguard.engine.network.trainable import trained_parameters
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.evaluation.reference import reference_model
from spacy_duoguard.taxonomy import CATEGORIES


@DEPTHS
@pytest.mark.parametrize("loss", ["logsumexp", "bce"])
def test_overfits_two_examples(make_nlp, tmp_path, layers, loss):
    loss = {"@losses": f"spacy-duoguard.{loss}.v1"}
    nlp = trainable(make_nlp, layers, loss=loss)
    history = train(nlp, steps=60)
    assert history[-1] < 0.05 < 1.0 < history[0]
    hit, miss = nlp.pipe([text for text, _ in TRAIN])
    assert hit.cats["Hate"] > 0.95
    assert hit.cats["Privacy"] < 0.1
    assert miss.cats["unsafe"] < 0.1
    nlp.to_disk(tmp_path)
    again = spacy.load(tmp_path)
    for text, _ in TRAIN:
        assert again(text).cats == nlp(text).cats
    scores = nlp.evaluate(make_examples(nlp))
    assert scores["duoguard_unsafe_f"] == 1.0
    assert isinstance(scores["duoguard_score"], float)


@DEPTHS
def test_two_runs_with_one_seed_are_equal(make_nlp, layers):
    first, second = (trainable(make_nlp, layers) for _ in range(2))
    assert train(first, steps=5) == train(second, steps=5)
    for one, other in zip(first.pipe(TEXTS), second.pipe(TEXTS), strict=True):
        assert one.cats == other.cats


@DEPTHS
def test_frozen_parameters_keep_their_bits_and_precision(make_nlp, layers):
    nlp = trainable(make_nlp, layers, model={"precision": "bfloat16"})
    nlp("a")
    before = {n: p.detach().clone() for n, p in decoder_of(nlp).named_parameters()}
    train(nlp, steps=3)
    moving = {
        0: lambda name: name == "score.weight",
        1: lambda name: name.startswith(("layers.2", "norm", "score")),
        None: lambda name: True,
    }[layers]
    for name, parameter in decoder_of(nlp).named_parameters():
        assert parameter.requires_grad == moving(name), name
        if moving(name):
            assert parameter.dtype == torch.float32
            assert not torch.equal(parameter, before[name].float()), name
        else:
            assert parameter.dtype == torch.bfloat16
            assert torch.equal(parameter, before[name]), name


@DEPTHS
def test_trained_layers_are_saved_bit_for_bit(make_nlp, tmp_path, layers):
    nlp = trainable(make_nlp, layers, model={"precision": "bfloat16"})
    train(nlp, steps=3)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    other = trainable(make_nlp, layers, model={"precision": "bfloat16"})
    other.from_bytes(nlp.to_bytes())
    for again in (loaded, other, spacy.load(tmp_path)):
        theirs = dict(decoder_of(again).named_parameters())
        for name, parameter in decoder_of(nlp).named_parameters():
            assert theirs[name].dtype == parameter.dtype, name
            assert torch.equal(theirs[name], parameter), name
        for doc, expected in zip(again.pipe(TEXTS), nlp.pipe(TEXTS), strict=True):
            assert doc.cats == expected.cats
    # What was trained once stays float32, also where less is trained from now on.
    config = {"components.duoguard.model.trainable_layers": 0}
    less = spacy.load(tmp_path, config=config)
    train(less, steps=1)
    less.to_disk(tmp_path / "less")
    again = spacy.load(tmp_path / "less")
    for doc, expected in zip(again.pipe(TEXTS), less.pipe(TEXTS), strict=True):
        assert doc.cats == expected.cats


def test_a_folder_by_name_has_the_precision_that_is_asked_for(make_nlp, tmp_path):
    nlp = trainable(make_nlp, 1, model={"precision": "bfloat16"})
    train(nlp, steps=1)
    nlp.to_disk(tmp_path)
    folder = str(tmp_path / "duoguard" / "model")
    other = make_nlp(model={"name": folder, "precision": "bfloat16"})
    other("a")
    dtypes = {p.dtype for n, p in decoder_of(other).named_parameters() if "sc" not in n}
    assert dtypes == {torch.bfloat16}


@DEPTHS
@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_a_packed_batch_teaches_what_its_texts_teach_alone(make_nlp, layers, budget):
    data = [(text, {"Hate": 1.0, "unsafe": 1.0}) for text in (*TEXTS, LONG)]
    data += [(f"{text} no", {"unsafe": 0.0}) for text in TEXTS]
    model = {"window": 32, "stride": 24, "max_batch_tokens": budget}
    nlp = trainable(make_nlp, layers, model=model)
    nlp.initialize(lambda: make_examples(nlp, data))
    examples = make_examples(nlp, data)
    packed = gradients(nlp, examples)
    alone = [gradients(nlp, [eg]) for eg in examples]
    total = {name: sum(each[name] for each in alone) for name in packed}
    assert_equal(packed, total, rel=3e-6)


@DEPTHS
def test_gradients_equal_those_of_transformers(make_nlp, layers):
    """End to end, against autograd in `transformers`, text by text."""
    nlp = trainable(make_nlp, layers, loss={"@losses": "spacy-duoguard.bce.v1"})
    examples = make_examples(nlp, [(text, {"Hate": 0.25}) for text in TEXTS])
    nlp.initialize(lambda: examples)
    ours = gradients(nlp, examples)
    classifier = nlp.get_pipe("duoguard").classifier
    model = reference_model(classifier)
    for text in TEXTS:
        (ids,) = classifier.split(text).ids
        logits = model(input_ids=torch.from_numpy(ids.astype(np.int64))[None]).logits
        logit = logits[0, CATEGORIES.index("Hate")]
        target = torch.tensor(0.25)
        F.binary_cross_entropy_with_logits(logit, target).backward()
    theirs = dict(model.named_parameters())
    for name, target in checkpoint_tensors(classifier.decoder.config).items():
        if target.parameter in ours:
            gradient = ours[target.parameter][target.rows]
            assert_close(gradient, theirs[name].grad, rel=1e-4)


def test_windows_share_the_label_through_the_maximum(make_nlp):
    nlp = trainable(make_nlp, None, model={"window": 16, "stride": 12})
    examples = make_examples(nlp, [(LONG, {"Hate": 1.0})])
    nlp.initialize(lambda: examples)
    component = nlp.get_pipe("duoguard")
    classifier = component.classifier
    logits, backprop = component.model.begin_update([nlp.make_doc(LONG)])
    ids = classifier.split(LONG).ids
    assert len(ids) > 5
    windows = [w.probabilities for w in classifier.analyze([LONG])[0].windows]
    alone = np.stack([np.log(p / (1 - p)) for p in windows])
    assert logits[0] == pytest.approx(alone.max(axis=0), abs=1e-4)
    # Only the window that has the maximum learns.
    column = CATEGORIES.index("Hate")
    best = ids[int(alone[:, column].argmax())]
    gradient = np.zeros_like(logits)
    gradient[0, column] = 1.0
    backprop(gradient)
    grad = decoder_of(nlp).embedding.weight.grad
    touched = set(grad.abs().sum(dim=1).nonzero()[:, 0].tolist())
    assert touched == set(best.tolist())


def test_accumulated_gradients_equal_one_update(make_nlp):
    examples = make_examples(make_nlp(), [(text, {"Hate": 1.0}) for text in TEXTS])
    first, second = (trainable(make_nlp, 1) for _ in range(2))
    for nlp, batches in ((first, [examples]), (second, [examples[:4], examples[4:]])):
        nlp.initialize(lambda: examples)
        component = nlp.get_pipe("duoguard")
        for batch in batches:
            component.update(batch, sgd=False)
        component.finish_update(SGD(0.1))
    for one, other in zip(first.pipe(TEXTS), second.pipe(TEXTS), strict=True):
        assert one.cats == pytest.approx(other.cats, abs=1e-5)


def test_get_loss_takes_what_begin_update_gives(make_nlp):
    nlp = trainable(make_nlp, 0, loss={"@losses": "spacy-duoguard.bce.v1"})
    examples = make_examples(nlp, [*TRAIN, ("a", {}), ("", {"Hate": 1.0})])
    nlp.initialize(lambda: examples)
    component = nlp.get_pipe("duoguard")
    logits, _ = component.model.begin_update([eg.predicted for eg in examples])
    loss, gradient = component.get_loss(examples, logits)
    assert gradient.shape == (4, 12)
    assert (gradient[2:] == 0.0).all()
    column = CATEGORIES.index("Hate")
    probability = nlp(TRAIN[0][0]).cats["Hate"]
    assert gradient[0, column] == pytest.approx(probability - 1.0, abs=1e-6)
    expected = -math.log(probability)
    expected -= math.log(1 - nlp(TRAIN[0][0]).cats["Privacy"])
    expected -= sum(math.log(1 - nlp(TRAIN[1][0]).cats[key]) for key in CATEGORIES)
    assert loss == pytest.approx(expected, rel=1e-5)
    losses = component.update(examples, losses={"other": 1.0})
    assert losses == {"other": 1.0, "duoguard": pytest.approx(loss)}


def test_unsafe_alone_raises_the_maximum(make_nlp):
    nlp = trainable(make_nlp, 0)
    text = TEXTS[0]
    before = nlp(text).cats
    best = max(CATEGORIES, key=before.get)
    train(nlp, [(text, {"unsafe": 1.0, best: 0.0})], steps=60)
    after = nlp(text).cats
    assert after[best] < 0.1
    second = max((key for key in CATEGORIES if key != best), key=before.get)
    assert after[second] > 0.9
    assert after["unsafe"] > 0.9


# Resuming, averages, rehearsal


@DEPTHS
def test_use_params_puts_averages_in_and_takes_them_out(make_nlp, layers):
    nlp = trainable(make_nlp, layers)
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples, sgd=Adam(0.01, use_averages=True))
    for _ in range(5):
        nlp.update(examples, sgd=optimizer)
    raw = {n: p.detach().clone() for n, p in decoder_of(nlp).named_parameters()}
    scores = nlp("a").cats
    component = nlp.get_pipe("duoguard")
    with nlp.use_params(optimizer.averages):
        inside = dict(decoder_of(nlp).named_parameters())
        for name, parameter in trained_parameters(decoder_of(nlp)).items():
            key = (component.model.shims[0].id, f"{name}:{len(parameter)}")
            average = torch.from_numpy(optimizer.averages[key])
            assert torch.equal(inside[name], average), name
            assert not torch.equal(inside[name], raw[name]), name
        assert nlp("a").cats != scores
    for name, parameter in decoder_of(nlp).named_parameters():
        assert torch.equal(parameter, raw[name]), name
    assert nlp("a").cats == scores


def test_use_params_restores_after_an_error(make_nlp):
    nlp = trainable(make_nlp, 0)
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples, sgd=Adam(0.01, use_averages=True))
    nlp.update(examples, sgd=optimizer)
    nlp.update(examples, sgd=optimizer)
    raw = decoder_of(nlp).score.weight.detach().clone()
    model = nlp.get_pipe("duoguard").model

    def fail():
        with model.use_params(optimizer.averages):
            assert not torch.equal(decoder_of(nlp).score.weight, raw)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(decoder_of(nlp).score.weight, raw)


@DEPTHS
def test_training_resumes_where_it_stopped(make_nlp, tmp_path, layers):
    """SGD keeps no moments, so two halves equal the whole."""
    whole, half = (trainable(make_nlp, layers) for _ in range(2))
    examples = make_examples(whole)
    for nlp in (whole, half):
        nlp.initialize(lambda: examples)
        for _ in range(3):
            nlp.update(examples, sgd=SGD(0.05))
    half.to_disk(tmp_path)
    resumed = spacy.load(tmp_path)
    resumed.resume_training()
    for nlp in (whole, resumed):
        for _ in range(3):
            nlp.update(examples, sgd=SGD(0.05))
    for one, other in zip(whole.pipe(TEXTS), resumed.pipe(TEXTS), strict=True):
        assert one.cats == other.cats
    assert resumed("a").cats != half("a").cats


@pytest.mark.parametrize("layers", [0, 1])
def test_rehearsal_reduces_drift(make_nlp, layers):
    def drift(rehearse):
        nlp = trainable(make_nlp, layers)
        before = [doc.cats for doc in nlp.pipe(TEXTS)]
        examples = make_examples(nlp)
        known = [Example.from_dict(nlp.make_doc(text), {}) for text in TEXTS]
        optimizer = nlp.initialize(lambda: examples, sgd=Adam(0.01))
        history = []
        for _ in range(30):
            nlp.update(examples, sgd=optimizer)
            if rehearse:
                losses = nlp.rehearse(known, sgd=optimizer, losses={})
                history.append(losses["duoguard"])
        after = [doc.cats for doc in nlp.pipe(TEXTS)]
        gaps = [
            abs(new[key] - old[key])
            for new, old in zip(after, before, strict=True)
            for key in CATEGORIES
        ]
        return sum(gaps), history, nlp(TRAIN[0][0]).cats["Hate"]

    free, _, _ = drift(rehearse=False)
    held, history, hate = drift(rehearse=True)
    assert held < 0.5 * free
    assert all(loss > 0 for loss in history)
    assert hate > 0.8


def test_rehearsal_changes_nothing_before_training(make_nlp):
    nlp = trainable(make_nlp, 1)
    nlp.resume_training()
    raw = {n: p.detach().clone() for n, p in decoder_of(nlp).named_parameters()}
    component = nlp.get_pipe("duoguard")
    component.add_label("Spam")
    known = [Example.from_dict(nlp.make_doc(text), {}) for text in [*TEXTS, ""]]
    losses = component.rehearse(known, sgd=SGD(1.0))
    assert losses["duoguard"] == pytest.approx(0.0, abs=1e-9)
    for name, parameter in decoder_of(nlp).named_parameters():
        assert torch.allclose(parameter[: len(raw[name])], raw[name], atol=1e-6), name


def test_resume_training_copies_no_model(make_nlp, monkeypatch):
    nlp = trainable(make_nlp, 1)
    shim = nlp.get_pipe("duoguard").model.shims[0]

    def refuse(self, memo):
        raise AssertionError

    monkeypatch.setattr(type(shim), "__deepcopy__", refuse, raising=False)
    nlp.resume_training()
    assert nlp.get_pipe("duoguard").rehearse([]) == {"duoguard": 0.0}


def test_no_rehearsal_of_all_layers(make_nlp):
    nlp = trainable(make_nlp, None)
    with pytest.raises(SettingsError, match=r"E070.*trainable_layers"):
        nlp.rehearse(make_examples(nlp))
