"""The forward passes that streams share."""

from collections import deque
from collections.abc import Sequence

from ...errors import Errors, ScoringError
from ..classifier import Classifier
from ..decisions import Policy
from ..fallbacks import HALVED, describe
from ..fork_lock import ForkLock
from ..network.device import batch_tokens
from ..network.inference import Forward
from ..network.kv_cache import KeyValueCache
from ..network.threads import leave_parents_threads
from .extend import extend
from .scores import StreamScores
from .state import StreamState
from .stream_model import StreamModel


class SharedPass:
    """Scores the chunks of several streams at once. One thread at a time reads or ends
    streams: the one that holds the lock.

    model (StreamModel): What scores.
    policy (Policy): The thresholds.
    patience (int): Number of consecutive tokens for which a category must be above its
        threshold.
    cache (KeyValueCache): The keys and values of all streams.
    lock (ForkLock): See above.
    left (Deque[StreamState]): Streams that an exception ended, whose slots in the cache
        are to be freed by whoever holds the lock next.
    """

    def __init__(self, classifier: Classifier, policy: Policy, patience: int) -> None:
        """classifier (Classifier), policy (Policy), patience (int): As above."""
        self.model = StreamModel(classifier)
        self.policy = policy
        self.patience = patience
        self.cache = KeyValueCache(classifier.decoder, classifier.settings.window)
        self.lock = ForkLock(is_awaited=True)
        self.left: deque[StreamState] = deque()

    def check(self) -> None:
        """RAISES (ScoringError): The model has gained a category since, or a fork has
        interrupted a push."""
        if self.lock.is_lost:
            raise ScoringError(Errors.E339)
        self.model.check_labels()

    def forward(self) -> Forward:
        """RETURNS (Forward): The forward pass for the current weights.
        RAISES (ScoringError): As in `check`, or the weights changed while streams are
            open."""
        self.check()
        return self.model.forward()

    def free_left(self) -> None:
        """Free the slots of streams that an exception ended."""
        while self.left:
            self.left.popleft().leave()

    def push(
        self, streams: Sequence[StreamState], chunks: Sequence[str | bytes]
    ) -> list[StreamScores]:
        """streams (Sequence[StreamState]): Open streams, each at most once.
        chunks (Sequence[Union[str, bytes]]): The next chunk of each.
        RETURNS (List[StreamScores]): One for each stream, also for those that fail."""
        with self.lock.plain:
            try:
                self.free_left()
                for stream, chunk in zip(streams, chunks, strict=True):
                    stream.take(chunk)
                self.advance([stream for stream in streams if stream.error is None])
                return [stream.settle() for stream in streams]
            except BaseException as e:  # an interrupt leaves texts half read
                for stream in streams:
                    stream.fail(e)
                raise

    def end(self, stream: StreamState) -> None:
        """stream (StreamState): An open stream whose text is complete.
        RAISES (ScoringError): As in `read`. The stream has failed."""
        with self.lock.plain:
            try:
                self.free_left()
                if stream.decoder.is_waiting:  # for the rest of a character
                    stream.decoder.reset()
                    stream.reader.take("\ufffd")
                self.read([stream])  # if only to see that the model is the same
                stream.finish()
            except BaseException as e:  # its flags would be lost
                stream.fail(e)
                raise

    def advance(self, streams: Sequence[StreamState]) -> None:
        """Score the chunks that streams have taken. If that fails, try each stream
        alone: windows are only extended once their scores were checked.

        streams (Sequence[StreamState]): Streams that haven't failed. Those that can't
            be scored fail."""
        try:
            self.read(streams)
        except Exception as e:
            if len(streams) == 1:
                streams[0].fail(e)
                return
            cause = describe(e)
            fallbacks = self.model.classifier.runner.fallbacks
            fallbacks.count(HALVED, cause)
            for stream in streams:
                self.advance([stream])
            if all(stream.error is None for stream in streams):
                fallbacks.report(HALVED, cause)

    def read(self, streams: Sequence[StreamState]) -> None:
        """streams (Sequence[StreamState]): Streams whose chunks to score.
        RAISES (ScoringError): As in `forward`, or a logit isn't finite."""
        leave_parents_threads()
        forward = self.forward()
        budget = self.model.classifier.settings.max_batch_tokens
        tokens = budget or batch_tokens(self.cache.device)
        while waiting := [s.reader for s in streams if s.reader.n_waiting]:
            share = max(1, tokens // len(waiting))
            for first in range(0, len(waiting), tokens):
                extend(waiting[first : first + tokens], forward, self.cache, share)
