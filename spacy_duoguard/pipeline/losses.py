"""Losses for categories that are not exclusive, with gold that may be incomplete.

Truths are NaN where the gold leaves a category open, which then has no loss and no
gradient. Both losses are summed over texts, so updates with accumulated gradients equal
one update with all texts.
"""

from abc import abstractmethod

import numpy as np
from thinc.loss import Loss

from ..errors import Errors, SettingsError

# Guesses are logits, (n_texts, n_labels); truths are in [0, 1] and of the same shape.
Matrix = np.ndarray


class CategoryLoss(Loss[Matrix, Matrix, Matrix, float]):
    """A loss, and its gradient with respect to the logits."""

    def __call__(self, guesses: Matrix, truths: Matrix) -> tuple[Matrix, float]:
        """guesses (ndarray): Logits, (n_texts, n_labels).
        truths (ndarray): In [0, 1], NaN where open, (n_texts, n_labels).
        RETURNS (Tuple[ndarray, float]): The gradient and the loss."""
        self.check(truths)
        return self.get_grad(guesses, truths), self.get_loss(guesses, truths)

    def check(self, truths: Matrix) -> None:
        """truths (ndarray): As in `__call__`.
        RAISES (SettingsError): This loss doesn't support them."""

    @abstractmethod
    def get_grad(self, guesses: Matrix, truths: Matrix) -> Matrix:
        """RETURNS (ndarray): The gradient."""

    @abstractmethod
    def get_loss(self, guesses: Matrix, truths: Matrix) -> float:
        """RETURNS (float): The loss."""


class LogSumExp(CategoryLoss):
    """The loss that DuoGuard was trained with, from Su et al. 2022 (ZLPR,
    arXiv 2208.02955; `MultilabelCategoricalCrossentropyLoss` in `classifier/
    training_model.py` of yihedeng9/DuoGuard). For each text:

        log(1 + Σ e^s over the negative) + log(1 + Σ e^-s over the positive)

    It compares each positive category with each negative one and with the logit 0,
    which is a probability of 0.5. Labels are 0 or 1.
    """

    def check(self, truths: Matrix) -> None:
        soft = truths[(truths > 0.0) & (truths < 1.0)]
        if soft.size:
            raise SettingsError(Errors.E064.format(value=float(soft[0])))

    def get_grad(self, guesses: Matrix, truths: Matrix) -> Matrix:
        gradient, _ = self._softmaxes(guesses, truths)
        return gradient.astype(guesses.dtype)

    def get_loss(self, guesses: Matrix, truths: Matrix) -> float:
        return float(self._softmaxes(guesses, truths)[1].sum())

    def _softmaxes(self, guesses: Matrix, truths: Matrix) -> tuple[Matrix, Matrix]:
        """The gradient and the loss of each text. The gradient is a softmax over 0 and
        the logits of the negative categories, minus one over 0 and the negated logits
        of the positive ones."""
        logits = guesses.astype(np.float64)
        gradient = np.zeros_like(logits)
        loss = np.zeros(len(logits))
        for sign, selected in ((1.0, truths == 0.0), (-1.0, truths == 1.0)):
            values = np.where(selected, sign * logits, -np.inf)
            top = np.maximum(values.max(axis=1, initial=0.0, keepdims=True), 0.0)
            powers = np.exp(values - top)
            total = np.exp(-top) + powers.sum(axis=1, keepdims=True)
            gradient += sign * powers / total
            loss += (np.log(total) + top)[:, 0]
        return gradient, loss


class BinaryCrossEntropy(CategoryLoss):
    """-y log p - (1 - y) log(1 - p), summed over the known categories of each text.
    Labels may be soft."""

    def get_grad(self, guesses: Matrix, truths: Matrix) -> Matrix:
        gradient = _sigmoid(guesses.astype(np.float64)) - truths
        return np.where(np.isnan(truths), 0.0, gradient).astype(guesses.dtype)

    def get_loss(self, guesses: Matrix, truths: Matrix) -> float:
        logits = guesses.astype(np.float64)
        return float(np.nansum(np.logaddexp(0.0, logits) - truths * logits))


def _sigmoid(logits: Matrix) -> Matrix:
    return np.exp(-np.logaddexp(0.0, -logits))


def make_logsumexp() -> LogSumExp:
    """Registered as "spacy-duoguard.logsumexp.v1". RETURNS (LogSumExp): The loss."""
    return LogSumExp()


def make_bce() -> BinaryCrossEntropy:
    """Registered as "spacy-duoguard.bce.v1". RETURNS (BinaryCrossEntropy): The loss."""
    return BinaryCrossEntropy()
