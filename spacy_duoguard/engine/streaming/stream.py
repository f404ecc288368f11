"""Moderating text as it arrives, such as a language model's answer or a chat.

The keys and values of a window are cached, so that all pushes together cost about one
pass. Windows are those of the text so far: while two overlap, both are extended.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import NoReturn

from ...errors import Errors, SettingsError
from ..classifier import Classifier
from ..decisions import Policy
from ..flags import check_thresholds
from ..settings import check_count, check_type
from .chunk_decoder import check_chunks
from .reader import StreamReader
from .scores import StreamScores
from .shared_pass import SharedPass
from .state import StreamState

_LOAD = (
    "Load one with Classifier.from_pretrained, or take that of a component: "
    "nlp.get_pipe('duoguard').classifier."
)


class StreamBatch:
    """Streams that share forward passes, for a server that moderates many answers at
    once."""

    def __init__(
        self,
        classifier: Classifier,
        *,
        threshold: float = 0.5,
        thresholds: Mapping[str, float] | None = None,
        review_threshold: float | None = None,
        review_thresholds: Mapping[str, float] | None = None,
        patience: int = 2,
        normalize: bool = False,
    ) -> None:
        """classifier (Classifier): What to score with. Its weights must not change
            while a stream is open, nor its categories.
        threshold (float): A category is flagged above it.
        thresholds (Optional[Mapping[str, float]]): Thresholds of single categories.
        review_threshold (Optional[float]): A category asks for a review above it; None
            if none does.
        review_thresholds (Optional[Mapping[str, float]]): Those of single categories.
        patience (int): Number of consecutive tokens for which a category must be above
            its threshold.
        normalize (bool): Refused: a reading can change with what follows.
        RAISES (SettingsError): A value is out of range, or the tokenizer adds a token
            to the end of each text.
        """
        check_type("classifier", classifier, Classifier, _LOAD)
        if normalize:
            raise SettingsError(Errors.E212)
        thresholds = dict(thresholds or {})
        review_thresholds = dict(review_thresholds or {})
        check_thresholds(
            threshold,
            thresholds,
            classifier.labels,
            review_threshold=review_threshold,
            review_thresholds=review_thresholds,
        )
        check_count("patience", patience)
        classifier.check_causal()
        self.classifier = classifier
        limits = threshold, thresholds, review_threshold, review_thresholds
        policy = Policy.of(classifier.labels, *limits)
        self.shared = SharedPass(classifier, policy, patience)

    @property
    def n_open(self) -> int:
        """RETURNS (int): The number of open streams."""
        return self.shared.model.n_open

    def open(self) -> "Stream":
        """RETURNS (Stream): A new stream in this batch."""
        return Stream(self.classifier, batch=self)

    def push(
        self, streams: Sequence["Stream"], chunks: Sequence[str | bytes]
    ) -> list[StreamScores]:
        """Push to several streams at once.

        streams (Sequence[Stream]): Open streams of this batch, each at most once.
        chunks (Sequence[Union[str, bytes]]): The next chunk of each.
        RETURNS (List[StreamScores]): One for each stream. If one fails, the others are
            scored all the same; its probabilities are 1.0, every category is flagged,
            its status is "error", and it takes no more text.
        RAISES (SettingsError): A stream is closed, given twice, or of another batch, or
            `chunks` isn't a list of chunks.
        """
        self._check(streams, chunks)
        return self.shared.push([stream._state for stream in streams], chunks)

    def __reduce__(self) -> NoReturn:
        """RAISES (SettingsError): Always; open streams are in its cache."""
        raise SettingsError(Errors.E330.format(kind="StreamBatch"))

    def _check(
        self, streams: Sequence["Stream"], chunks: Sequence[str | bytes]
    ) -> None:
        check_chunks(chunks)
        check_type("streams", streams, Sequence, "Pass the streams as a list.")
        distinct = len({id(stream) for stream in streams})
        if not distinct == len(streams) == len(chunks):
            raise SettingsError(Errors.E090.format(n=len(streams), chunks=len(chunks)))
        for stream in streams:
            if not isinstance(stream, Stream) or stream.batch is not self:
                raise SettingsError(Errors.E091)
            if stream.closed or stream.error is not None:
                raise SettingsError(Errors.E092)


class Stream:
    """A text that is moderated as it arrives.

        with Stream(classifier) as stream:
            for chunk in answer:
                if stream.push(chunk).flags:
                    break
        action = stream.close().action  # with what waited for more text

    After every push, its probabilities are those of the text so far scored as a whole.
    A flag needs `patience` tokens that nothing later can change, or the end of the
    text. It doesn't depend on how the text was split into chunks. The end of the block
    is the end of the text. If an exception ends it, the text counts as unsafe.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        threshold: float = 0.5,
        thresholds: Mapping[str, float] | None = None,
        review_threshold: float | None = None,
        review_thresholds: Mapping[str, float] | None = None,
        patience: int = 2,
        normalize: bool = False,
        batch: StreamBatch | None = None,
    ) -> None:
        """classifier, threshold, thresholds, review_threshold, review_thresholds,
        patience, normalize: As in `StreamBatch`.
        batch (Optional[StreamBatch]): The batch it belongs to, with its thresholds; set
            by `StreamBatch.open`. By default, it has a batch of its own.
        RAISES (SettingsError): As in `StreamBatch`.
        RAISES (ScoringError): The model has gained a category since the batch was made.
        """
        if batch is None:
            batch = StreamBatch(
                classifier,
                threshold=threshold,
                thresholds=thresholds,
                review_threshold=review_threshold,
                review_thresholds=review_thresholds,
                patience=patience,
                normalize=normalize,
            )
        check_type("batch", batch, StreamBatch, "Call open() on a StreamBatch.")
        shared = batch.shared
        shared.check()
        limits = shared.policy, shared.patience
        reader = StreamReader(classifier, shared.cache, *limits)
        self.batch = batch
        self._state = StreamState(reader, shared.model, shared.policy)

    @property
    def closed(self) -> bool:
        """RETURNS (bool): Whether it takes no more text."""
        return self._state.closed

    @property
    def error(self) -> BaseException | None:
        """RETURNS (Optional[BaseException]): Why it has failed, if it has."""
        return self._state.error

    def push(self, chunk: str | bytes) -> StreamScores:
        """Score the text so far and the next chunk.

        chunk (Union[str, bytes]): The next chunk, split anywhere. UTF-8 that ends
            inside a character waits for the rest of it.
        RETURNS (StreamScores): The probabilities of the text so far, and the new flags.
        RAISES (SettingsError): The stream is closed, or has failed, or the chunk is
            neither a string nor bytes, as below.
        RAISES (ScoringError): The bytes aren't UTF-8, the text has an unpaired
            surrogate, or a logit isn't finite. The text counts as unsafe and takes no
            more chunks.
        """
        (scores,) = self.batch.push([self], [chunk])
        if self.error is not None:
            raise self.error
        return scores

    def close(self) -> StreamScores:
        """End the text: no flag has to wait for more of it. An incomplete character at
        its end counts as U+FFFD. Closing again changes nothing.

        RETURNS (StreamScores): The probabilities of the text, and the new flags. After
            a `with` block, these are the flags that waited for its end.
        RAISES (ScoringError): As in `push`.
        """
        self._end()
        state = self._state
        last, state.last = state.last, ((), ())
        return state.report(*last)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._end()
        elif not self.closed:  # more text may have followed
            self._abandon(error)

    def _abandon(self, error: BaseException) -> None:
        """Fail without waiting for the lock: the garbage collector can end a generator,
        and its block, in the thread that holds it."""
        self._state.error = error
        shared = self.batch.shared
        shared.left.append(self._state)
        if shared.lock.plain.acquire(blocking=False):
            try:
                shared.free_left()
            finally:
                shared.lock.plain.release()

    def _end(self) -> None:
        """Settle what waits for more text, and keep it for `close` to return."""
        if not self.closed and self.error is None:
            self.batch.shared.end(self._state)

    def __reduce__(self) -> NoReturn:
        """RAISES (SettingsError): Always; a copy would share what it has read."""
        raise SettingsError(Errors.E330.format(kind="Stream"))
