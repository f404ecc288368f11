"""The state of one stream."""

from collections.abc import Sequence

from ...errors import Errors, ScoringError, SettingsError
from ..decisions import Policy, decide_by_flags
from ..flags import Flag
from .chunk_decoder import ChunkDecoder
from .reader import StreamReader
from .scores import StreamScores
from .stream_model import StreamModel


class StreamState:
    """A stream, as seen by what reads and ends it.

    reader (StreamReader): The tokens and their scores.
    decoder (ChunkDecoder): From bytes to text.
    closed (bool): Whether it takes no more text.
    error (Optional[BaseException]): Why it has failed: the text counts as unsafe.
    last (Tuple[Sequence[Flag], Sequence[Flag]]): The flags and reviews that waited for
        the end of the text, and haven't been reported.
    """

    def __init__(
        self, reader: StreamReader, model: StreamModel, policy: Policy
    ) -> None:
        """reader (StreamReader): As above.
        model (StreamModel): What scores, for which it now is open.
        policy (Policy): The thresholds."""
        self.reader = reader
        self.decoder = ChunkDecoder()
        self.closed = False
        self.error: BaseException | None = None
        self.last: tuple[Sequence[Flag], Sequence[Flag]] = (), ()
        self._model = model
        self._policy = policy
        self._ticket = model.open()

    def take(self, chunk: str | bytes) -> None:
        """chunk (Union[str, bytes]): A chunk to take. The stream fails if it can't."""
        try:
            if text := self.decoder.decode(chunk):
                self.reader.take(text)
        except (SettingsError, ScoringError) as e:
            self.fail(e)

    def fail(self, error: BaseException) -> None:
        """error (BaseException): Why the text counts as unsafe from now on."""
        self.error = error
        self.leave()

    def finish(self) -> None:
        """End the text, whose chunks were all scored."""
        self.last = self.reader.close()
        self.leave()

    def leave(self) -> None:
        """Free what it holds. It takes no more text."""
        self.reader.release()
        if not self.closed:
            self.closed = True
            self._model.close(self._ticket)

    def settle(self) -> StreamScores:
        """RETURNS (StreamScores): What its text scores after the chunks it took."""
        if self.error is not None:  # its tokens were taken, but have no scores
            return self.report()
        return self.report(*self.reader.settle())

    def report(
        self, flags: Sequence[Flag] = (), reviews: Sequence[Flag] = ()
    ) -> StreamScores:
        """flags (Sequence[Flag]), reviews (Sequence[Flag]): The new ones.
        RETURNS (StreamScores): What its text scores. If it has failed, or these scores
            contradict themselves: as unsafe."""
        reader = self.reader
        labels = list(self._policy.thresholds)
        if self.error is None:
            held = reader.tracker.flags, reader.review_tracker.flags
            scores = StreamScores(
                # A copy, because callers may write into what they get.
                reader.probabilities.copy(),
                tuple(flags),
                "ok" if reader.n_read else "empty",
                tuple(reviews),
                decide_by_flags(*held, self._policy),
            )
            if (problem := scores.find_problem(labels)) is None:
                return scores
            self.fail(ScoringError(Errors.E181.format(problem=problem)))
        return StreamScores.failed(labels, reader.text.n_chars)
