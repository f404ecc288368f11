"""Tokenizing several texts at once, in two steps: what works without Python's lock,
while other threads go on, and what needs it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np
from tokenizers import Tokenizer

from ...errors import ScoringError
from .lossless import ByteCounts, check_covered, has_fixed_bytes
from .parallel import divide, encode_all, encode_in_turn, is_panic
from .tokens import Tokens, join_ids, read_offsets

# Texts of more characters may have to be tokenized in parts.
MOST_AT_ONCE = 2**14

# Characters that are tokenized at once: encodings take several times the memory of
# tokens. Enough for all cores, of which some have to wait for the longest text.
_MAX_CHARS = 2**18


@dataclass(frozen=True)
class BegunBatch:
    """Texts that were tokenized, before it is known whether their tokens stand for all
    that is visible of them."""

    texts: Sequence[str]
    ids: np.ndarray  # of all of them, int32
    bounds: np.ndarray | None  # (n_texts + 1,); None if only the bytes of texts tell
    # (n_tokens, 2) of some of them, by their index
    offsets: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchTokenizer:
    """Tokenizes several texts at once."""

    backend: Tokenizer  # without truncation and padding, so that it has no state
    counts: ByteCounts | None  # None: only offsets tell what the tokens stand for
    encode: Callable[[str], Tokens]  # tokenizes one text

    def begin(
        self,
        texts: Iterable[str],
        *,
        offsets: Callable[[str], bool],
        least: int = 0,
        in_turn: bool = False,
    ) -> list[BegunBatch]:
        """Tokenize texts while other Python threads go on.

        texts (Iterable[str]): Any texts. Those that are too long for this, and those
            that can't be tokenized together with the others, are left out.
        offsets (Callable), least (int): As for `TextTokenizer.encode_batch`.
        in_turn (bool): Leave the other cores to the other threads where possible.
        RETURNS (List[BegunBatch]): The tokens of the texts.
        """
        begun: list[BegunBatch] = []
        groups: dict[bool, list[str]] = {}
        for text in texts:
            if len(text) <= MOST_AT_ONCE:
                located = self.counts is None or offsets(text)
                # All others in one group: each one costs Python's lock once more.
                located |= in_turn and not has_fixed_bytes(text)
                groups.setdefault(located, []).append(text)
        for located, members in groups.items():
            for group in divide(members, len, most=_MAX_CHARS):
                try:
                    joined = in_turn and not located
                    batch = self._begin(group, located, least, joined=joined)
                except BaseException as e:
                    if not isinstance(e, Exception) and not is_panic(e):
                        raise
                    continue  # whoever needs these texts meets it again
                begun.append(batch)
        return begun

    def _begin(
        self, texts: Sequence[str], located: bool, least: int, *, joined: bool
    ) -> BegunBatch:
        if joined:
            all_ids = encode_in_turn(self.backend, texts)
            return BegunBatch(texts, np.array(all_ids, dtype=np.int32), None)
        encodings = encode_all(self.backend, texts, offsets=located)
        ids, bounds = join_ids([encoding.ids for encoding in encodings])
        sizes = np.diff(bounds).tolist() if located else ()
        least = 0 if self.counts is None else least  # nothing else tells what's covered
        # Now, since an encoding is large.
        offsets = {
            i: read_offsets(encodings[i]) for i, n in enumerate(sizes) if n >= least
        }
        return BegunBatch(texts, ids, bounds, offsets)

    def finish(self, begun: Iterable[BegunBatch]) -> dict[str, Tokens | Exception]:
        """begun (Iterable[BegunBatch]): From `begin`.
        RETURNS (Dict[str, Union[Tokens, Exception]]): What `encode` returns or raises
            for the texts. Some can be missing, and have to be tokenized alone."""
        results: dict[str, Tokens | Exception] = {}
        encode_again = self._locate
        for batch in begun:
            bounds, covered = self._divide(batch)
            if bounds is None:
                continue
            rows = zip(batch.texts, pairwise(bounds.tolist()), covered, strict=True)
            for i, (text, (start, stop), is_covered) in enumerate(rows):
                offsets = batch.offsets.get(i)
                if offsets is None and not is_covered:  # look at its offsets
                    results[text] = self.try_encode(text)
                    continue
                locate = encode_again if offsets is None else partial(_return, offsets)
                tokens = Tokens(batch.ids[start:stop], text, locate)
                results[text] = tokens if is_covered else _checked(tokens)
        return results

    def try_encode(self, text: str) -> Tokens | Exception:
        """text (str): Any text.
        RETURNS (Union[Tokens, Exception]): What `encode` returns or raises."""
        try:
            return self.encode(text)
        except Exception as e:
            return e

    def _divide(self, batch: BegunBatch) -> tuple[np.ndarray | None, Sequence[bool]]:
        """Where the tokens of each text begin and end, if that's known, and whether
        they are known to cover it."""
        texts, bounds, counts = batch.texts, batch.bounds, self.counts
        if counts is None:
            return bounds, [False] * len(texts)
        if bounds is None:
            return counts.find_bounds(texts, batch.ids), [True] * len(texts)
        return bounds, counts.cover(texts, batch.ids, bounds).tolist()

    def _locate(self, text: str) -> np.ndarray:
        return self.encode(text).offsets


def _checked(tokens: Tokens) -> Tokens | Exception:
    try:
        check_covered(tokens.text, tokens.offsets)
    except ScoringError as e:
        return e
    return tokens


def _return(value: np.ndarray, _: str) -> np.ndarray:
    return value
