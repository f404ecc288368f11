"""Moderating text as it arrives, such as a language model's answer or a chat.

The keys and values of a window are cached, so that all pushes together cost about one
pass. Windows are those of the text so far: while two overlap, both are extended.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import NoReturn

from ...errors import Errors, ScoringError, SettingsError
from ..classifier import Classifier
from ..decisions import Policy, decide_by_flags
from ..fallbacks import HALVED, describe
from ..flags import Flag, check_thresholds
from ..fork_lock import ForkLock
from ..network.device import batch_tokens
from ..network.inference import Forward
from ..network.kv_cache import KeyValueCache
from ..network.tensor_versions import TensorVersions
from ..network.threads import leave_parents_threads
from ..settings import check_count, check_type
from .chunk_decoder import ChunkDecoder, check_chunks
from .extend import extend
from .reader import StreamReader
from .scores import StreamScores

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
        self.policy = Policy.of(classifier.labels, *limits)
        self.patience = patience
        self.cache = KeyValueCache(classifier.decoder, classifier.settings.window)
        self._forward: Forward | None = None
        self._head: TensorVersions | None = None  # while streams are open
        self.n_open = 0
        self._left: deque[Stream] = deque()  # by an exception, with slots to free
        self._lock = ForkLock(is_awaited=True)

    def open(self) -> "Stream":
        """RETURNS (Stream): A new stream in this batch."""
        return Stream(self.classifier, batch=self)

    def check_labels(self) -> None:
        """RAISES (ScoringError): The model has gained a category since, or a fork has
        interrupted a push to the batch."""
        if self._lock.is_lost:
            raise ScoringError(Errors.E339)
        if self.classifier.labels != tuple(self.policy.thresholds):
            raise ScoringError(Errors.E325)

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
        with self._lock.plain:
            try:
                self._free_left()
                for stream, chunk in zip(streams, chunks, strict=True):
                    stream._take(chunk)
                self._advance([stream for stream in streams if stream.error is None])
                return [stream._settle() for stream in streams]
            except BaseException as e:  # an interrupt leaves texts half read
                for stream in streams:
                    stream._fail(e)
                raise

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

    def _free_left(self) -> None:
        while self._left:
            self._left.popleft()._leave()

    def _advance(self, streams: Sequence["Stream"]) -> None:
        """Score the chunks taken. If that fails, try each stream alone: windows are
        only extended once their scores were checked."""
        try:
            self._read(streams)
        except Exception as e:
            if len(streams) == 1:
                streams[0]._fail(e)
                return
            cause, fallbacks = describe(e), self.classifier.runner.fallbacks
            fallbacks.count(HALVED, cause)
            for stream in streams:
                self._advance([stream])
            if all(stream.error is None for stream in streams):
                fallbacks.report(HALVED, cause)

    def _read(self, streams: Sequence["Stream"]) -> None:
        leave_parents_threads()
        forward = self._current_forward()
        budget = self.classifier.settings.max_batch_tokens
        tokens = budget or batch_tokens(self.cache.device)
        while waiting := [s.reader for s in streams if s.reader.n_waiting]:
            share = max(1, tokens // len(waiting))
            for first in range(0, len(waiting), tokens):
                extend(waiting[first : first + tokens], forward, self.cache, share)

    def _current_forward(self) -> Forward:
        """The forward pass, refused if the weights or the categories changed while
        streams are open."""
        self.check_labels()
        forward = self.classifier.runner.forward()
        head = list(self.classifier.decoder.score.parameters())  # not in the forward
        if self.n_open and (
            self._forward not in (None, forward)
            or (self._head is not None and not self._head.match(head))
        ):
            raise ScoringError(Errors.E093)
        self._forward, self._head = forward, TensorVersions(head)
        return forward


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
        batch.check_labels()
        self.batch = batch
        self.reader = StreamReader(
            classifier, batch.cache, batch.policy, batch.patience
        )
        self.closed = False
        self.error: BaseException | None = None
        self._decoder = ChunkDecoder()
        # The flags and reviews that waited for the end, until `close` returns them.
        self._last: tuple[Sequence[Flag], Sequence[Flag]] = (), ()
        batch.n_open += 1

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
        last, self._last = self._last, ((), ())
        return self._report(*last)

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
        self.error = error
        self.batch._left.append(self)
        if self.batch._lock.plain.acquire(blocking=False):
            try:
                self.batch._free_left()
            finally:
                self.batch._lock.plain.release()

    def _end(self) -> None:
        """Settle what waits for more text, and keep it for `close` to return."""
        if self.closed or self.error is not None:
            return
        last_flags: tuple[Flag, ...] = ()
        last_reviews: tuple[Flag, ...] = ()
        if self._decoder.is_waiting:
            self._decoder.reset()
            scores = self.push("\ufffd")
            last_flags, last_reviews = scores.flags, scores.reviews
        with self.batch._lock.plain:
            try:
                self.batch._free_left()
                leave_parents_threads()
                self.batch._current_forward()  # its scores must be those of this model
                flags, reviews = self.reader.close()
                self._last = (*last_flags, *flags), (*last_reviews, *reviews)
                self._leave()
            except BaseException as e:  # its flags would be lost
                self._fail(e)
                raise

    def __reduce__(self) -> NoReturn:
        """RAISES (SettingsError): Always; a copy would share what it has read."""
        raise SettingsError(Errors.E330.format(kind="Stream"))

    def _take(self, chunk: str | bytes) -> None:
        """Take a chunk, or mark the stream as failed."""
        try:
            if text := self._decoder.decode(chunk):
                self.reader.take(text)
        except (SettingsError, ScoringError) as e:
            self._fail(e)

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self._leave()

    def _leave(self) -> None:
        self.reader.release()
        if not self.closed:
            self.closed = True
            self.batch.n_open -= 1
            if not self.batch.n_open:
                self.batch._forward = self.batch._head = None

    def _settle(self) -> StreamScores:
        if self.error is not None:  # its tokens were taken, but have no scores
            return self._report()
        return self._report(*self.reader.settle())

    def _report(
        self, flags: Sequence[Flag] = (), reviews: Sequence[Flag] = ()
    ) -> StreamScores:
        policy, reader = self.batch.policy, self.reader
        labels = list(policy.thresholds)
        if self.error is None:
            held = reader.tracker.flags, reader.review_tracker.flags
            scores = StreamScores(
                # A copy, because callers may write into what they get.
                reader.probabilities.copy(),
                tuple(flags),
                "ok" if reader.n_read else "empty",
                tuple(reviews),
                decide_by_flags(*held, policy),
            )
            if (problem := scores.find_problem(labels)) is None:
                return scores
            self._fail(ScoringError(Errors.E181.format(problem=problem)))
        return StreamScores.failed(labels, reader.text.n_chars)
