"""`tiktoken` finds the tokens that `tokenizers` does, or isn't used."""

import json
import time
from itertools import product
from pathlib import Path
from unicodedata import category

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import TEXTS, make_tokenizer
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE

import spacy_duoguard
from spacy_duoguard.engine.text import batches as batches_module
from spacy_duoguard.engine.text import byte_pairs as byte_pairs_module
from spacy_duoguard.engine.text.byte_pairs import BytePairs, all_reached, is_stable
from spacy_duoguard.engine.text.tokenizer import TextTokenizer


def no_offsets(_):
    return False


def settings_of(tokenizer):
    return json.loads(tokenizer.to_str())


@pytest.fixture(scope="module")
def tokenizer():
    """The demo's, which has 8,000 tokens."""
    file = Path(spacy_duoguard.__file__).parent / "demo/tokenizer.json"
    data = file.read_text("utf8")
    return TextTokenizer(data, source="demo")


def check_same(tokenizer, texts):
    """Compare `tiktoken` with `tokenizers`, both tokens and offsets."""
    ids, bounds = tokenizer.batches.pairs.encode(texts) if texts else ([], [0])
    batch = tokenizer.batches.begin(texts, offsets=no_offsets)
    results = tokenizer.batches.finish(batch)
    for i, text in enumerate(texts):
        alone = tokenizer.encode(text)
        assert ids[bounds[i] : bounds[i + 1]].tolist() == alone.ids.tolist()
        assert results[text].ids.tolist() == alone.ids.tolist()
        assert results[text].offsets.tolist() == alone.offsets.tolist()


@pytest.fixture
def no_pool(monkeypatch):
    """Nothing is left to `tokenizers`' threads."""
    monkeypatch.setattr(batches_module, "encode_all", None)


CHARACTERS = st.one_of(
    st.characters(codec="utf8"),
    st.sampled_from(" \t\n\r\x0b\u00a0\u3000'sStTlLdD.,!?019aéèñ的ーひ한ก्ِ🙂"),
)


@settings(max_examples=500, deadline=None)
@given(
    texts=st.lists(st.text(CHARACTERS, max_size=40).filter(is_stable), max_size=6),
    words=st.lists(st.sampled_from(["'ll", " don't", "I'M", "\r\n", "  ", " \n a"])),
)
def test_stable_texts_have_the_same_tokens(tokenizer, texts, words):
    texts = [*texts, "".join(words), "".join(map(str.__add__, words, texts))]
    check_same(tokenizer, list(filter(is_stable, texts)))


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_each_stable_character_has_the_same_tokens(tokenizer, no_pool, step):
    characters = [chr(code) for code in range(0, 0x20000, step) if is_stable(chr(code))]
    assert len(characters) > 45_000 // step
    patterns = [
        f"a{c}a 1{c}{c}1 {c} \n{c}'S '{c}e'l{c}'{c}{c}'v{c}" for c in characters
    ]
    texts = ["\n".join(patterns[i : i + 500]) for i in range(0, len(patterns), 500)]
    check_same(tokenizer, [text for text in texts if is_stable(text)])


def test_long_and_odd_texts_have_the_same_tokens(tokenizer, no_pool):
    texts = [
        *filter(is_stable, TEXTS),
        "",
        "a" * 9000,
        " " * 9000,
        "ab" * 4000,
        "\n \t" * 3000,
    ]
    texts += ["<|endoftext|>", "'s" * 3000, "🙂" * 3000, "मैं " * 2000]
    check_same(tokenizer, texts)


@pytest.mark.parametrize(
    ("text", "stable"),
    [
        ("a dog", True),
        ("Où est l\u2019été ? \u00a0 \u200d", True),
        ("Собака 狗 🙂", True),
        ("मैं กรุณา שָׁלוֹם", True),
        ("", True),
        ("e\u0301", False),  # not in NFC
        ("\u2126", False),  # NFC has another character
        ("\u0378", False),  # not defined yet
        ("\u0526", False),  # a letter since Unicode 6.0
        ("\u19d4", False),  # a digit since Unicode 4.1
        ("a" + "\u0301\u0327" * 40, False),  # NFC takes long
        ("\ud800", False),
        ("\ufdd0", False),
        ("\U0001ffff", False),
    ],
)
def test_texts_on_which_versions_of_unicode_disagree_are_not_stable(text, stable):
    assert is_stable(text) is stable


def test_letters_that_are_found_fast_are_stable():
    for code in range(0x10000):
        if not byte_pairs_module._NOT_LATIN.search(chr(code)):
            assert byte_pairs_module._has_one_class(chr(code))
            assert not byte_pairs_module._unstable().search(chr(code))


@pytest.mark.parametrize("block", ["\U0001f300\U0001f64f", "\U0001f900\U0001f9ff"])
def test_all_emoji_of_a_block_are_stable(block):
    for code in range(ord(block[0]), ord(block[1]) + 1):
        assert category(chr(code)) in ("So", "Sk")
        assert is_stable(chr(code))


def test_texts_that_are_not_stable_are_not_mixed_up(tokenizer):
    pairs = tokenizer.batches.pairs
    with pytest.raises(ValueError, match="separators divide 3 texts, not 2"):
        pairs.encode(["a\ufdd0b", "c"])
    texts = ["a\ufdd0b", "c", "e\u0301", "\ufdd0"]
    results = tokenizer.encode_batch(texts, offsets=no_offsets)
    for text, tokens in zip(texts, results, strict=True):
        assert tokens.ids.tolist() == tokenizer.encode(text).ids.tolist()


def test_a_long_word_takes_linear_time(tokenizer):
    """Early versions of `tiktoken` took minutes for a group of such texts."""
    texts = ["🙂" * 2**14, "狗" * 2**14, "\u00a0" * 2**14]
    start = time.perf_counter()
    tokenizer.batches.pairs.encode(texts)
    assert time.perf_counter() - start < 2


def test_a_text_on_which_tiktoken_gives_up_is_tokenized_alone(tokenizer, monkeypatch):
    def fail(self, texts):
        raise RuntimeError("gives up")

    monkeypatch.setattr(BytePairs, "encode", fail)
    (result,) = tokenizer.encode_batch(["a dog"], offsets=no_offsets)
    assert result.ids.tolist() == tokenizer.encode("a dog").ids.tolist()


def test_tokens_that_spell_another_text_are_not_believed(tokenizer, monkeypatch):
    encode = BytePairs.encode
    monkeypatch.setattr(BytePairs, "encode", lambda self, _: encode(self, ["a do"]))
    (result,) = tokenizer.encode_batch(["a dog"], offsets=no_offsets)
    assert result.ids.tolist() == tokenizer.encode("a dog").ids.tolist()


# Merges of three letters, each of whose parts is there before.
@st.composite
def merges(draw):
    tokens = ["a", "b", "c"]
    pairs = []
    for _ in range(draw(st.integers(1, 9))):
        pair = draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens))
        if "".join(pair) not in tokens:
            pairs.append(pair)
            tokens.append("".join(pair))
    return pairs


def tokenizer_of(pairs):
    tokenizer = make_tokenizer(added=[])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *map("".join, pairs)]
    # Ids in another order than ranks.
    vocab = {token: len(tokens) - i - 1 for i, token in enumerate(tokens)}
    tokenizer.model = BPE(vocab, pairs)
    return tokenizer


@settings(max_examples=300, deadline=None)
@given(pairs=merges())
def test_merges_are_used_if_each_token_is_reached(pairs):
    """And then all texts of these letters have the same tokens."""
    tokenizer = tokenizer_of(pairs)
    tokens = ["".join(pair) for pair in pairs]
    reached = all(tokenizer.encode(token).tokens == [token] for token in tokens)
    found = BytePairs.of(settings_of(tokenizer))
    assert (found is not None) == reached
    if found is not None:
        texts = ["".join(letters) for letters in product("abc", repeat=6)]
        ids, bounds = found.encode(texts)
        for i, text in enumerate(texts):
            expected = tokenizer.encode(text).ids
            assert ids[bounds[i] : bounds[i + 1]].tolist() == expected


def test_a_token_that_its_own_bytes_do_not_reach_is_found_out():
    # "abc" from "ab" and "c", but "bc" is merged before "ab".
    a, b, c = map(ord, "abc")
    assert all_reached(np.array([(b, c), (a, 256)]))
    assert not all_reached(np.array([(b, c), (a, b), (257, c)]))
    assert all_reached(np.zeros((0, 2), dtype=int))


def change(**changes):
    return lambda data: {**data, **changes}


def change_model(**changes):
    return lambda data: {**data, "model": {**data["model"], **changes}}


def change_step(i, **changes):
    def changed(data):
        data["pre_tokenizer"]["pretokenizers"][i].update(changes)
        return data

    return changed


@pytest.mark.parametrize(
    "changed",
    [
        change(normalizer={"type": "NFKC"}),
        change(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}]}),
        change(pre_tokenizer=None),
        change(pre_tokenizer={"type": "ByteLevel", "add_prefix_space": False}),
        change(post_processor={"type": "ByteLevel", "trim_offsets": True}),
        change_step(0, pattern={"Regex": r"\p{N}{1,3}|\P{N}+"}),
        change_step(0, behavior="MergedWithNext"),
        change_step(0, invert=True),
        change_step(1, add_prefix_space=True),
        change_step(1, use_regex=True),
        change_model(type="Unigram"),
        change_model(dropout=0.1),
        change_model(ignore_merges=True),
        change_model(end_of_word_suffix="</w>"),
        change_model(byte_fallback=True),
        change_model(merges=[["a", "b"], ["b", "a"]]),  # no token of this name
        change_model(merges=["a b c"]),
        change_model(merges=["#version s"]),  # which `tokenizers` skips
    ],
)
def test_other_tokenizers_are_not_imitated(changed):
    data = settings_of(make_tokenizer(added=[]))
    assert BytePairs.of(data) is not None
    assert BytePairs.of(changed(data)) is None


def test_merges_are_read_as_pairs_and_as_strings():
    data = settings_of(make_tokenizer(added=[]))
    pairs = [
        m if isinstance(m, list) else m.split(" ") for m in data["model"]["merges"]
    ]
    expected = BytePairs.of(data).encode(TEXTS)[0].tolist()
    for form in (pairs, [" ".join(pair) for pair in pairs]):
        changed = change_model(merges=form)(data)
        assert Tokenizer.from_str(json.dumps(changed)).encode("dog").ids
        assert BytePairs.of(changed).encode(TEXTS)[0].tolist() == expected


def test_two_merges_that_give_the_same_token_are_not_imitated():
    pairs = [("a", "b"), ("ab", "c"), ("b", "c"), ("a", "bc")]
    data = settings_of(tokenizer_of(pairs[:3]))
    assert BytePairs.of(change_model(merges=list(map(list, pairs)))(data)) is None
