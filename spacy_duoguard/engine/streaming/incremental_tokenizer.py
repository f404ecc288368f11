"""The pieces of a text that grows at its end.

The last pieces of a text change when more of it comes: "dan" is one piece, "danger" is
another. Only the text from the last place on that nothing later can change is cut
anew.
"""

import unicodedata
from dataclasses import dataclass

import numpy as np

from ..text.tokenizer import TextTokenizer
from ..text.windows import Part

# Without a certain place for so long (a word of 8,192 characters), an end of a piece
# has to do after which all is cut as before; after twice as long, any. Otherwise every
# push would cut a long text anew.
_MAX_CHARS = 8192

# What may come between the letters of one word.
_APOSTROPHES = "'\u2019"


@dataclass(frozen=True)
class Change:
    """How the pieces of the text so far differ from those before."""

    kept: int  # pieces, from the first on, that are as they were
    ids: np.ndarray  # (n_new,), of the pieces after them
    ends: np.ndarray  # (n_new,), where those end, in characters
    settled: int  # pieces, from the first on, that nothing later can change


class GrowingText:
    """Cuts a text into pieces while it arrives."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        """tokenizer (TextTokenizer): The model's."""
        self.tokenizer = tokenizer
        self.n_chars = 0
        self._tail = ""  # what may still change
        self._tail_ids = np.zeros(0, dtype=np.int32)
        self._searched = 0  # characters of the tail that hold no certain place
        self._settled = 0  # pieces before the tail

    def push(self, text: str) -> Change:
        """text (str): What comes next.
        RETURNS (Change): What it changes.
        RAISES (ScoringError): It holds half of a surrogate pair. Nothing was changed.
        """
        tail = self._tail + text
        part = Part(self.n_chars - len(self._tail), self.tokenizer.encode(tail), None)
        ids, ends = part.tokens.ids, part.ends
        shared = min(len(ids), len(self._tail_ids))
        differ = np.flatnonzero(ids[:shared] != self._tail_ids[:shared])
        same = int(differ[0]) if len(differ) else shared
        kept = self._settled + same
        self._tail, self._tail_ids = tail, ids
        self.n_chars += len(text)
        self._settle(part)
        return Change(kept, ids[same:], ends[same:], self._settled)

    def close(self) -> int:
        """Nothing more comes.

        RETURNS (int): How many pieces there are.
        """
        self._settled += len(self._tail_ids)
        self._tail, self._tail_ids = "", self._tail_ids[:0]
        return self._settled

    def _settle(self, part: Part) -> None:
        """Leave behind what is certain."""
        for place in self._certain_places(part):
            piece = int(np.searchsorted(part.starts, part.start + place))
            rest = self.tokenizer.encode(self._tail[place:]).ids
            forced = len(self._tail) > 2 * _MAX_CHARS
            if forced or np.array_equal(rest, self._tail_ids[piece:]):
                self._tail, self._tail_ids = self._tail[place:], rest
                self._settled += piece
                break
        self._searched = len(self._tail)

    def _certain_places(self, part: Part) -> list[int]:
        """Where the tail may be cut: the end of its last whole word, if it has one."""
        tail = self._tail
        if self.tokenizer.cuts_words:
            for place in range(len(tail) - 1, max(self._searched - 1, 0), -1):
                if _ends_word(tail[place - 1], tail[place]):
                    return [place]
        if len(tail) <= _MAX_CHARS:
            return []
        near = part.start + len(tail) - _MAX_CHARS // 2
        last = int(np.searchsorted(part.starts, near))
        starts = part.starts[max(1, last - 2) : last] - part.start
        return [int(start) for start in starts if start > 0]


def _ends_word(left: str, right: str) -> bool:
    """Whether a word or number ends between two characters, in every pattern that
    tokenizers cut by, and no normalization joins them."""
    if right in _APOSTROPHES or unicodedata.category(left)[0] not in "LN":
        return False
    return right in "\r\n\t" or unicodedata.category(right)[0] in "ZPS"
