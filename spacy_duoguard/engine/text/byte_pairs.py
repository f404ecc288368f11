"""Tokenizing with `tiktoken`, in a fifth of the time that `tokenizers` takes.

It finds the same tokens if a tokenizer is byte-level BPE like that of Qwen2.5, and all
versions of Unicode agree on the text. `tokenizers` merges the pairs that it lists, and
`tiktoken` all that spell a token: the same ones, if each token can be reached.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
import tiktoken
from tokenizers.pre_tokenizers import ByteLevel

from .lossless import flatten_steps, has_many_marks
from .parallel import no_fork

# How Qwen2 and Qwen2.5 split a text. Both libraries find the same words with it, which
# their dialects of regular expressions don't promise for others.
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLIT_WORDS = {
    "type": "Split",
    "pattern": {"Regex": _PATTERN},
    "behavior": "Isolated",
    "invert": False,
}
_TO_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}

# Settings of BPE that do something else than merge pairs.
_OTHER_STEPS = (
    "dropout",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "byte_fallback",
    "ignore_merges",
)

_SEPARATOR = "\ufdd0"  # not a character, so that no text with it is stable

# The planes after the first, without the blocks of emoji in which all is defined. `re`
# looks these ranges up one after another.
_RARE = "\U00010000-\U0001f2ff\U0001f650-\U0001f8ff\U0001fa00-\U0010ffff"


# Latin letters of Europe's languages, and signs between words: stable, and found fast.
_NOT_LATIN = re.compile("[^\0-\u017f\u2010-\u2027\u20ac]")


@dataclass(frozen=True)
class BytePairs:
    """Tokenizes texts one after another, without Python's lock and without threads."""

    encoding: tiktoken.Encoding
    id_by_rank: np.ndarray  # (n_tokens,) int32

    @classmethod
    def of(cls, tokenizer: Mapping[str, Any]) -> "BytePairs | None":
        """tokenizer (Mapping[str, Any]): The content of a `tokenizer.json`.
        RETURNS (Optional[BytePairs]): None if `tiktoken` may find other tokens, or if
            their offsets aren't those of their bytes."""
        if not _is_like_qwen(tokenizer):
            return None
        model, alphabet = tokenizer["model"], _byte_characters()
        try:
            ranks, pairs = _read_merges(alphabet, model.get("merges") or ())
            ids = [model["vocab"][token] for token in ranks]
        except (KeyError, TypeError, ValueError):
            return None
        if not all_reached(pairs):
            return None
        to_bytes = {ord(character): byte for byte, character in enumerate(alphabet)}
        _unstable()  # so that each fork needn't make it
        spelled = "\uffff".join(ranks).translate(to_bytes).split("\uffff")
        encoding = tiktoken.Encoding(
            "byte pairs",
            pat_str=_PATTERN,
            mergeable_ranks={
                token.encode("latin-1"): rank for rank, token in enumerate(spelled)
            },
            special_tokens={_SEPARATOR: len(ranks)},
        )
        return cls(encoding, np.array(ids, dtype=np.int32))

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """texts (Sequence[str]): One text or more, of which `is_stable` is true.
        RETURNS (Tuple[ndarray, ndarray]): The ids of all of them, int32, and
            (n_texts + 1,) where those of each text begin and end.
        RAISES (ValueError): They aren't stable.
        RAISES (BaseException): What `tiktoken` raises for any of the texts.
        """
        with no_fork():
            ranks = self.encoding.encode_to_numpy(
                _SEPARATOR.join(texts),
                allowed_special={_SEPARATOR},
                disallowed_special=(),
            )
        is_separator = ranks == len(self.id_by_rank)
        ends = np.append(np.flatnonzero(is_separator), len(ranks))
        if len(ends) != len(texts):
            raise ValueError(f"separators divide {len(ends)} texts, not {len(texts)}")
        bounds = np.append(0, ends - np.arange(len(ends)))
        return self.id_by_rank.take(ranks[~is_separator]), bounds


def is_stable(text: str) -> bool:
    """text (str): Any text.
    RETURNS (bool): Whether it's in NFC, and has the same letters, digits, marks and
        spaces in every version of Unicode since 3.2. False where that takes too long to
        find out."""
    if text.isascii() or not _NOT_LATIN.search(text):
        return True
    if _unstable().search(text) or has_many_marks(text):
        return False
    return unicodedata.is_normalized("NFC", text)


def all_reached(pairs: np.ndarray) -> bool:
    """Check that merging the bytes of a token gives this token, for each of them.

    A merge is done at the time of its rank, as its parts have lower ones. A token isn't
    reached if the last token of its left part, as it is at some time, and the first of
    its right part are merged with each other. So each pair of them that exist at the
    same time is looked up, from the last time to the first. Of equal pairs, the left
    one is merged first.

    pairs (ndarray): (n_merges, 2), the ranks of the parts: up to 255 for bytes, then
        those of merges.
    RETURNS (bool): Whether all tokens are reached.
    """
    n_ranks = 256 + len(pairs)
    parts = np.concatenate((np.arange(256).repeat(2).reshape(-1, 2), pairs))
    keys = pairs[:, 0] * n_ranks + pairs[:, 1]
    order = np.argsort(keys)
    keys = keys[order]
    left, right = pairs.T
    while True:
        is_merged = np.maximum(left, right) >= 256
        left, right = left[is_merged], right[is_merged]
        if not len(left):
            return True
        is_left = left > right  # whether it's the left one that was merged last
        limit = np.where(is_left, left, right + 1)
        left, right = (
            np.where(is_left, parts[left, 1], left),
            np.where(is_left, right, parts[right, 0]),
        )
        key = left * n_ranks + right
        at = np.searchsorted(keys, key).clip(max=len(keys) - 1)
        if np.any((keys[at] == key) & (256 + order[at] < limit)):
            return False


def _is_like_qwen(tokenizer: Mapping[str, Any]) -> bool:
    """Whether a tokenizer changes, splits and merges texts as that of Qwen2.5 does."""
    model = tokenizer["model"]
    if model.get("type") != "BPE" or any(map(model.get, _OTHER_STEPS)):
        return False
    if tokenizer.get("normalizer") not in (None, {"type": "NFC"}):
        return False
    last = flatten_steps(tokenizer.get("post_processor"), "processors")
    if any(step.get("trim_offsets") for step in last):
        return False
    splitters = flatten_steps(tokenizer.get("pre_tokenizer"), "pretokenizers")
    steps = [step for step in splitters if step.get("type") != "Sequence"]
    expected = (_SPLIT_WORDS, _TO_BYTES)
    return len(steps) == len(expected) and all(
        {**step, **settings} == step
        for step, settings in zip(steps, expected, strict=True)
    )


def _byte_characters() -> list[str]:
    """RETURNS (List[str]): The character that stands for each byte."""
    alphabet = sorted(ByteLevel.alphabet())
    others = iter(character for character in alphabet if ord(character) > 255)
    known = set(alphabet)
    return [chr(byte) if chr(byte) in known else next(others) for byte in range(256)]


def _read_merges(
    alphabet: Iterable[str], merges: Iterable[Any]
) -> tuple[dict[str, int], np.ndarray]:
    """alphabet (Iterable[str]): The characters for bytes.
    merges (Iterable[Union[str, List[str]]]): The merges of a `tokenizer.json`.
    RETURNS (Tuple[Dict[str, int], ndarray]): The rank of each token, and (n_merges, 2)
        those of its parts.
    RAISES (KeyError): A part has a higher rank than its token.
    RAISES (ValueError): A merge isn't a pair, or two of them give the same token."""
    ranks = {character: rank for rank, character in enumerate(alphabet)}
    pairs = []
    for merge in merges:
        if isinstance(merge, str) and merge.startswith("#version"):
            raise ValueError("`tokenizers` skips this merge")
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        token = left + right
        if token in ranks:
            raise ValueError("two merges give the same token")
        pairs.append((ranks[left], ranks[right]))
        ranks[token] = len(ranks)
    return ranks, np.array(pairs, dtype=np.int64).reshape(-1, 2)


@cache
def _unstable() -> re.Pattern[str]:
    """Characters whose class depends on the version of Unicode, and surrogates."""
    codes = [code for code in range(0x10000) if not _has_one_class(chr(code))]
    runs = groupby(enumerate(codes), key=lambda pair: pair[1] - pair[0])
    ranges = [[code for _, code in run] for _, run in runs]
    inside = "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in ranges)
    return re.compile(f"[{inside}{_RARE}]")


def _has_one_class(character: str) -> bool:
    """Whether a character has always been a letter, a mark, a digit or a space, or none
    of them, as one that isn't defined yet."""
    now = unicodedata.category(character)
    before = unicodedata.ucd_3_2_0.category(character)
    return now not in ("Cn", "Cs") and _class(now) == _class(before)


def _class(category: str) -> str:
    return category[0] if category[0] in "LMNZ" else ""
