"""One stream's pieces, windows and rows: what is to be computed next, and what the
rows that were computed say about the text so far."""

from collections.abc import Mapping

import numpy as np

from ..classifier import Classifier
from ..flags import Flag, FlagWatch
from ..network.kv_cache import Extension, KeyValueCache
from .incremental_tokenizer import GrowingText


class StreamReader:
    """Reads a growing text in windows.

    Pieces are counted from the start of the text. Every window that a piece lies in
    reads it; the first of them scores it, since that would be the last window of the
    text up to there:

        window 0 [0123456789]
        window 1       [6789abcdef]    scores from a on
    """

    def __init__(
        self,
        classifier: Classifier,
        cache: KeyValueCache,
        thresholds: Mapping[str, float],
        patience: int,
    ) -> None:
        """classifier (Classifier): Whose windows and tokenizer to use.
        cache (KeyValueCache): Where open windows have their slots.
        thresholds (Mapping[str, float]), patience (int): As for `FlagWatch`.
        """
        tokenizer = classifier.tokenizer
        self.text = GrowingText(tokenizer)
        self.watch = FlagWatch(thresholds, patience)
        self.prefix = tokenizer.prefix
        self.window = classifier.settings.window - len(self.prefix)
        self.stride = classifier.settings.stride
        self.cache = cache
        self.slots: dict[int, int] = {}  # of open windows, by their number
        self.n_read = 0  # pieces
        self.n_settled = 0
        n_labels = len(classifier.labels)
        self._so_far = np.zeros(n_labels, dtype=np.float32)  # of windows that ended
        # Of the pieces that are read and not settled, and of those still to be read.
        self._rows = np.zeros((0, n_labels), dtype=np.float32)
        self._ends = np.zeros(0, dtype=np.int64)
        self._waiting = np.zeros(0, dtype=np.int32)
        self._plan: list[np.ndarray] = []  # pieces scored by each extension
        self._certain = 0  # pieces that may be settled
        self._last = self._so_far  # of the text up to the last settled piece

    @property
    def n_waiting(self) -> int:
        """RETURNS (int): Pieces that are to be read."""
        return len(self._waiting)

    @property
    def probabilities(self) -> np.ndarray:
        """RETURNS (ndarray): (n_labels,), of the text that was read; 0.0 for none."""
        values = self._fold(len(self._rows))[0]
        return values[-1] if len(values) else self._last

    def take(self, text: str) -> None:
        """text (str): What comes next.
        RAISES (ScoringError): It holds half of a surrogate pair. Nothing was changed.
        """
        change = self.text.push(text)
        self.n_read = change.kept
        self._rows = self._rows[: change.kept - self.n_settled]
        self._ends = np.append(self._ends[: change.kept - self.n_settled], change.ends)
        self._waiting = change.ids
        self._certain = change.settled

    def plan(self, share: int) -> list[Extension]:
        """share (int): The most pieces to read.
        RETURNS (List[Extension]): What reads them, for each window that they lie in."""
        begin = self.n_read
        end = begin + min(share, self.n_waiting)
        extensions, self._plan = [], []
        first = max(0, (begin - self.window) // self.stride + 1)
        for number in range(first, (end - 1) // self.stride + 1):
            start = number * self.stride
            left, right = max(begin, start), min(end, start + self.window)
            if number not in self.slots:
                self.slots[number] = self.cache.open()
            ids = self._waiting[left - begin : right - begin]
            past = len(self.prefix) + left - start
            if left == start:
                ids, past = np.concatenate((self.prefix, ids)), 0
            # Those that the window before does not reach.
            fresh = start - self.stride + self.window if number else 0
            pieces = np.arange(max(left, fresh), max(right, fresh))
            rows = pieces - right + len(ids)
            extensions.append(Extension(self.slots[number], past, ids, rows))
            self._plan.append(pieces)
        return extensions

    def read(self, rows: np.ndarray) -> None:
        """rows (ndarray): (n_pieces, n_labels), probabilities of what the last plan
        scored, extension by extension."""
        pieces = np.concatenate(self._plan)
        self._rows = np.concatenate((self._rows, rows[np.argsort(pieces)]))
        self._waiting = self._waiting[len(pieces) :]
        self.n_read += len(pieces)

    def settle(self) -> list[Flag]:
        """Look for flags among the pieces that nothing later can change.

        RETURNS (List[Flag]): The new ones.
        """
        n_new = self._certain - self.n_settled
        values, self._so_far = self._fold(n_new)
        flags = self.watch.read(self._ends[:n_new].tolist(), values)
        if n_new:
            self._last = values[-1]
        self.n_settled = self._certain
        self._rows, self._ends = self._rows[n_new:], self._ends[n_new:]
        for number in list(self.slots):
            if number * self.stride + self.window <= self.n_settled:
                self.cache.close(self.slots.pop(number))
        return flags

    def close(self) -> list[Flag]:
        """Nothing more comes.

        RETURNS (List[Flag]): The flags that are new by that.
        """
        self._certain = self.text.close()
        flags = self.settle() + self.watch.close()
        self.release()
        return flags

    def release(self) -> None:
        """Give the slots back."""
        while self.slots:
            self.cache.close(self.slots.popitem()[1])

    def _fold(self, n_pieces: int) -> tuple[np.ndarray, np.ndarray]:
        """The text's scores up to each of the next pieces: those of the window that
        would be the last, and of all that ended.

        n_pieces (int): After the settled ones.
        RETURNS (Tuple[ndarray, ndarray]): (n_pieces, n_labels), and the maximum over
            the windows that ended by then.
        """
        values, so_far = np.empty_like(self._rows[:n_pieces]), self._so_far
        for i, row in enumerate(self._rows[:n_pieces]):
            values[i] = np.maximum(so_far, row)
            past_window = self.n_settled + i + 1 - self.window
            if past_window >= 0 and past_window % self.stride == 0:
                so_far = values[i]
        return values, so_far
