"""Tokenizers that have a token for what they don't know, and those that lack it."""

import json

import pytest
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE, Unigram, WordPiece

from spacy_duoguard.engine.text.tokenizer import TextTokenizer
from spacy_duoguard.errors import CheckpointError

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def unigram(unk_id):
    pieces = [("<unk>", 0.0), ("\u2581a", -1.0), ("a", -1.5), ("\u2581", -2.0)]
    tokenizer = Tokenizer(Unigram(pieces, unk_id, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def read(tokenizer, **changes):
    data = json.loads(tokenizer.to_str())
    data["model"].update(changes)
    return TextTokenizer(json.dumps(data), source="here")


def test_a_unigram_model_with_an_unknown_token_covers_all_text():
    tokenizer = read(unigram(0))
    tokens = tokenizer.encode("a b 日本")
    assert 0 in tokens.ids
    assert tokens.char_span(0, len(tokens.ids)) == (0, 6)


def test_a_unigram_model_without_one_is_refused():
    with pytest.raises(CheckpointError, match="neither all bytes"):
        read(unigram(None))


def test_an_unknown_token_that_is_not_in_the_vocabulary_is_none():
    model = WordPiece({"a": 0, "[UNK]": 1}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    read(tokenizer)
    with pytest.raises(CheckpointError, match="neither all bytes"):
        read(tokenizer, unk_token="[GONE]")


@pytest.mark.parametrize("affix", ["continuing_subword_prefix", "end_of_word_suffix"])
def test_bytes_that_need_an_affix_are_not_all_bytes(affix):
    """A byte in the middle of a word would be looked up with it, and dropped."""
    tokenizer = Tokenizer(BPE({byte: i for i, byte in enumerate(BYTES)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert len(read(tokenizer).encode("a\u65e5").ids) == 4
    with pytest.raises(CheckpointError, match="neither all bytes"):
        read(tokenizer, **{affix: "##"})
