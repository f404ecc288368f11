"""No tokenizer drops text without a trace: refused when loaded, or an error."""

import json
import sys
import time
from types import SimpleNamespace
from unicodedata import combining

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import QWEN2, TEXTS, make_tokenizer, write_checkpoint
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordLevel

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.text import lossless
from spacy_duoguard.engine.text import tokenizer as tokenizer_module
from spacy_duoguard.engine.text.lossless import (
    ByteCounts,
    find_uncovered,
)
from spacy_duoguard.engine.text.tokenizer import TextTokenizer
from spacy_duoguard.engine.text.tokens import join_ids
from spacy_duoguard.errors import CheckpointError, ScoringError


def read(tokenizer, **changes):
    settings = json.loads(tokenizer.to_str())
    settings.update(changes)
    return TextTokenizer(json.dumps(settings), source="here")


def with_parts(*, normalizer=None, pre_tokenizer=None):
    tokenizer = make_tokenizer()
    if normalizer is not None:
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizer])
    if pre_tokenizer is not None:
        parts = [pre_tokenizer, pre_tokenizers.ByteLevel(use_regex=False)]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    return tokenizer


def without_byte(character):
    data = json.loads(make_tokenizer().to_str())
    vocab = data["model"]["vocab"]
    del vocab[character]
    merges = [m for m in data["model"]["merges"] if character not in "".join(m)]
    data["model"] = {**data["model"], "merges": merges, "vocab": vocab}
    return data


@pytest.mark.parametrize(
    ("tokenizer", "problem"),
    [
        (Tokenizer(BPE(vocab={"a": 0, "\u044f": 1}, merges=[])), "neither all bytes"),
        (Tokenizer(WordLevel({"a": 0}, unk_token="<unk>")), "neither all bytes"),
        (
            with_parts(pre_tokenizer=pre_tokenizers.Split(Regex("k.*"), "removed")),
            "pre-tokenizer 'Split' can drop",
        ),
        (
            with_parts(pre_tokenizer=pre_tokenizers.CharDelimiterSplit("k")),
            "pre-tokenizer 'CharDelimiterSplit' can drop",
        ),
        (
            with_parts(normalizer=normalizers.Replace("kill", "")),
            "normalizer 'Replace' can drop",
        ),
        (
            with_parts(normalizer=normalizers.Replace("kill", " \u200b")),
            "normalizer 'Replace' can drop",
        ),
        (
            with_parts(normalizer=normalizers.Replace(Regex("k[^ ]*"), "x")),
            "normalizer 'Replace' can drop",
        ),
        (with_parts(normalizer=normalizers.BertNormalizer()), "'BertNormalizer' can"),
        (Tokenizer(BPE(dropout=0.5)), "at random"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_tokenizer_that_can_drop_text_is_refused(tokenizer, problem):
    with pytest.raises(CheckpointError, match=rf"E019.*here.*{problem}"):
        read(tokenizer)


def test_a_byte_level_tokenizer_needs_all_bytes():
    read(make_tokenizer())
    with pytest.raises(CheckpointError, match=r"E019.*lacks tokens for 1 of 256 bytes"):
        TextTokenizer(json.dumps(without_byte("\u0100")), source="here")


def test_two_tokens_with_the_same_id_are_refused():
    settings = json.loads(make_tokenizer().to_str())
    vocab = settings["model"]["vocab"]
    first, second = list(vocab)[-2:]
    vocab[first] = vocab[second]
    with pytest.raises(CheckpointError, match=r"E019.*here.*the same id"):
        TextTokenizer(json.dumps(settings), source="here")


def test_a_tokenizer_that_panics_when_it_is_read_is_refused():
    settings = json.loads(make_tokenizer().to_str())
    vocab = settings["model"]["vocab"]
    left, right = next(token for token in vocab if len(token) == 2)
    settings["model"]["continuing_subword_prefix"] = "##"
    settings["model"]["merges"] = [[left, right]]
    with pytest.raises(CheckpointError, match=r"E01[89].*here"):
        TextTokenizer(json.dumps(settings), source="here")


class _PanicError(BaseException):
    """As from Rust."""


_PanicError.__module__ = "pyo3_runtime"


def test_a_panic_is_a_checkpoint_error(monkeypatch):
    class Panicking:
        @staticmethod
        def from_str(data):
            raise _PanicError("slice index starts at 2 but ends at 1")

    monkeypatch.setattr("spacy_duoguard.engine.text.tokenizer.Tokenizer", Panicking)
    with pytest.raises(CheckpointError, match=r"E018.*here.*tokenizer\.json.*slice"):
        TextTokenizer(json.dumps({"model": {}}), source="here")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_panic(monkeypatch, error):
    class Interrupted:
        @staticmethod
        def from_str(data):
            raise error

    monkeypatch.setattr("spacy_duoguard.engine.text.tokenizer.Tokenizer", Interrupted)
    with pytest.raises(error):
        TextTokenizer(json.dumps({"model": {}}), source="here")


@pytest.mark.parametrize("unknown", [None, "<unk>"])
def test_byte_fallback_and_unknown_tokens_drop_nothing(unknown):
    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)}
    vocab["<unk>"] = 256
    model = BPE(vocab, [], byte_fallback=unknown is None, unk_token=unknown)
    tokens = read(Tokenizer(model)).encode("kill \u044f")
    assert find_uncovered("kill \u044f", tokens.offsets) is None
    assert len(tokens.ids) == (7 if unknown is None else 6)


class Dropping:
    """A backend that gives no tokens for some characters, whatever its structure."""

    def __init__(self, backend, characters):
        self.backend, self.characters = backend, characters

    def encode(self, text, **options):
        return self.drop(text, self.backend.encode(text, **options))

    def encode_batch(self, texts, **options):
        encodings = self.backend.encode_batch(texts, **options)
        return list(map(self.drop, texts, encodings))

    def encode_batch_fast(self, texts, **options):
        encodings = self.encode_batch(texts, **options)
        for encoding in encodings:
            encoding.offsets = [(0, 0)] * len(encoding.ids)
        return encodings

    def drop(self, text, encoding):
        keep = [
            i
            for i, (start, end) in enumerate(encoding.offsets)
            if not set(text[start:end]) & set(self.characters)
        ]
        return SimpleNamespace(
            ids=[encoding.ids[i] for i in keep],
            offsets=[encoding.offsets[i] for i in keep],
        )


def drop(tokenizer, characters):
    """Let `tokenizers` tokenize all texts, and drop some characters of them."""
    tokenizer._backend = Dropping(tokenizer._backend, characters)
    tokenizer._pairs = None


@pytest.mark.parametrize("text", ["kill", "a kill", "\u044f", "🙂 a", "a\u0301x k"])
def test_a_text_whose_tokens_do_not_cover_it_is_an_error(text):
    tokenizer = read(make_tokenizer())
    drop(tokenizer, "k\u044f🙂")
    with pytest.raises(ScoringError, match="E057"):
        tokenizer.encode(text)
    assert len(tokenizer.encode("a dog").ids)
    for offsets in (True, False):
        bad, good = tokenizer.encode_batch(
            [text, "a dog"], offsets=lambda _, o=offsets: o
        )
        assert isinstance(bad, ScoringError)
        assert "E057" in str(bad)
        assert len(good.ids)


def test_visible_text_without_tokens_is_unsafe(make_nlp):
    nlp = make_nlp()
    nlp.set_error_handler(lambda *_: None)
    drop(nlp.get_pipe("duoguard").classifier.tokenizer, "kil")
    docs = list(nlp.pipe(["kill", "a dog", "", "the kin"]))
    assert [doc._.duoguard_status for doc in docs] == ["error", "ok", "empty", "error"]
    assert [doc.cats["unsafe"] == 1.0 for doc in docs] == [True, False, False, True]


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(codec="utf8"), max_size=40))
def test_a_byte_level_tokenizer_covers_every_text(classifier, text):
    tokens = classifier.tokenizer.encode(text)
    assert find_uncovered(text, tokens.offsets) is None


@pytest.mark.parametrize(
    "tokenizer",
    [
        with_parts(normalizer=normalizers.Lowercase()),
        with_parts(normalizer=normalizers.Replace("a", "bb")),
        with_parts(pre_tokenizer=pre_tokenizers.WhitespaceSplit()),
        with_parts(pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True)),
        Tokenizer(BPE({f"<0x{b:02X}>": b for b in range(256)}, [], byte_fallback=True)),
    ],
    ids=["lowercase", "replace", "whitespace", "prefix", "fallback"],
)
def test_bytes_are_not_counted_where_tokens_do_not_spell_the_text(tokenizer):
    assert ByteCounts.of(json.loads(tokenizer.to_str())) is None


@pytest.mark.parametrize("lowercase", [False, True])
def test_texts_of_a_batch_are_tokenized_once(monkeypatch, lowercase):
    parts = {"normalizer": normalizers.Lowercase()} if lowercase else {}
    tokenizer = read(with_parts(**parts))
    expected = [tokenizer.encode(text) for text in TEXTS]
    # No text is tokenized alone, too, whether or not its bytes can be counted.
    monkeypatch.setattr(TextTokenizer, "_encode", None)
    for offsets in (lambda _: True, lambda _: False):
        batch = tokenizer.encode_batch(TEXTS, offsets=offsets)
        for tokens, alone in zip(batch, expected, strict=True):
            assert tokens.ids.tolist() == alone.ids.tolist()
            if lowercase or offsets(""):
                assert tokens.offsets.tolist() == alone.offsets.tolist()


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec="utf8"), max_size=20), max_size=5))
def test_all_bytes_of_a_text_are_counted(texts):
    backend = make_tokenizer(added=[])
    counts = ByteCounts.of(json.loads(backend.to_str()))
    ids = [backend.encode(text, add_special_tokens=False).ids for text in texts]
    flat, bounds = join_ids(ids)
    assert counts.cover(texts, flat, bounds).all()
    for i in range(len(flat)):  # without any one of the tokens
        shorter = bounds - (bounds > i)
        covered = counts.cover(texts, np.delete(flat, i), shorter)
        assert (~covered).sum() == 1


@given(
    text=st.text("ab \u0301\u200b", max_size=12),
    covered=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), max_size=6),
)
def test_the_first_uncovered_character_is_found(text, covered):
    spans = sorted((min(a, len(text)), min(a + n, len(text))) for a, n in covered)
    offsets = np.array(spans, dtype=np.int32).reshape(-1, 2)
    inside = {i for start, end in spans for i in range(start, end)}
    expected = [i for i, c in enumerate(text) if c in "ab" and i not in inside]
    assert find_uncovered(text, offsets) == (expected[0] if expected else None)


@pytest.mark.parametrize("space", [" ", "\n", "\t", "\u3000", " \n", "\r\n \t"])
@pytest.mark.parametrize("before", ["", "a", "kill. "])
def test_long_whitespace_gives_the_same_tokens_in_parts(monkeypatch, space, before):
    tokenizer = read(make_tokenizer())
    text = before + space * 90 + "word and more"
    whole = tokenizer.encode(text)
    monkeypatch.setattr(tokenizer_module, "_MAX_WHITESPACE", 32)
    parts = tokenizer.encode(text)
    assert parts.ids.tolist() == whole.ids.tolist()
    assert parts.offsets.tolist() == whole.offsets.tolist()


def test_millions_of_spaces_are_scored_in_little_time(classifier):
    text = " " * 3_000_000 + "How to kill a python process?"
    begin = time.perf_counter()
    tokens = classifier.tokenizer.encode(text)
    assert time.perf_counter() - begin < 30
    assert tokens.offsets[-1][1] == len(text)


def backtracking():
    """A pre-tokenizer whose regex gives up on a few dozen characters."""
    split = pre_tokenizers.Split(Regex(r"(a|aa)+(?!\w)b(?<=x)"), "isolated")
    return with_parts(pre_tokenizer=split)


def test_a_panic_of_the_tokenizer_costs_its_text_only(tmp_path, make_nlp, capfd):
    folder = write_checkpoint(tmp_path / "t", QWEN2, tokenizer=backtracking())
    tokenizer = Classifier.from_pretrained(str(folder)).tokenizer
    with pytest.raises(ScoringError, match="E058"):
        tokenizer.encode("a" * 200)
    batch = [TEXTS[0], "a" * 200, TEXTS[3]]
    good, bad, other = tokenizer.encode_batch(batch, offsets=lambda _: False)
    assert isinstance(bad, ScoringError)
    assert "E058" in str(bad)
    assert [good.ids.tolist(), other.ids.tolist()] == [
        tokenizer.encode(text).ids.tolist() for text in (TEXTS[0], TEXTS[3])
    ]
    nlp = make_nlp(model={"name": str(folder)})
    nlp.set_error_handler(lambda *_: None)
    docs = list(nlp.pipe([TEXTS[0], "a" * 200, TEXTS[3]]))
    assert [doc._.duoguard_status for doc in docs] == ["ok", "error", "ok"]
    assert docs[1].cats["unsafe"] == 1.0


def test_the_quick_search_for_marks_misses_none():
    every = filter(combining, map(chr, range(sys.maxunicode + 1)))
    assert [mark for mark in every if not lossless._MAY_BE_MARK.search(mark)] == []
    assert not lossless._MAY_BE_MARK.search("déjà vu — “ça” …")
