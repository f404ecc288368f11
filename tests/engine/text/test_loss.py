"""Which structures of a tokenizer can drop text, and which let its bytes be counted."""

import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel as _ByteLevel

from spacy_duoguard.engine.text.lossless import (
    ByteCounts,
    characters_of,
    find_loss,
    find_shared_id,
    find_uncovered,
    needs_token,
)

ALPHABET = sorted(_ByteLevel.alphabet())
BYTES = {character: i for i, character in enumerate(ALPHABET)}
FALLBACK = {f"<0x{byte:02X}>": byte for byte in range(256)}
NEITHER = "it has neither all bytes nor an unknown token"
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False}


def sequence(key, *steps):
    return {"type": "Sequence", key: list(steps)}


def normalizers(*steps):
    return sequence("normalizers", *steps)


def pretokenizers(*steps):
    return sequence("pretokenizers", *steps)


def tokenizer(normalizer=None, pre_tokenizer=BYTE_LEVEL, **model):
    parts = {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer}
    return {**parts, "model": {"vocab": BYTES, **model}}


def without(vocab, *tokens):
    return {token: id_ for token, id_ in vocab.items() if token not in tokens}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (tokenizer(), None),
        (tokenizer({"type": "ByteLevel"}, None), None),
        (tokenizer(pre_tokenizer=None), NEITHER),
        (
            tokenizer(vocab=without(BYTES, ALPHABET[0], ALPHABET[255])),
            "it lacks tokens for 2 of 256 bytes",
        ),
        (tokenizer(vocab=None), "it lacks tokens for 256 of 256 bytes"),
        (tokenizer(continuing_subword_prefix=""), None),
        (tokenizer(continuing_subword_prefix="##"), NEITHER),
        (tokenizer(end_of_word_suffix="</w>"), NEITHER),
        (tokenizer(end_of_word_suffix=None), None),
        (tokenizer(None, None, vocab=FALLBACK, byte_fallback=True), None),
        (tokenizer(None, None, vocab=FALLBACK, byte_fallback=False), NEITHER),
        (
            tokenizer(
                None, None, vocab=without(FALLBACK, "<0x00>"), byte_fallback=True
            ),
            "it lacks tokens for 1 of 256 bytes",
        ),
        (
            tokenizer(
                None, None, vocab=without(FALLBACK, "<0xFF>"), byte_fallback=True
            ),
            "it lacks tokens for 1 of 256 bytes",
        ),
        (tokenizer(None, None, vocab={"a": 0, "<unk>": 1}, unk_token="<unk>"), None),
        (tokenizer(None, None, vocab={"a": 0}, unk_token="<unk>"), NEITHER),
        (tokenizer(None, None, vocab={"a": 0}, unk_token=None), NEITHER),
        (tokenizer(None, None, vocab=[["a", 0.0]], unk_id=0), None),
        (tokenizer(None, None, vocab=[["a", 0.0]], unk_id=None), NEITHER),
        (
            tokenizer(None, None, vocab={"<unk>": 0}, unk_id=None, unk_token="<unk>"),
            NEITHER,
        ),
        (tokenizer(dropout=0.1), "it drops merges at random"),
        (tokenizer(dropout=0.1, unk_id=0), "it drops merges at random"),
        (tokenizer(dropout=0.0), None),
        (tokenizer(dropout=None), None),
    ],
)
def test_a_model_has_a_token_for_everything(settings, expected):
    assert find_loss(settings) == expected


@pytest.mark.parametrize(
    ("step", "is_kept"),
    [
        *(({"type": name}, True) for name in ("NFC", "NFD", "NFKC", "NFKD")),
        *(({"type": name}, True) for name in ("Lowercase", "Prepend", "ByteLevel")),
        *(({"type": name}, False) for name in ("Strip", "StripAccents", None)),
        ({}, False),
        ({"type": "Replace", "pattern": {"String": "a"}, "content": "b"}, True),
        ({"type": "Replace", "pattern": {"String": "a"}, "content": " b"}, True),
        ({"type": "Replace", "pattern": {"String": "a"}, "content": " "}, False),
        ({"type": "Replace", "pattern": {"String": "a"}, "content": ""}, False),
        ({"type": "Replace", "pattern": {"String": "a"}}, False),
        ({"type": "Replace", "pattern": {"Regex": "a"}, "content": "b"}, False),
        ({"type": "Replace", "content": "b"}, False),
        ({"type": "Replace", "pattern": {"String": "to kill"}, "content": "a"}, False),
        ({"type": "Replace", "pattern": {"String": "``"}, "content": '"'}, True),
    ],
)
def test_a_normalizer_keeps_what_is_visible(step, is_kept):
    problem = f"its normalizer '{step.get('type')}' can drop characters"
    expected = None if is_kept else problem
    for normalizer in (
        step,
        normalizers(step),
        normalizers({"type": "NFC"}, normalizers({"type": "NFC"}, step)),
    ):
        assert find_loss(tokenizer(normalizer)) == expected


@pytest.mark.parametrize(
    "step",
    [
        {"type": "Prepend", "prepend": "x" * 17},
        {"type": "Replace", "pattern": {"String": "a"}, "content": "x" * 17},
    ],
)
def test_a_normalizer_does_not_drown_a_text(step):
    problem = "its normalizers add up to 17 characters"
    assert find_loss(tokenizer(normalizers({"type": "NFC"}, step))) == problem
    double = {"type": "Replace", "pattern": {"String": "e"}, "content": "ee"}
    problem = "its normalizers add up to 32 characters"
    assert find_loss(tokenizer(normalizers(*[double] * 5))) == problem
    assert find_loss(tokenizer(normalizers(*[double] * 4))) is None
    fewer = {k: v[:16] if isinstance(v, str) else v for k, v in step.items()}
    assert find_loss(tokenizer(fewer)) is None


@pytest.mark.parametrize(
    ("step", "is_kept"),
    [
        *(({"type": name}, True) for name in ("ByteLevel", "Metaspace", "Digits")),
        *(({"type": name}, True) for name in ("Punctuation", "UnicodeScripts")),
        *(({"type": name}, True) for name in ("Whitespace", "WhitespaceSplit")),
        *(({"type": name}, False) for name in ("CharDelimiterSplit", "Other", None)),
        ({"type": "Split", "behavior": "Isolated"}, True),
        ({"type": "Split", "behavior": "Removed"}, False),
        ({"type": "Split", "behavior": "removed"}, False),
        ({"type": "Punctuation", "behavior": "Removed"}, False),
    ],
)
def test_a_pre_tokenizer_keeps_what_is_visible(step, is_kept):
    problem = f"its pre-tokenizer '{step.get('type')}' can drop characters"
    expected = None if is_kept else problem
    for steps in ((step, BYTE_LEVEL), (BYTE_LEVEL, pretokenizers(step))):
        settings = tokenizer(pre_tokenizer=pretokenizers(*steps))
        assert find_loss(settings) == expected


@pytest.mark.parametrize(
    ("vocab", "is_shared"),
    [({"a": 0, "b": 1}, False), ({"a": 1, "b": 1}, True), ([["a", 0.0]] * 2, False)],
)
def test_no_two_tokens_share_an_id(vocab, is_shared):
    problem = find_shared_id({"model": {"vocab": vocab}})
    expected = "two tokens of its vocabulary have the same id"
    assert problem == (expected if is_shared else None)
    assert find_shared_id({"model": {}}) is None


@pytest.mark.parametrize(
    ("settings", "composes"),
    [
        (tokenizer(), False),
        (tokenizer({"type": "NFC"}), True),
        (tokenizer(normalizers({"type": "NFC"})), True),
        (tokenizer(normalizers()), False),
        (tokenizer({"type": "NFD"}), None),
        (tokenizer(normalizers({"type": "NFC"}, {"type": "Lowercase"})), None),
        (tokenizer(pre_tokenizer=None), None),
        (tokenizer(pre_tokenizer={"type": "ByteLevel"}), None),
        (tokenizer(pre_tokenizer={**BYTE_LEVEL, "add_prefix_space": True}), None),
        (tokenizer(pre_tokenizer=pretokenizers(BYTE_LEVEL, BYTE_LEVEL)), None),
        (tokenizer(pre_tokenizer=pretokenizers({"type": "Split"}, BYTE_LEVEL)), False),
        (tokenizer(pre_tokenizer=pretokenizers({"type": "Digits"}, BYTE_LEVEL)), False),
        *(
            (tokenizer(pre_tokenizer=pretokenizers({"type": kind}, BYTE_LEVEL)), None)
            for kind in ("Whitespace", "WhitespaceSplit", "Metaspace")
        ),
        (tokenizer(vocab=[["a", 0.0]]), None),
        (tokenizer(vocab={**BYTES, "a b": 256}), None),
        (tokenizer(vocab=None), False),
    ],
)
def test_bytes_can_be_counted_if_tokens_spell_the_text(settings, composes):
    counts = ByteCounts.of(settings)
    assert (counts and counts.composes) is composes


def test_each_token_stands_for_the_bytes_that_it_spells():
    counts = ByteCounts.of(tokenizer(vocab={"ab": 4, "c": 0, "def": 2}))
    assert counts.by_id.tolist() == [1, 0, 3, 0, 2]


MARKS = "\u0301"


@pytest.mark.parametrize(
    ("text", "composed", "plain"),
    [
        ("dog", 3, 3),
        ("", 0, 0),
        ("e\u0301", 2, 3),
        ("\u00e9", 2, 2),
        ("q" + MARKS * 32, 65, 65),
        ("q" + MARKS * 33, None, 67),
        ("\U0001f642", 4, 4),
    ],
)
def test_the_bytes_of_a_text_are_counted(text, composed, plain):
    """But not where that would take too long."""
    for composes, n_bytes in ((True, composed), (False, plain)):
        counts = ByteCounts(np.ones(1, dtype=np.int64), composes)
        n = plain if n_bytes is None else n_bytes
        ids, bounds = np.zeros(n + 1, dtype=np.int32), np.array([0, n, n + 1])
        covered = counts.cover([text, "a"], ids, bounds).tolist()
        assert covered == [n_bytes is not None, True]
        assert counts.cover([text, "ab"], ids, bounds).tolist()[1] is False
        covered = counts.cover([text, "a"], ids[:1], np.array([0, 0, 1])).tolist()
        assert covered == [not text, True]  # without a token


@pytest.mark.parametrize(
    ("character", "expected"),
    [("a", True), ("\u4e2d", True), ("\U0001f642", True), ("\x00", False)]
    + [(hidden, False) for hidden in " \n\t\u3000\u200b\u00ad\u0301\ufe0f\U000e0041"],
)
def test_what_is_visible_needs_a_token(character, expected):
    assert needs_token(character) is expected


@pytest.mark.parametrize(
    ("text", "offsets", "expected"),
    [
        ("abc", [(0, 3)], None),
        ("abc", [(1, 3)], 0),
        ("abc", [(0, 1), (2, 3)], 1),
        ("abc", [(0, 1)], 1),
        ("a b", [(0, 1), (2, 3)], None),
        ("a bc", [(0, 1), (3, 4)], 2),
        (" a", [(1, 2)], None),
        ("abc", [(0, 2), (0, 1), (2, 3)], None),  # the second one repeats the first
        ("abcd", [(0, 3), (1, 2)], 3),
        ("a", [], 0),
        (" ", [], None),
        ("", [], None),
    ],
)
def test_the_first_character_without_a_token(text, offsets, expected):
    array = np.array(offsets, dtype=np.int32).reshape(-1, 2)
    assert find_uncovered(text, array) == expected


class Shouting(str):
    def __str__(self):
        return self.upper()


def test_the_characters_of_a_string_are_its_data():
    assert characters_of(Shouting("dog")) == "dog"
    assert type(characters_of(Shouting("dog"))) is str
