"""Whether a tokenizer can drop text without a trace.

A guard that never sees a part of a text would call it safe. So tokenizers are checked
twice: by their structure when they are loaded, and by the characters that their tokens
cover for every text.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from unicodedata import combining, normalize

import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

from ...errors import Errors, ScoringError
from .normalize import is_hidden, starts_cluster

# Normalizers that rewrite text and lose nothing visible.
_NORMALIZERS = {
    *("NFC", "NFD", "NFKC", "NFKD", "Lowercase"),
    *("Prepend", "ByteLevel", "Replace", "Sequence"),
}

_MOST_ADDED = 16  # characters for each that is replaced, or for a text

# Pre-tokenizers that split text and drop whitespace at most.
_PRE_TOKENIZERS = {
    *("ByteLevel", "Metaspace", "Split", "Punctuation", "Digits", "UnicodeScripts"),
    *("Whitespace", "WhitespaceSplit", "Sequence"),
}

# Those of them that drop nothing at all.
_KEEP_ALL = {
    "ByteLevel",
    "Split",
    "Punctuation",
    "Digits",
    "UnicodeScripts",
    "Sequence",
}


def find_loss(tokenizer: Mapping[str, Any]) -> str | None:
    """Find out from its structure whether a tokenizer can drop text, or drown it in
    other text.

    tokenizer (Mapping[str, Any]): The content of a `tokenizer.json`.
    RETURNS (Optional[str]): Where it can; None if it can't.
    """
    normalizers = list(flatten_steps(tokenizer.get("normalizer"), "normalizers"))
    splitters = list(flatten_steps(tokenizer.get("pre_tokenizer"), "pretokenizers"))
    for step in normalizers:
        if step.get("type") not in _NORMALIZERS or _deletes(step):
            return f"its normalizer '{step.get('type')}' can drop characters"
    for step in splitters:
        dropped = str(step.get("behavior")).lower() == "removed"
        if step.get("type") not in _PRE_TOKENIZERS or dropped:
            return f"its pre-tokenizer '{step.get('type')}' can drop characters"
    if (added := _count_added(normalizers)) > _MOST_ADDED:
        return f"its normalizers add up to {added} characters"
    types = {step.get("type") for step in (*normalizers, *splitters)}
    return _loss_of_model(tokenizer["model"], byte_level="ByteLevel" in types)


def _loss_of_model(model: Mapping[str, Any], *, byte_level: bool) -> str | None:
    if model.get("dropout"):
        return "it drops merges at random"
    vocab = model.get("vocab") or {}
    if "unk_id" in model:
        known = model["unk_id"] is not None
    else:
        known = model.get("unk_token") is not None and model["unk_token"] in vocab
    affixes = ("continuing_subword_prefix", "end_of_word_suffix")
    if known:
        return None
    if byte_level and not any(model.get(affix) for affix in affixes):
        missing = sum(character not in vocab for character in ByteLevel.alphabet())
    elif model.get("byte_fallback"):
        missing = sum(f"<0x{byte:02X}>" not in vocab for byte in range(256))
    else:
        return "it has neither all bytes nor an unknown token"
    return f"it lacks tokens for {missing} of 256 bytes" if missing else None


def find_shared_id(tokenizer: Mapping[str, Any]) -> str | None:
    """tokenizer (Mapping[str, Any]): The content of a `tokenizer.json`.
    RETURNS (Optional[str]): What is wrong if two of its tokens have the same id, so
        that a model couldn't tell them apart; None if none do."""
    vocab = tokenizer["model"].get("vocab")
    if not isinstance(vocab, Mapping) or len(set(vocab.values())) == len(vocab):
        return None  # in a list, the position is the id
    return "two tokens of its vocabulary have the same id"


def flatten_steps(step: Any, key: str) -> Iterator[Mapping[str, Any]]:
    """step (Optional[Mapping[str, Any]]): A normalizer, a pre-tokenizer or a
        post-processor of a `tokenizer.json`.
    key (str): Where a sequence has its steps.
    YIELDS (Mapping[str, Any]): It, and the steps inside of it, in order."""
    if step is None:
        return
    yield step
    for inner in step.get(key) or ():
        yield from flatten_steps(inner, key)


def _count_added(normalizers: Iterable[Mapping[str, Any]]) -> int:
    """How many characters normalizers make of one at most, and add to a text."""
    grown, added = 1, 0
    for step in normalizers:
        grown *= max(1, len(str(step.get("content") or "")))
        added = added * max(1, len(str(step.get("content") or "")))
        added += len(str(step.get("prepend") or ""))
    return max(grown, added)


def _deletes(step: Mapping[str, Any]) -> bool:
    """Whether a normalizer can replace something visible by nothing visible, or words
    by fewer letters."""
    if step.get("type") != "Replace":
        return False
    content, pattern = step.get("content") or "", step.get("pattern") or {}
    if "String" not in pattern or not any(map(needs_token, content)):
        return True
    return _count_letters(pattern["String"]) > _count_letters(content)


def _count_letters(text: str) -> int:
    return sum(map(str.isalnum, text))


@dataclass(frozen=True)
class ByteCounts:
    """How many bytes of a text the tokens of a byte-level tokenizer stand for. They can
    only be all of them if no character was dropped, which is known without offsets."""

    by_id: np.ndarray  # (n_ids,) int64, the bytes of each token
    composes: bool  # the bytes are those of the text in NFC

    @classmethod
    def of(cls, tokenizer: Mapping[str, Any]) -> "ByteCounts | None":
        """tokenizer (Mapping[str, Any]): The content of a `tokenizer.json`.
        RETURNS (Optional[ByteCounts]): None if its tokens don't stand for bytes, or if
            it rewrites a text otherwise than to NFC."""
        normalizers = list(flatten_steps(tokenizer.get("normalizer"), "normalizers"))
        splitters = list(flatten_steps(tokenizer.get("pre_tokenizer"), "pretokenizers"))
        model, alphabet = tokenizer["model"], set(ByteLevel.alphabet())
        vocab = model.get("vocab") or {}
        to_bytes = [step for step in splitters if step.get("type") == "ByteLevel"]
        if (
            not isinstance(vocab, Mapping)
            or not alphabet.issuperset("".join(vocab))
            or any(step.get("type") not in ("NFC", "Sequence") for step in normalizers)
            or {step.get("type") for step in splitters} - _KEEP_ALL
            or [step.get("add_prefix_space") for step in to_bytes] != [False]
        ):
            return None
        by_id = np.zeros(max(vocab.values(), default=-1) + 1, dtype=np.int64)
        by_id[list(vocab.values())] = list(map(len, vocab))
        composes = any(step.get("type") == "NFC" for step in normalizers)
        return cls(by_id, composes)

    def cover(
        self, texts: Sequence[str], ids: np.ndarray, bounds: np.ndarray
    ) -> np.ndarray:
        """texts (Sequence[str]): Texts.
        ids (ndarray): The tokens of all of them.
        bounds (ndarray): (n_texts + 1,), where those of each text begin and end.
        RETURNS (ndarray): (n_texts,) bool, whether they stand for as many bytes as the
            text has. False where that takes too long to find out."""
        ends = np.append(0, np.cumsum(self.by_id.take(ids)))[bounds]
        return np.diff(ends) == [self._count(text) for text in texts]

    def locate(self, text: str, ids: np.ndarray) -> np.ndarray:
        """text (str): A text.
        ids (ndarray): Its tokens, which stand for its bytes as they are.
        RETURNS (ndarray): (n_tokens, 2) int32, the characters of which each token has
            at least one byte, half-open."""
        n_bytes = self.by_id.take(ids)
        ends = np.cumsum(n_bytes)
        spans = np.stack((ends - n_bytes, ends), axis=1)
        if not text.isascii():
            codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
            widths = np.searchsorted((0x80, 0x800, 0x10000), codes, side="right") + 1
            characters = np.arange(len(text)).repeat(widths)
            first, last = characters[spans[:, 0]], characters[spans[:, 1] - 1]
            spans = np.stack((first, last + 1), axis=1)
        return spans.astype(np.int32)

    def _count(self, text: str) -> int:
        if text.isascii():
            return len(text)
        if self.composes and has_many_marks(text):
            return -1
        return len((normalize("NFC", text) if self.composes else text).encode())


def has_many_marks(text: str) -> bool:
    """text (str): Any text.
    RETURNS (bool): Whether Python would need quadratic time for NFC."""
    # Most texts have no mark at all, and a search for a few ranges is 30 times as fast.
    return bool(_MAY_BE_MARK.search(text) and _many_marks().search(text))


# All combining marks, and many other characters.
_MAY_BE_MARK = re.compile("[\u0300-\u1fff\u2070-\U0010ffff]")


@cache
def _many_marks() -> re.Pattern[str]:
    """More marks on a letter than any language has."""
    marks = filter(combining, map(chr, range(0x20000)))
    return re.compile(f"[{''.join(marks)}]{{33}}")


def find_uncovered(text: str, offsets: np.ndarray) -> int | None:
    """Find a visible character that no token stands for.

    text (str): The text.
    offsets (ndarray): (n_tokens, 2), the characters of each token.
    RETURNS (Optional[int]): The offset of the first one; None if all are covered.
        Whitespace, invisible characters, and marks that normalization merged into the
        character before them need no token.
    """
    ends = np.maximum.accumulate(offsets[:, 1])
    starts = np.append(offsets[:, 0], len(text))
    gaps = np.flatnonzero(starts > np.append(0, ends))
    for i in gaps:
        for offset in range(ends[i - 1] if i else 0, starts[i]):
            if needs_token(text[offset]):
                return offset
    return None


def check_covered(text: str, offsets: np.ndarray) -> None:
    """text (str), offsets (ndarray): As for `find_uncovered`.
    RAISES (ScoringError): No token stands for one of its visible characters."""
    uncovered = find_uncovered(text, offsets)
    if uncovered is not None:
        raise ScoringError(Errors.E057.format(offset=uncovered))


def needs_token(character: str) -> bool:
    """character (str): One character.
    RETURNS (bool): Whether it's visible, so that a text with it is not empty."""
    if character.isspace() or is_hidden(character):
        return False
    return starts_cluster(character)


def characters_of(text: str) -> str:
    """text (str): A string, maybe of a subclass such as `markupsafe.Markup`, whose own
        methods can return something other than its characters.
    RETURNS (str): Its characters."""
    return str.__str__(text)
