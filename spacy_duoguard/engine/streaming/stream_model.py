"""The model of streams: it must not change while one of them is open."""

from ...errors import Errors, ScoringError
from ..classifier import Classifier
from ..network.inference import Forward
from ..network.tensor_versions import TensorVersions


class StreamModel:
    """A classifier whose weights and categories count for all open streams.

    n_open (int): The number of open streams.
    """

    def __init__(self, classifier: Classifier) -> None:
        """classifier (Classifier): What to score with."""
        self.classifier = classifier
        self.labels = classifier.labels
        self.n_open = 0
        # While streams are open.
        self._forward: Forward | None = None
        self._head: TensorVersions | None = None  # which no forward pass copies

    def check_labels(self) -> None:
        """RAISES (ScoringError): The model has gained a category since."""
        if self.classifier.labels != self.labels:
            raise ScoringError(Errors.E325)

    def forward(self) -> Forward:
        """RETURNS (Forward): The forward pass for the current weights.
        RAISES (ScoringError): The weights or the categories changed while streams are
            open."""
        self.check_labels()
        forward = self.classifier.runner.forward()
        head = list(self.classifier.decoder.score.parameters())
        if self.n_open and (
            self._forward not in (None, forward)
            or (self._head is not None and not self._head.match(head))
        ):
            raise ScoringError(Errors.E093)
        self._forward, self._head = forward, TensorVersions(head)
        return forward

    def open(self) -> None:
        """One more stream is open."""
        self.n_open += 1

    def close(self) -> None:
        """One stream less is open. Without any, the weights may change."""
        self.n_open -= 1
        if not self.n_open:
            self._forward = self._head = None
