"""Training at the limits: of memory, and of what a float can hold."""

import pytest
import torch
from support.checkpoints import TEXTS
from support.training import (
    assert_equal,
    decoder_of,
    gradients,
    make_examples,
    trainable,
)
from thinc.api import SGD

from spacy_duoguard.engine.runner import Budget
from spacy_duoguard.errors import ScoringError
from spacy_duoguard.pipeline.losses import BinaryCrossEntropy

# Memory


class Limited:
    """A decoder's forward on a device that holds only so many tokens."""

    def __init__(self, forward, limit):
        self.forward, self.limit, self.sizes = forward, limit, []

    def __call__(self, module, batch):
        self.sizes.append(len(batch.token_ids))
        if len(batch.token_ids) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.forward(module, batch)


@pytest.fixture
def limited(monkeypatch):
    def make(nlp, limit):
        decoder = type(decoder_of(nlp))
        fake = Limited(decoder.forward, limit)
        monkeypatch.setattr(
            decoder, "forward", lambda module, batch: fake(module, batch)
        )
        return fake

    return make


@pytest.mark.filterwarnings("ignore:.W005")
@pytest.mark.parametrize("layers", [1, None])
def test_out_of_memory_halves_the_batch(make_nlp, limited, layers):
    data = [(text, {"Hate": 1.0}) for text in TEXTS]
    nlp = trainable(make_nlp, layers)
    examples = make_examples(nlp, data)
    nlp.initialize(lambda: examples)
    expected = gradients(nlp, examples)
    longest = max(
        len(ids)
        for text in TEXTS
        for ids in nlp.get_pipe("duoguard").classifier.split(text).ids
    )
    fake = limited(nlp, longest)
    assert_equal(gradients(nlp, examples), expected, rel=3e-6)
    assert fake.sizes[0] > longest  # it was too much, and was not tried again
    before = len(fake.sizes)
    assert_equal(gradients(nlp, examples), expected, rel=3e-6)
    assert all(size <= longest for size in fake.sizes[before:])


@pytest.mark.filterwarnings("ignore:.W005")
def test_out_of_memory_in_the_backward_pass(make_nlp, monkeypatch):
    data = [(text, {"Hate": 1.0}) for text in TEXTS]
    nlp = trainable(make_nlp, None)
    examples = make_examples(nlp, data)
    nlp.initialize(lambda: examples)
    expected = gradients(nlp, examples)
    grad, failed = torch.autograd.grad, []

    def failing(outputs, *args, **kwargs):
        if len(outputs) > 2:
            failed.append(len(outputs))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return grad(outputs, *args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", failing)
    assert_equal(gradients(nlp, examples), expected, rel=3e-6)
    assert failed


def test_one_window_that_does_not_fit(make_nlp, limited):
    nlp = trainable(make_nlp, None)
    examples = make_examples(nlp, [(text, {"Hate": 1.0}) for text in TEXTS])
    nlp.initialize(lambda: examples)
    limited(nlp, 3)
    with pytest.raises(ScoringError, match=r"E071.*max_batch_tokens"):
        nlp.update(examples)
    assert not [p for p in decoder_of(nlp).parameters() if p.grad is not None]


def test_other_errors_are_not_taken_for_memory():
    budget = Budget(8)
    with pytest.raises(RuntimeError, match="broken"):
        budget.run([[0, 1]], [4, 4], _break, too_small="")
    assert budget.tokens == 8


def _break(batch):
    raise RuntimeError("broken")


@pytest.mark.parametrize("layers", [0, None])
def test_gradients_that_are_not_finite_change_no_weight(make_nlp, layers):
    nlp = trainable(make_nlp, layers)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    component = nlp.get_pipe("duoguard")
    for bad in (float("nan"), float("inf")):
        component.update(examples)
        raw = {n: p.detach().clone() for n, p in decoder_of(nlp).named_parameters()}
        decoder_of(nlp).score.weight.grad[3, 1] = bad
        with pytest.raises(ScoringError, match=r"E072.*score\.weight"):
            component.finish_update(SGD(0.1))
        for name, parameter in decoder_of(nlp).named_parameters():
            assert torch.equal(parameter, raw[name])
            assert parameter.grad is None


def test_logits_that_are_not_finite_are_not_learnt_from(make_nlp):
    nlp = trainable(make_nlp, None)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    with torch.no_grad():
        decoder_of(nlp).norm.weight.fill_(float("inf"))
    with pytest.raises(ScoringError, match="E040"):
        nlp.update(examples)


def test_the_loss_of_an_update_is_that_of_its_texts(make_nlp):
    nlp = trainable(make_nlp, 1)
    nlp.initialize(lambda: make_examples(nlp))
    component = nlp.get_pipe("duoguard")
    component.loss = BinaryCrossEntropy()
    first, second = (
        component.update([eg], losses={})["duoguard"] for eg in make_examples(nlp)
    )
    both = component.update(make_examples(nlp), losses={})["duoguard"]
    assert both == pytest.approx(first + second, rel=1e-6)
