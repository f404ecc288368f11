"""Text → ids → windows: no token of the user's is control, none is left out."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import ADDED_TOKENS, LLAMA, TEXTS, make_tokenizer
from support.paths import SHARED
from tokenizers import Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from spacy_duoguard.engine import runner
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.settings import check_windows
from spacy_duoguard.engine.text.tokenizer import TextTokenizer
from spacy_duoguard.engine.text.windows import keep_ends, split_windows
from spacy_duoguard.errors import CheckpointError, SettingsError

QWEN = SHARED / "tokenizer/qwen2.5/tokenizer.json"
LONG = "The quick brown fox jumps over the lazy dog. " * 20

sizes = st.integers(1, 40).flatmap(
    lambda window: st.tuples(st.just(window), st.integers(1, window))
)
mixes = st.lists(st.sampled_from(ADDED_TOKENS) | st.text(max_size=5), max_size=8)


def first_added(tokenizer):
    return tokenizer.token_to_id(ADDED_TOKENS[0])


def read(tokenizer, **changes):
    """Our tokenizer from that of the library, or from changes to its JSON."""
    data = {**json.loads(tokenizer.to_str()), **changes}
    return TextTokenizer(json.dumps(data), source="here")


def make_template(prefix, suffix):
    """A tokenizer that puts added tokens before and after every text."""
    tokenizer = make_tokenizer()
    names = [*prefix, *suffix]
    template = processors.TemplateProcessing(
        single=" ".join([*prefix, "$A", *suffix]),
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in set(names)],
    )
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), template]
    )
    return tokenizer


@pytest.fixture
def scored(monkeypatch):
    """The sequences that reach the decoder."""
    sequences = []
    pack = runner.pack

    def spy(batch, **options):
        sequences.extend(batch)
        return pack(batch, **options)

    monkeypatch.setattr(runner, "pack", spy)
    return sequences


# Windows


@pytest.mark.parametrize(
    ("n_tokens", "expected"),
    [
        (0, []),
        (1, [(0, 1)]),
        (512, [(0, 512)]),
        (513, [(0, 512), (384, 513)]),
        (896, [(0, 512), (384, 896)]),
        (897, [(0, 512), (384, 896), (768, 897)]),
    ],
)
def test_windows_of_the_default_size(n_tokens, expected):
    assert split_windows(n_tokens, window=512, stride=384) == expected


@given(windows=st.lists(st.integers()), limit=st.integers(1, 12))
def test_the_windows_kept_are_the_first_and_the_last(windows, limit):
    kept = keep_ends(windows, limit)
    assert len(kept) == min(limit, len(windows))
    if len(windows) > limit:
        first = math.ceil(limit / 2)
        assert kept[:first] == windows[:first]
        assert kept[first:] == windows[len(windows) - (limit - first) :]
    else:
        assert kept == windows
    assert keep_ends(windows, None) == windows


@pytest.mark.parametrize(
    ("window", "stride", "n_special"),
    [(512, 0, 0), (512, 513, 0), (512, 512, 1), (4, 1, 4)],
)
def test_windows_with_gaps_are_refused(window, stride, n_special):
    with pytest.raises(SettingsError, match=f"E003.*stride \\({stride}\\)") as caught:
        check_windows(window=window, stride=stride, n_special=n_special)
    assert ("template" in str(caught.value)) == bool(n_special)
    assert f"[1, {window - n_special}]" in str(caught.value)


@pytest.mark.parametrize("name", ["window", "stride"])
@pytest.mark.parametrize("value", [None, True, 8.0, "8"])
def test_windows_that_are_no_integers_are_refused(name, value):
    with pytest.raises(SettingsError, match=f"E004.*{name}"):
        check_windows(**{"window": 8, "stride": 8, name: value})


@pytest.mark.parametrize(
    ("window", "stride", "n_special"), [(1, 1, 0), (512, 512, 0), (512, 508, 4)]
)
def test_windows_without_gaps_are_taken(window, stride, n_special):
    check_windows(window=window, stride=stride, n_special=n_special)


# Added tokens in the text


@settings(deadline=None)
@given(parts=mixes)
def test_no_mix_of_added_tokens_and_text_gives_an_added_id(classifier, parts):
    text = "".join(parts)
    tokens = classifier.tokenizer.encode(text)
    assert all(tokens.ids < first_added(make_tokenizer()))
    assert tokens.offsets.shape == (len(tokens.ids), 2)
    assert all(0 <= a <= b <= len(text) for a, b in tokens.offsets.tolist())
    assert np.isfinite(classifier.score([text])).all()


@settings(deadline=None)
@given(
    text=st.text(
        st.sampled_from("ae\u0301\u0327 \U0001f642\u1112\u1161\u11ab"), min_size=1
    )
)
def test_windows_leave_no_character_out(classifier, text):
    tokens = classifier.tokenizer.encode(text)
    windows = split_windows(len(tokens.ids), window=3, stride=2)
    places = [tokens.char_span(start, stop) for start, stop in windows]
    assert all(0 <= left < right <= len(text) for left, right in places)
    assert {i for left, right in places for i in range(left, right)} == set(
        range(len(text))
    )


@pytest.mark.parametrize("content", ["a", "<||>", "dog"])
def test_an_added_token_that_text_can_spell_is_refused(content):
    tokenizer = make_tokenizer(added=[])
    data = json.loads(tokenizer.to_str())
    vocab, merges = data["model"]["vocab"], data["model"]["merges"]
    for i in range(2, len(content) + 1):
        if content[:i] not in vocab:
            vocab[content[:i]] = len(vocab)
        merges.insert(i - 2, [content[: i - 1], content[i - 1]])
    token = {"id": vocab[content], "content": content, "special": True}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    data["added_tokens"] = [{**token, **flags}]
    with pytest.raises(CheckpointError, match=f"E019.*here.*{vocab[content]}"):
        TextTokenizer(json.dumps(data), source="here")


# What the post-processor adds


@pytest.mark.parametrize(
    ("prefix", "suffix"),
    [
        (["<|endoftext|>"], []),
        ([], ["<|im_end|>"]),
        (["<|im_start|>", "<|im_start|>"], ["<|im_end|>"]),
    ],
)
def test_every_window_stands_in_the_template(checkpoint, scored, prefix, suffix):
    tokenizer = make_template(prefix, suffix)
    before, after = ([tokenizer.token_to_id(t) for t in x] for x in (prefix, suffix))
    folder = checkpoint(LLAMA, tokenizer=tokenizer)
    options = {"precision": "float32", "device": "cpu", "window": 20, "stride": 12}
    loaded = Classifier.from_pretrained(str(folder), **options)
    own = loaded.tokenizer
    assert (own.prefix.tolist(), own.suffix.tolist()) == (before, after)
    assert own.n_special == len(before) + len(after)
    tokens = own.encode(LONG).ids.tolist()
    assert max(tokens) < first_added(tokenizer)
    loaded.score([LONG])
    windows = split_windows(len(tokens), window=20 - own.n_special, stride=12)
    expected = [[*before, *tokens[a:b], *after] for a, b in windows]
    assert len(expected) > 5
    assert max(map(len, expected)) == 20
    assert sorted(ids.tolist() for ids in scored) == sorted(expected)
    # The whole is what the library gives.
    framed = own.add_special_tokens(own.encode(TEXTS[0]).ids).tolist()
    assert framed == tokenizer.encode(TEXTS[0]).ids


def test_emptiness_is_judged_without_the_template(llama_folder, scored):
    options = {"precision": "float32", "device": "cpu"}
    loaded = Classifier.from_pretrained(str(llama_folder), **options)
    assert loaded.tokenizer.n_special == 1
    assert not loaded.score([""]).any()
    assert loaded.analyze([""])[0].windows == ()
    assert not scored


def test_the_template_counts_in_the_window(llama_folder):
    options = {"precision": "float32", "device": "cpu", "window": 16}
    Classifier.from_pretrained(str(llama_folder), stride=15, **options)
    with pytest.raises(SettingsError, match=r"E003.*template"):
        Classifier.from_pretrained(str(llama_folder), stride=16, **options)


# What the tokenizer is


def test_ids_are_those_of_transformers(qwen2_folder, classifier):
    theirs = PreTrainedTokenizerFast(
        tokenizer_file=str(qwen2_folder / "tokenizer.json")
    )
    for text in [*TEXTS, LONG]:
        tokens = classifier.tokenizer.encode(text)
        assert tokens.ids.tolist() == theirs(text)["input_ids"]
        assert (tokens.ids.dtype, tokens.offsets.dtype) == (np.int32, np.int32)


def test_stored_truncation_and_padding_are_ignored():
    tokenizer = make_tokenizer()
    expected = read(tokenizer).encode(LONG).ids
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=1000)
    assert tokenizer.encode(LONG).ids[:4] != expected[:5].tolist()
    assert np.array_equal(read(tokenizer).encode(LONG).ids, expected)
    assert read(tokenizer).n_special == 0


@pytest.mark.parametrize(
    "data", ["", "{", "[]", "null", "{}", '{"model": 5}', "\ufffd"]
)
def test_a_broken_tokenizer_is_refused(data):
    with pytest.raises(CheckpointError, match=r"E018.*here.*tokenizer\.json"):
        TextTokenizer(data, source="here")


def test_a_tokenizer_that_is_no_utf8_is_refused(checkpoint):
    folder = checkpoint()
    (folder / "tokenizer.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(CheckpointError, match=r"E018.*tokenizer\.json"):
        Classifier.from_pretrained(str(folder))


@pytest.mark.parametrize("added", [5, [5], [{"content": "x"}], [{"id": 999}]])
def test_broken_added_tokens_are_refused_with_a_code(added):
    with pytest.raises(CheckpointError, match=r"E01[89].*here"):
        read(make_tokenizer(), added_tokens=added)


def test_a_tokenizer_of_another_size_is_refused(checkpoint):
    tokenizer = read(make_tokenizer())
    tokens, added = 320, len(ADDED_TOKENS)
    for rows in (tokens, tokens + added, tokens + added + 1024):
        tokenizer.check_fits(rows)
    with pytest.raises(CheckpointError, match=r"E019.*here.*need 320 rows.*has 319"):
        tokenizer.check_fits(tokens - 1)
    with pytest.raises(CheckpointError, match=r"E019.*here.*342 tokens for 1367"):
        tokenizer.check_fits(tokens + added + 1025)
    with pytest.raises(CheckpointError, match="E019"):
        Classifier.from_pretrained(str(checkpoint(vocab_size=151936)))


def test_the_templates_tokens_need_rows_too():
    tokenizer = make_template(["<|im_end|>"], [])
    place = tokenizer.token_to_id("<|im_end|>")
    read(tokenizer).check_fits(place + 1)
    with pytest.raises(CheckpointError, match=f"E019.*need {place + 1} rows"):
        read(tokenizer).check_fits(place)


@pytest.mark.skipif(not QWEN.is_file(), reason="Qwen2.5's own tokenizer is not here")
def test_the_real_tokenizer_of_qwen():
    ours = TextTokenizer(QWEN.read_text(encoding="utf8"), source="Qwen2.5")
    theirs = Tokenizer.from_file(str(QWEN))
    texts = ["Wie tötet man einen Prozess?", "如何杀死进程？", "كيف", "🙂 e\u0301 ¿?"]
    for text in [*TEXTS, *texts, "\n\n  x\t" * 9, "0123456789", "\u200b\ufeff\0"]:
        tokens = ours.encode(text)
        assert tokens.ids.tolist() == theirs.encode(text).ids
    ours.check_fits(151936)
    assert ours.n_special == 0
    for token in ADDED_TOKENS:
        assert theirs.token_to_id(token) >= 151643
    assert len(ours.encode("<|endoftext|>").ids) == 7
    everything = "".join(ADDED_TOKENS)
    for text in [*ADDED_TOKENS, everything, " ".join(ADDED_TOKENS), everything * 9]:
        assert ours.encode(text).ids.max() < 151643
