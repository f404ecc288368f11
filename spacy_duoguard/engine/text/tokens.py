"""The tokens of a text, as arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain

import numpy as np
from tokenizers import Encoding

Locate = Callable[
    [str, np.ndarray], np.ndarray
]  # from a text and the ids of its tokens


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text, without those that the post-processor adds."""

    ids: np.ndarray  # (n_tokens,) int32
    text: str
    locate: Locate

    @cached_property
    def offsets(self) -> np.ndarray:
        """RETURNS (ndarray): (n_tokens, 2) int32, character offsets, half-open."""
        return self.locate(self.text, self.ids)

    @property
    def n_chars(self) -> int:
        """RETURNS (int): The characters of the text."""
        return len(self.text)

    def char_span(self, start: int, stop: int) -> tuple[int, int]:
        """The characters that a run of tokens covers. A token's own offsets can leave
        out characters that normalization merged into it: they belong to the token
        before them.

        start (int): The first token.
        stop (int): One after the last token.
        RETURNS (Tuple[int, int]): Start and end offset.
        """
        left = int(self.offsets[start:stop, 0].min()) if start else 0
        if stop == len(self.ids):
            return left, self.n_chars
        right = int(self.offsets[start:stop, 1].max())
        return left, max(right, int(self.offsets[stop, 0]))


def join_ids(ids: Sequence[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """ids (Sequence[List[int]]): The ids of several encodings.
    RETURNS (Tuple[ndarray, ndarray]): All of them, int32, and the bounds of each list.
    """
    bounds = np.array([0, *accumulate(map(len, ids))])
    return np.fromiter(chain.from_iterable(ids), np.int32, bounds[-1]), bounds


def read_offsets(encoding: Encoding) -> np.ndarray:
    """encoding (Encoding): An encoding with offsets.
    RETURNS (ndarray): (n_tokens, 2) int32, its character offsets."""
    flat = chain.from_iterable(encoding.offsets)
    return np.fromiter(flat, np.int32).reshape(-1, 2)
