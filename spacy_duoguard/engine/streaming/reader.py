"""The windows of one stream: what to compute next, and the scores of the text so
far."""

import numpy as np

from ..classifier import Classifier
from ..decisions import Policy
from ..flags import Flag, FlagTracker
from ..network.kv_cache import Extension, KeyValueCache
from .incremental_tokenizer import IncrementalTokenizer


class StreamReader:
    """Reads a growing text in windows.

    Tokens are counted from the start of the text. Every window reads all of its tokens,
    but a token is scored in the first window that has it: the last window of the text
    up to there.

        window 0 [0123456789]
        window 1       [6789abcdef]    scores from a on
    """

    def __init__(
        self,
        classifier: Classifier,
        cache: KeyValueCache,
        policy: Policy,
        patience: int,
    ) -> None:
        """classifier (Classifier): Its windows and its tokenizer are used.
        cache (KeyValueCache): Holds a slot for each open window.
        policy (Policy): The thresholds of each category.
        patience (int): As in `FlagTracker`.
        """
        tokenizer = classifier.tokenizer
        self.text = IncrementalTokenizer(tokenizer)
        self.tracker = FlagTracker(policy.thresholds, patience)
        review = policy.review_thresholds.items()
        never = np.inf  # above all probabilities
        limits = {key: never if value is None else value for key, value in review}
        self.review_tracker = FlagTracker(limits, patience)
        self.prefix = tokenizer.prefix
        self.window = classifier.settings.window - len(self.prefix)
        self.stride = classifier.settings.stride
        self.cache = cache
        self.slots: dict[int, int] = {}  # of open windows, by their number
        self.n_read = 0  # tokens
        self.n_settled = 0  # tokens that were checked for flags
        n_labels = len(classifier.labels)
        self._so_far = np.zeros(n_labels, dtype=np.float32)  # of windows that ended
        # Of the tokens that are read and not settled; ends also of those still waiting.
        self._scores = np.zeros((0, n_labels), dtype=np.float32)
        self._ends = np.zeros(0, dtype=np.int64)
        self._waiting = np.zeros(0, dtype=np.int32)
        self._plan: list[np.ndarray] = []  # tokens scored by each extension
        self._n_final = 0  # tokens that nothing later can change
        self._last = self._so_far  # of the text up to the last settled token

    @property
    def n_waiting(self) -> int:
        """RETURNS (int): Tokens that are still to be read."""
        return len(self._waiting)

    @property
    def probabilities(self) -> np.ndarray:
        """RETURNS (ndarray): (n_labels,), of the text read so far, 0.0 at its start."""
        prefixes = self._fold(len(self._scores))[0]
        return prefixes[-1] if len(prefixes) else self._last

    def take(self, text: str) -> None:
        """text (str): The next part of the text.
        RAISES (ScoringError): It has an unpaired surrogate. Nothing was changed.
        """
        update = self.text.push(text)
        n_kept = update.n_kept - self.n_settled
        self.n_read = update.n_kept
        self._scores = self._scores[:n_kept]
        self._ends = np.append(self._ends[:n_kept], update.ends)
        self._waiting = update.ids
        self._n_final = update.n_final

    def plan(self, share: int) -> list[Extension]:
        """share (int): The maximum number of tokens to read.
        RETURNS (List[Extension]): What to read in each window that has them."""
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
            # Score the tokens that the previous window doesn't have.
            fresh = start - self.stride + self.window if number else 0
            tokens = np.arange(max(left, fresh), max(right, fresh))
            rows = tokens - right + len(ids)
            extensions.append(Extension(self.slots[number], past, ids, rows))
            self._plan.append(tokens)
        return extensions

    def read(self, scores: np.ndarray) -> None:
        """scores (ndarray): (n_tokens, n_labels), the probabilities of what the last
        plan scores, extension by extension."""
        tokens = np.concatenate(self._plan)
        self._scores = np.concatenate((self._scores, scores[np.argsort(tokens)]))
        self._waiting = self._waiting[len(tokens) :]
        self.n_read += len(tokens)

    def settle(self) -> tuple[list[Flag], list[Flag]]:
        """Check the tokens that nothing later can change.

        RETURNS (Tuple[List[Flag], List[Flag]]): The new flags, and the new categories
            above their review thresholds.
        """
        n_new = self._n_final - self.n_settled
        prefixes, self._so_far = self._fold(n_new)
        ends = self._ends[:n_new].tolist()
        flags = self.tracker.read(ends, prefixes)
        reviews = self.review_tracker.read(ends, prefixes)
        if n_new:
            self._last = prefixes[-1]
        self.n_settled = self._n_final
        self._scores, self._ends = self._scores[n_new:], self._ends[n_new:]
        for number in list(self.slots):
            if number * self.stride + self.window <= self.n_settled:
                self.cache.close(self.slots.pop(number))
        return flags, reviews

    def close(self) -> tuple[list[Flag], list[Flag]]:
        """End the text.

        RETURNS (Tuple[List[Flag], List[Flag]]): As from `settle`.
        """
        self._n_final = self.text.close()
        flags, reviews = self.settle()
        flags += self.tracker.close()
        reviews += self.review_tracker.close()
        self.release()
        return flags, reviews

    def release(self) -> None:
        """Free the slots."""
        while self.slots:
            self.cache.close(self.slots.popitem()[1])

    def _fold(self, n_tokens: int) -> tuple[np.ndarray, np.ndarray]:
        """The prefix scores of the next tokens: the maximum over the window that would
        be the last, and all that ended before it.

        n_tokens (int): How many, after the settled ones.
        RETURNS (Tuple[ndarray, ndarray]): (n_tokens, n_labels), and the maximum over
            the windows that ended by then, (n_labels,).
        """
        scores, so_far = self._scores[:n_tokens], self._so_far
        prefixes = np.empty_like(scores)
        for i, row in enumerate(scores):
            prefixes[i] = np.maximum(so_far, row)
            past_window = self.n_settled + i + 1 - self.window
            if past_window >= 0 and past_window % self.stride == 0:
                so_far = prefixes[i]
        return prefixes, so_far
