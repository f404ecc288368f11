"""Losses over categories that are not exclusive, with gold that may be incomplete.

Truths are NaN where the gold leaves a category open: no loss, and no gradient. Both
losses are sums over the texts, so that updates with accumulated gradients equal one
with all the texts.
"""

from abc import abstractmethod

import numpy as np
from thinc.loss import Loss

from ..errors import Errors, SettingsError

# Guesses are logits, (n_texts, n_labels); truths have their shape and lie in [0, 1].
Rows = np.ndarray


class CategoryLoss(Loss[Rows, Rows, Rows, float]):
    """A loss, and its gradient with respect to the logits."""

    def __call__(self, guesses: Rows, truths: Rows) -> tuple[Rows, float]:
        """guesses (ndarray): Logits, (n_texts, n_labels).
        truths (ndarray): Of the same shape, in [0, 1], NaN where unknown.
        RETURNS (Tuple[ndarray, float]): The gradient and the loss."""
        self.check(truths)
        return self.get_grad(guesses, truths), self.get_loss(guesses, truths)

    def check(self, truths: Rows) -> None:
        """truths (ndarray): As in a call.
        RAISES (SettingsError): This loss cannot take them."""

    @abstractmethod
    def get_grad(self, guesses: Rows, truths: Rows) -> Rows:
        """RETURNS (ndarray): As in a call."""

    @abstractmethod
    def get_loss(self, guesses: Rows, truths: Rows) -> float:
        """RETURNS (float): As in a call."""


class LogSumExp(CategoryLoss):
    """The loss that DuoGuard was trained with, of Su et al. 2022 (ZLPR,
    arXiv 2208.02955; `MultilabelCategoricalCrossentropyLoss` in `classifier/
    training_model.py` of yihedeng9/DuoGuard):

        log(1 + Σ e^s over the negative) + log(1 + Σ e^-s over the positive)

    for each text. It compares every positive with every negative category and with the
    logit 0, where a probability is 0.5. Labels are 0 or 1.
    """

    def check(self, truths: Rows) -> None:
        soft = truths[(truths > 0.0) & (truths < 1.0)]
        if soft.size:
            raise SettingsError(Errors.E064.format(value=float(soft[0])))

    def get_grad(self, guesses: Rows, truths: Rows) -> Rows:
        weights, _ = self._softmaxes(guesses, truths)
        return weights.astype(guesses.dtype)

    def get_loss(self, guesses: Rows, truths: Rows) -> float:
        return float(self._softmaxes(guesses, truths)[1].sum())

    def _softmaxes(self, guesses: Rows, truths: Rows) -> tuple[Rows, Rows]:
        """The gradient is a softmax over the negative categories and 0, and one with
        the opposite signs over the positive ones and 0."""
        logits = guesses.astype(np.float64)
        gradient = np.zeros_like(logits)
        loss = np.zeros(len(logits))
        for sign, chosen in ((1.0, truths == 0.0), (-1.0, truths == 1.0)):
            values = np.where(chosen, sign * logits, -np.inf)
            top = np.maximum(values.max(axis=1, initial=0.0, keepdims=True), 0.0)
            powers = np.exp(values - top)
            total = np.exp(-top) + powers.sum(axis=1, keepdims=True)
            gradient += sign * powers / total
            loss += (np.log(total) + top)[:, 0]
        return gradient, loss


class BinaryCrossEntropy(CategoryLoss):
    """-y log p - (1 - y) log(1 - p), summed over the known categories of each text.
    Labels may be soft."""

    def get_grad(self, guesses: Rows, truths: Rows) -> Rows:
        gradient = _sigmoid(guesses.astype(np.float64)) - truths
        return np.where(np.isnan(truths), 0.0, gradient).astype(guesses.dtype)

    def get_loss(self, guesses: Rows, truths: Rows) -> float:
        logits = guesses.astype(np.float64)
        return float(np.nansum(np.logaddexp(0.0, logits) - truths * logits))


def _sigmoid(logits: Rows) -> Rows:
    return np.exp(-np.logaddexp(0.0, -logits))


def make_logsumexp() -> LogSumExp:
    """Registered as "spacy-duoguard.logsumexp.v1". RETURNS (LogSumExp): The loss."""
    return LogSumExp()


def make_bce() -> BinaryCrossEntropy:
    """Registered as "spacy-duoguard.bce.v1". RETURNS (BinaryCrossEntropy): The loss."""
    return BinaryCrossEntropy()
