"""Tokenizing a text that grows at its end.

The last tokens of a text change when more of it arrives: "dan" is one token, "danger"
is another. Only the tail that can still change is tokenized again.
"""

import unicodedata
from dataclasses import dataclass

import numpy as np

from ..text.tokenizer import TextTokenizer
from ..text.windows import Segment

# A tail of this length without a word boundary (8,192 characters) is split after any
# token that leaves the others as they are; at twice the length, after any token at all.
# Otherwise every push would tokenize a long text again.
_MAX_CHARS = 8192

# What can stand between the letters of one word.
_APOSTROPHES = "'\u2019"


@dataclass(frozen=True)
class TokenUpdate:
    """How the tokens of the text so far differ from those before."""

    n_kept: int  # tokens, from the first on, that didn't change
    ids: np.ndarray  # (n_new,), the tokens after them
    ends: np.ndarray  # (n_new,), the character offsets at which those end
    n_final: int  # tokens, from the first on, that nothing later can change


class IncrementalTokenizer:
    """Tokenizes a text as it arrives."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        """tokenizer (TextTokenizer): The model's tokenizer."""
        self.tokenizer = tokenizer
        self.n_chars = 0
        self._tail = ""  # the text that can still change
        self._tail_ids = np.zeros(0, dtype=np.int32)
        self._n_searched = 0  # characters of the tail without a word boundary
        self._n_final = 0  # tokens before the tail

    def push(self, text: str) -> TokenUpdate:
        """text (str): The next part of the text.
        RETURNS (TokenUpdate): The tokens that changed.
        RAISES (ScoringError): It has an unpaired surrogate. Nothing was changed.
        """
        tail = self._tail + text
        start = self.n_chars - len(self._tail)
        segment = Segment(start, self.tokenizer.encode(tail), None)
        ids, ends = segment.tokens.ids, segment.token_ends
        n_shared = min(len(ids), len(self._tail_ids))
        differ = np.flatnonzero(ids[:n_shared] != self._tail_ids[:n_shared])
        n_same = int(differ[0]) if len(differ) else n_shared
        n_kept = self._n_final + n_same
        self._tail, self._tail_ids = tail, ids
        self.n_chars += len(text)
        self._shorten_tail(segment)
        return TokenUpdate(n_kept, ids[n_same:], ends[n_same:], self._n_final)

    def close(self) -> int:
        """End the text.

        RETURNS (int): How many tokens it has.
        """
        self._n_final += len(self._tail_ids)
        self._tail, self._tail_ids = "", self._tail_ids[:0]
        return self._n_final

    def _shorten_tail(self, segment: Segment) -> None:
        """Remove from the tail what can no longer change."""
        for split in self._split_candidates(segment):
            token = int(np.searchsorted(segment.token_starts, segment.start + split))
            rest = self.tokenizer.encode(self._tail[split:]).ids
            forced = len(self._tail) > 2 * _MAX_CHARS
            if forced or np.array_equal(rest, self._tail_ids[token:]):
                self._tail, self._tail_ids = self._tail[split:], rest
                self._n_final += token
                break
        self._n_searched = len(self._tail)

    def _split_candidates(self, segment: Segment) -> list[int]:
        """Where the tail can be split: after its last whole word, if it has one."""
        tail = self._tail
        if self.tokenizer.splits_at_words:
            for split in range(len(tail) - 1, max(self._n_searched - 1, 0), -1):
                if _is_word_end(tail[split - 1], tail[split]):
                    return [split]
        if len(tail) <= _MAX_CHARS:
            return []
        near = segment.start + len(tail) - _MAX_CHARS // 2
        last = int(np.searchsorted(segment.token_starts, near))
        starts = segment.token_starts[max(1, last - 2) : last] - segment.start
        return [int(start) for start in starts if start > 0]


def _is_word_end(left: str, right: str) -> bool:
    """Whether a word or number ends between two characters, for every pattern that
    tokenizers split by, and no normalization joins them."""
    if right in _APOSTROPHES or unicodedata.category(left)[0] not in "LN":
        return False
    return right in "\r\n\t" or unicodedata.category(right)[0] in "ZPS"
