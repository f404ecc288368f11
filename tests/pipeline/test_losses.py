"""The losses against their formulas, and their gradients against autograd."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spacy import registry

from spacy_duoguard.errors import SettingsError
from spacy_duoguard.pipeline.losses import BinaryCrossEntropy, LogSumExp

NAN = float("nan")


def rows(elements):
    row = st.lists(elements, min_size=3, max_size=3)
    return st.lists(row, min_size=1, max_size=4)


LOGITS = rows(st.floats(-30, 30))
HARD = rows(st.sampled_from([0.0, 1.0, NAN]))
SOFT = rows(st.sampled_from([0.0, 0.25, 0.5, 1.0, NAN]))


def logsumexp(logits, truths):
    """Upstream's code, without the open categories."""
    total = logits.new_zeros(())
    for row, gold in zip(logits, truths, strict=True):
        known = ~gold.isnan()
        y_pred, y_true = row[known], gold[known]
        y_pred = (1 - 2 * y_true) * y_pred
        zero = y_pred.new_zeros(1)
        negative = torch.cat([y_pred - y_true * 1e12, zero])
        positive = torch.cat([y_pred - (1 - y_true) * 1e12, zero])
        total = total + negative.logsumexp(0) + positive.logsumexp(0)
    return total


def bce(logits, truths):
    known = ~truths.isnan()
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits[known], truths[known], reduction="sum"
    )


def compare(loss, formula, logits, truths):
    size = min(len(logits), len(truths))
    guesses = torch.tensor(logits[:size], dtype=torch.float64, requires_grad=True)
    gold = torch.tensor(truths[:size], dtype=torch.float64)
    expected = formula(guesses, gold)
    (gradient,) = torch.autograd.grad(expected, guesses, allow_unused=True)
    grad, value = loss(guesses.detach().numpy(), gold.numpy())
    assert value == pytest.approx(expected.item(), abs=1e-6)
    assert grad == pytest.approx(gradient.numpy(), abs=1e-6)
    assert grad.dtype == np.float64


@given(logits=LOGITS, truths=HARD)
def test_logsumexp_equals_upstreams_form(logits, truths):
    compare(LogSumExp(), logsumexp, logits, truths)


@given(logits=LOGITS, truths=SOFT)
def test_bce_equals_torchs(logits, truths):
    compare(BinaryCrossEntropy(), bce, logits, truths)


def test_values_by_hand():
    logits, truths = np.array([[2.0, -1.0, 5.0]]), np.array([[1.0, 0.0, NAN]])
    gradient, loss = LogSumExp()(logits, truths)
    assert loss == pytest.approx(math.log(1 + math.e**-1) + math.log(1 + math.e**-2))
    expected = [-1 / (1 + math.e**2), 1 / (1 + math.e), 0.0]
    assert gradient[0].tolist() == pytest.approx(expected)
    # With one category of each kind, both losses are the same.
    assert BinaryCrossEntropy()(logits, truths)[1] == pytest.approx(loss)


@pytest.mark.parametrize("loss", [LogSumExp(), BinaryCrossEntropy()])
def test_the_gradient_is_that_of_the_loss(loss):
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(4, 12))
    truths = rng.choice([0.0, 1.0, NAN], size=(4, 12))
    gradient = loss.get_grad(logits, truths)
    step = 1e-6
    for i, j in np.ndindex(*logits.shape):
        ends = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[i, j] += sign * step
            ends.append(loss.get_loss(moved, truths))
        assert gradient[i, j] == pytest.approx((ends[0] - ends[1]) / 2 / step, abs=1e-6)
    assert (gradient[np.isnan(truths)] == 0.0).all()


@pytest.mark.parametrize("loss", [LogSumExp(), BinaryCrossEntropy()])
def test_huge_logits_stay_finite(loss):
    logits = np.array([[1e4, -1e4, 88.0]], dtype=np.float32)
    for truths in ([[0.0, 1.0, 0.0]], [[1.0, 0.0, NAN]], [[NAN] * 3]):
        gradient, value = loss(logits, np.array(truths))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        assert gradient.dtype == np.float32


@pytest.mark.parametrize("loss", [LogSumExp(), BinaryCrossEntropy()])
def test_losses_are_sums_over_texts(loss):
    logits = np.array([[1.0, -2.0], [0.5, 3.0]])
    truths = np.array([[1.0, 0.0], [0.0, NAN]])
    alone = [loss(logits[i : i + 1], truths[i : i + 1]) for i in range(2)]
    gradient, value = loss(logits, truths)
    assert value == pytest.approx(sum(value for _, value in alone))
    assert np.array_equal(gradient, np.concatenate([grad for grad, _ in alone]))


def test_soft_labels_are_for_bce():
    with pytest.raises(SettingsError, match=r"E064.*0\.25.*spacy-duoguard\.bce\.v1"):
        LogSumExp()(np.zeros((1, 2)), np.array([[0.0, 0.25]]))


def test_losses_are_registered():
    logsumexp = registry.resolve({"x": {"@losses": "spacy-duoguard.logsumexp.v1"}})
    assert isinstance(logsumexp["x"], LogSumExp)
    bce = registry.resolve({"x": {"@losses": "spacy-duoguard.bce.v1"}})
    assert isinstance(bce["x"], BinaryCrossEntropy)
