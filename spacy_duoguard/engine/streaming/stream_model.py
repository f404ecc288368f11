"""The model of streams: it must not change while one of them is open."""

from ...errors import Errors, ScoringError
from ..classifier import Classifier
from ..network.inference import Forward
from ..network.tensor_versions import TensorVersions


class StreamModel:
    """A classifier whose weights and categories count for all open streams."""

    def __init__(self, classifier: Classifier) -> None:
        """classifier (Classifier): What to score with."""
        self.classifier = classifier
        self.labels = classifier.labels
        self._open: set[object] = set()
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

    @property
    def n_open(self) -> int:
        """RETURNS (int): The number of open streams."""
        return len(self._open)

    def open(self) -> object:
        """Threads may open streams at once.

        RETURNS (object): What closes the stream."""
        ticket = object()
        self._open.add(ticket)
        return ticket

    def close(self, ticket: object) -> None:
        """ticket (object): From `open`. When no stream is open, weights may change."""
        self._open.discard(ticket)
        if not self._open:
            self._forward = self._head = None
