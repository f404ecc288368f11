"""Tokenizing several texts at once, in two steps: what works without Python's lock,
while other threads go on, and what needs it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ...errors import ScoringError
from .byte_pairs import BytePairs, is_stable
from .lossless import ByteCounts, check_covered
from .parallel import divide, encode_all, is_panic
from .tokens import Locate, Tokens, join_ids, read_offsets

# Texts of more characters may have to be tokenized in parts.
MOST_AT_ONCE = 2**14

# Characters that are tokenized at once: encodings of `tokenizers` take several times
# the memory of tokens. Enough for all its threads: some wait for the longest text.
_MAX_CHARS = 2**18


@dataclass(frozen=True)
class BegunBatch:
    """Texts that were tokenized, before it is known whether their tokens stand for all
    that is visible of them."""

    texts: Sequence[str]
    ids: np.ndarray  # of all of them, int32
    bounds: np.ndarray  # (n_texts + 1,), where those of each begin and end
    # (n_tokens, 2) of some of them, by their index
    offsets: Mapping[int, np.ndarray] = field(default_factory=dict)
    by_bytes: bool = False  # each token stands for bytes of the text as it is


@dataclass(frozen=True)
class BatchTokenizer:
    """Tokenizes several texts at once."""

    backend: Tokenizer  # without truncation and padding, so that it has no state
    counts: ByteCounts | None  # None: only offsets tell what the tokens stand for
    pairs: BytePairs | None  # tokenizes most texts, if not None, and the backend others
    encode: Callable[[str], Tokens]  # tokenizes one text

    def begin(
        self,
        texts: Iterable[str],
        *,
        offsets: Callable[[str], bool],
        least: int = 0,
        in_threads: bool = True,
    ) -> list[BegunBatch]:
        """Tokenize texts while other Python threads go on.

        texts (Iterable[str]): Any texts. Those that are too long for this, and those
            that can't be tokenized together with the others, are left out.
        offsets (Callable), least (int), in_threads (bool): As for
            `TextTokenizer.encode_batch`.
        RETURNS (List[BegunBatch]): The tokens of the texts.
        """
        by_pairs: list[str] = []
        located: list[str] = []
        others: list[str] = []
        for text in texts:
            if len(text) > MOST_AT_ONCE:
                continue
            if self.pairs is not None and is_stable(text):
                by_pairs.append(text)
            elif in_threads:
                needed = self.counts is None or offsets(text)
                (located if needed else others).append(text)
        return [
            *_in_groups(self._encode_pairs, by_pairs),
            *_in_groups(partial(self._encode_located, least), located),
            *_in_groups(self._encode, others),
        ]

    def _encode_pairs(self, texts: Sequence[str]) -> BegunBatch:
        assert self.pairs is not None
        return BegunBatch(texts, *self.pairs.encode(texts), by_bytes=True)

    def _encode(self, texts: Sequence[str]) -> BegunBatch:
        encodings = encode_all(self.backend, texts, offsets=False)
        return BegunBatch(texts, *join_ids([encoding.ids for encoding in encodings]))

    def _encode_located(self, least: int, texts: Sequence[str]) -> BegunBatch:
        encodings = encode_all(self.backend, texts, offsets=True)
        ids, bounds = join_ids([encoding.ids for encoding in encodings])
        least = 0 if self.counts is None else least  # nothing else tells what's covered
        # Now, since an encoding is large.
        offsets = {
            i: read_offsets(encodings[i])
            for i, n_tokens in enumerate(np.diff(bounds).tolist())
            if n_tokens >= least
        }
        return BegunBatch(texts, ids, bounds, offsets)

    def finish(self, begun: Iterable[BegunBatch]) -> dict[str, Tokens | Exception]:
        """begun (Iterable[BegunBatch]): From `begin`.
        RETURNS (Dict[str, Union[Tokens, Exception]]): What `encode` returns or raises
            for their texts."""
        results: dict[str, Tokens | Exception] = {}
        for batch in begun:
            texts, ids, bounds = batch.texts, batch.ids, batch.bounds
            covered: Sequence[bool] = [False] * len(texts)
            if self.counts is not None:
                covered = self.counts.cover(texts, ids, bounds).tolist()
            locate: Locate = self._locate
            if batch.by_bytes and self.counts is not None:
                locate = self.counts.locate
            spans = pairwise(bounds.tolist())
            for i, (text, (start, stop)) in enumerate(zip(texts, spans, strict=True)):
                tokens = Tokens(ids[start:stop], text, locate)
                if i in batch.offsets:
                    tokens = replace(tokens, locate=partial(_return, batch.offsets[i]))
                if covered[i]:
                    results[text] = tokens
                elif i in batch.offsets:
                    results[text] = _checked(tokens)
                else:  # look at its offsets
                    results[text] = self.try_encode(text)
        return results

    def try_encode(self, text: str) -> Tokens | Exception:
        """text (str): Any text.
        RETURNS (Union[Tokens, Exception]): What `encode` returns or raises."""
        try:
            return self.encode(text)
        except Exception as e:
            return e

    def _locate(self, text: str, _: np.ndarray) -> np.ndarray:
        return self.encode(text).offsets


def _in_groups(
    encode: Callable[[Sequence[str]], BegunBatch], texts: Iterable[str]
) -> Iterator[BegunBatch]:
    """Tokenize texts in groups, and leave out one that fails: whoever needs its texts
    meets the error again."""
    for group in divide(texts, len, most=_MAX_CHARS):
        try:
            yield encode(group)
        except BaseException as e:
            if not isinstance(e, Exception) and not is_panic(e):
                raise


def _checked(tokens: Tokens) -> Tokens | Exception:
    try:
        check_covered(tokens.text, tokens.offsets)
    except ScoringError as e:
        return e
    return tokens


def _return(value: np.ndarray, *_: Any) -> np.ndarray:
    return value
