"""Streams against the same text scored whole."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.checkpoints import TEXTS
from support.texts import texts

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.flags import first_flag
from spacy_duoguard.engine.network.int8_linear import int8_products
from spacy_duoguard.engine.network.trainable import add_labels
from spacy_duoguard.engine.streaming.stream import Stream, StreamBatch
from spacy_duoguard.errors import ScoringError, SettingsError


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def small(request, qwen2_folder, llama_folder) -> Classifier:
    """Windows so short that a test's texts have several of them."""
    folder = {"qwen2": qwen2_folder, "llama": llama_folder}[request.param]
    return Classifier.from_pretrained(
        str(folder), precision="float32", device="cpu", window=16, stride=11
    )


def split(text: str, places: list[int]) -> list[str]:
    bounds = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in itertools.pairwise(bounds)]


@settings(max_examples=40, deadline=None)
@given(text=texts, places=st.lists(st.integers(0, 400), max_size=30))
def test_every_push_equals_the_text_so_far_scored_whole(small, text, places):
    so_far = ""
    with Stream(small) as stream:
        for chunk in split(text, places):
            so_far += chunk
            found = stream.push(chunk).probabilities
            np.testing.assert_allclose(found, small.score([so_far])[0], atol=1e-5)
        found = stream.close()
        np.testing.assert_allclose(
            found.probabilities, small.score([text])[0], atol=1e-5
        )


def pick_threshold(probabilities: np.ndarray) -> float:
    """One that parts the values, and that rounding cannot cross."""
    values = np.unique(np.append(probabilities.astype(float), [0.2, 0.8]))
    gaps = np.diff(values)
    i = int(np.abs(np.arange(len(gaps)) / len(gaps) - 0.7 - (gaps < 1e-4)).argmin())
    assume(gaps[i] > 1e-4)
    return float(values[i : i + 2].mean())


@settings(max_examples=25, deadline=None)
@given(text=texts, places=st.lists(st.integers(0, 400), max_size=30))
def test_flags_depend_on_the_text_only(small, text, places):
    """They are those of the curve, for every split, with their offsets."""
    curve = small.analyze([text], curve=True)[0].curve
    threshold = pick_threshold(curve.probabilities)
    stream = Stream(small, threshold=threshold)
    flags = [flag for chunk in split(text, places) for flag in stream.push(chunk).flags]
    flags += stream.close().flags
    whole = Stream(small, threshold=threshold)
    expected = [*whole.push(text).flags, *whole.close().flags]
    assert [(f.category, f.offset) for f in flags] == [
        (f.category, f.offset) for f in expected
    ]
    limits = dict.fromkeys(small.labels, threshold)
    first = first_flag(curve.ends.tolist(), curve.probabilities, limits, 2)
    assert min((flag.offset for flag in flags), default=None) == first


@settings(max_examples=20, deadline=None)
@given(text=texts, places=st.lists(st.integers(0, 400), max_size=20))
def test_bytes_may_end_inside_a_character(small, text, places):
    data = text.encode("utf8")
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    with Stream(small) as stream:
        for a, b in itertools.pairwise(bounds):
            found = stream.push(data[a:b]).probabilities
            so_far = data[:b].decode("utf8", "ignore")
            np.testing.assert_allclose(found, small.score([so_far])[0], atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(many=st.lists(texts, min_size=2, max_size=6), seed=st.integers(0, 2**32 - 1))
def test_streams_of_a_batch_score_as_alone(small, many, seed):
    draw = np.random.default_rng(seed)
    batch = StreamBatch(small)
    streams = [batch.open() for _ in many]
    chunks = [split(text, draw.integers(0, 400, 8).tolist()) for text in many]
    so_far = [""] * len(many)
    while any(chunks):
        active = [i for i in range(len(many)) if chunks[i] and draw.random() < 0.7]
        own = [chunks[i].pop(0) for i in active]
        found = batch.push([streams[i] for i in active], own)
        for i, chunk, scores in zip(active, own, found, strict=True):
            so_far[i] += chunk
            np.testing.assert_allclose(
                scores.probabilities, small.score([so_far[i]])[0], atol=1e-5
            )
    for stream in streams:
        stream.close()
    assert batch.shared.cache.n_slots == len(batch.shared.cache._free)


def test_bfloat16_stays_within_the_contracts_bound(qwen2_folder):
    classifier = Classifier.from_pretrained(
        str(qwen2_folder), precision="bfloat16", device="cpu", window=64, stride=48
    )
    text, so_far = " ".join(TEXTS), ""
    with Stream(classifier) as stream:
        for i in range(0, len(text), 7):
            so_far += text[i : i + 7]
            found = stream.push(text[i : i + 7]).probabilities
            np.testing.assert_allclose(found, classifier.score([so_far])[0], atol=3e-2)


def test_eight_bits(qwen2_folder):
    if not int8_products():
        pytest.skip("this CPU does not multiply eight bits natively")
    classifier = Classifier.from_pretrained(
        str(qwen2_folder), precision="int8", device="cpu"
    )
    with Stream(classifier) as stream:
        for chunk in ("How to ki", "ll a python", " process?"):
            found = stream.push(chunk).probabilities
    expected = classifier.score(["How to kill a python process?"])[0]
    np.testing.assert_allclose(found, expected, atol=3e-2)


def test_a_stream_that_is_empty(small):
    stream = Stream(small)
    assert stream.push("").status == "empty"
    found = stream.close()
    assert found.status == "empty"
    assert found.probabilities.tolist() == [0.0] * 12
    assert found.flags == ()


def test_a_flag_needs_patience_or_the_end(small):
    text = "The dog sleeps and"
    curve = small.analyze([text], curve=True)[0].curve
    stream = Stream(small, threshold=0.0, patience=3)  # every token is above it
    flags = [*stream.push(text).flags, *stream.close().flags]
    assert min(flag.offset for flag in flags) == curve.ends[2]
    impatient = Stream(small, threshold=0.0, patience=1000)
    assert impatient.push(text).flags == ()
    assert {flag.offset for flag in impatient.close().flags} == {len(text)}


def test_a_character_that_is_cut_off_counts_as_replaced(small):
    with Stream(small) as stream:
        stream.push("dog 🙂".encode()[:-1])
        found = stream.close().probabilities
    np.testing.assert_allclose(found, small.score(["dog \ufffd"])[0], atol=1e-5)


@pytest.mark.parametrize(
    ("chunks", "code"),
    [
        ([b"\xff\xff"], "E095"),
        ([b"dog ", b"\xc3", "x"], "E094"),
        (["dog \ud83d"], "E052"),
    ],
)
def test_chunks_that_are_no_text_fail_the_stream(small, chunks, code):
    stream = Stream(small)
    for chunk in chunks[:-1]:
        stream.push(chunk)
    with pytest.raises(ScoringError, match=code) as caught:
        stream.push(chunks[-1])
    assert "dog" not in f"{caught.value}{caught.value.__cause__}"
    assert not isinstance(caught.value.__context__, UnicodeDecodeError)
    closed = stream.close()
    assert closed.status == "error"
    assert closed.unsafe == 1.0
    assert len(closed.flags) == 12
    with pytest.raises(SettingsError, match="E092"):
        stream.push("more")
    assert stream.batch.shared.cache.n_slots == len(stream.batch.shared.cache._free)


class Escaping(str):
    """Like `markupsafe.Markup`, of which templates are made: what is added to it, or it
    is added to, becomes another text. And it says that it's empty."""

    __slots__ = ()

    def __add__(self, other):
        return "safe"

    __radd__ = __add__

    def __len__(self):
        return 0

    def __str__(self):
        return "safe"


@pytest.mark.parametrize("kinds", list(itertools.product([str, Escaping], repeat=3)))
def test_strings_of_a_subclass_are_scored_as_the_characters_they_hold(small, kinds):
    chunks = ["The dog", " sleeps & a", " fox jumps."]
    expected = small.score(["".join(chunks)])[0]
    made = [kind(chunk) for kind, chunk in zip(kinds, chunks, strict=True)]
    stream = Stream(small)
    for chunk in made:
        stream.push(chunk)
    np.testing.assert_allclose(stream.close().probabilities, expected, atol=1e-5)
    turns, plain = small.score_turns(made), small.score_turns(chunks)
    np.testing.assert_allclose(turns, plain, atol=1e-5)
    scores = small.score(map(kinds[0], chunks))
    np.testing.assert_allclose(scores, small.score(chunks), atol=1e-5)


@pytest.mark.parametrize("chunks", ["ab", b"ab", None, iter("ab")])
def test_chunks_are_a_list(small, chunks):
    batch = StreamBatch(small)
    streams = [batch.open(), batch.open()]
    with pytest.raises(SettingsError, match=r"E049.*'(str|bytes|NoneType|str.*iter)"):
        batch.push(streams, chunks)
    assert batch.push(streams, ["a", "b"])[0].status == "ok"


@pytest.mark.parametrize("texts", ["a text", b"a text", None, 5])
def test_texts_are_a_list(small, texts):
    for method in (small.score, small.analyze, small.score_turns):
        with pytest.raises(SettingsError, match=r"E049|E251"):
            method(texts)


@pytest.mark.parametrize("chunk", [" 🙂", " 🙂 and a fox jumps over the dog"])
def test_a_stream_that_fails_costs_its_mates_nothing(small, monkeypatch, chunk):
    batch = StreamBatch(small)
    streams = [batch.open() for _ in range(3)]
    batch.push(streams, ["one dog", "two dogs", "three"])
    (bad,) = small.tokenizer.encode("🙂").ids[-1:]
    forward = type(small.runner.forward())
    extend = forward.extend

    def broken(self, batch, attends):
        logits = extend(self, batch, attends)
        hit = (batch.token_ids == int(bad)).any()
        return logits * float("nan") if hit else logits

    monkeypatch.setattr(forward, "extend", broken)
    found = batch.push(streams, [" and one", chunk, " and three"])
    assert [scores.status for scores in found] == ["ok", "error", "ok"]
    assert found[1].unsafe == 1.0
    monkeypatch.undo()
    for i, text in ((0, "one dog and one"), (2, "three and three")):
        expected = small.score([text])[0]
        np.testing.assert_allclose(found[i].probabilities, expected, atol=1e-5)
    more = batch.push([streams[0]], [" more"])[0]
    expected = small.score(["one dog and one more"])[0]
    np.testing.assert_allclose(more.probabilities, expected, atol=1e-5)


def test_an_interrupt_passes_through_and_ends_the_stream(small, monkeypatch):
    def interrupted(self, batch, attends):
        raise KeyboardInterrupt

    stream = Stream(small)
    stream.push("one ")
    monkeypatch.setattr(type(small.runner.forward()), "extend", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stream.push("dog")
    assert stream.close().status == "error"


def test_misuse_is_named(small):
    batch = StreamBatch(small)
    one, other = batch.open(), Stream(small)
    with pytest.raises(SettingsError, match="E090"):
        batch.push([one, one], ["a", "b"])
    with pytest.raises(SettingsError, match="E090"):
        batch.push([one], [])
    with pytest.raises(SettingsError, match="E091"):
        batch.push([other], ["a"])
    with pytest.raises(SettingsError, match="E001"):
        Stream(small, threshold=float("nan"))
    with pytest.raises(SettingsError, match="E002"):
        Stream(small, thresholds={"Hat": 0.5})
    with pytest.raises(SettingsError, match="E004"):
        Stream(small, patience=0)
    assert one.push("a").status == "ok"


@pytest.mark.parametrize(
    "chunk", [None, 3, ["a"], memoryview(b"a")], ids=lambda chunk: type(chunk).__name__
)
def test_a_chunk_that_is_no_text_fails_its_stream_alone(small, chunk):
    batch = StreamBatch(small)
    one, other, third = (batch.open() for _ in range(3))
    scores = batch.push([one, other, third], ["a dog", chunk, "a cat"])
    assert [s.status for s in scores] == ["ok", "error", "ok"]
    assert other.close().status == "error"
    assert (other.close().probabilities == 1.0).all()
    for stream, text in ((one, "a dog"), (third, "a cat")):
        expected = small.score([text])[0]
        np.testing.assert_allclose(
            stream.close().probabilities, expected, rtol=0, atol=1e-5
        )
    alone = Stream(small)
    with pytest.raises(SettingsError, match="E096"):
        alone.push(chunk)
    assert alone.close().status == "error"


def test_weights_that_change_end_the_streams(qwen2_folder):
    classifier = Classifier.from_pretrained(
        str(qwen2_folder), precision="float32", device="cpu"
    )
    stream = Stream(classifier)
    stream.push("one dog")
    with torch.no_grad():
        classifier.decoder.layers[0].mlp.down_proj.weight.mul_(1.5)
    with pytest.raises(ScoringError, match="E093"):
        stream.push(" more")
    text = "one dog more"
    found = Stream(classifier).push(text).probabilities
    np.testing.assert_allclose(found, classifier.score([text])[0], atol=1e-5)


@pytest.mark.parametrize("as_block", [False, True])
def test_a_stream_is_not_closed_with_the_scores_of_other_weights(
    qwen2_folder, as_block
):
    classifier = Classifier.from_pretrained(
        str(qwen2_folder), precision="float32", device="cpu"
    )
    stream = Stream(classifier)
    stream.push("one dog")
    with torch.no_grad():
        classifier.decoder.score.weight.mul_(1.5)
    end = partial(stream.__exit__, None, None, None) if as_block else stream.close
    with pytest.raises(ScoringError, match="E093"):
        end()
    assert (stream.close().status, stream.close().action) == ("error", "block")


def test_weights_can_change_while_no_stream_is_open(qwen2_folder):
    classifier = Classifier.from_pretrained(
        str(qwen2_folder), precision="float32", device="cpu"
    )
    batch = StreamBatch(classifier)
    with batch.open() as stream:
        stream.push("one dog")
    with torch.no_grad():
        classifier.decoder.layers[0].mlp.down_proj.weight.mul_(1.5)
    found = batch.open().push("one dog").probabilities
    np.testing.assert_allclose(found, classifier.score(["one dog"])[0], atol=1e-5)


def test_a_head_that_changes_ends_the_streams(qwen2_folder):
    """The forward pass has no copy of it."""
    classifier = Classifier.from_pretrained(
        str(qwen2_folder), precision="float32", device="cpu"
    )
    stream, closed = Stream(classifier), Stream(classifier)
    stream.push("one dog")
    closed.push("one dog")
    closed.close()
    with torch.no_grad():
        classifier.decoder.score.weight.mul_(1.5)
    with pytest.raises(ScoringError, match="E093"):
        stream.push(" more")
    assert stream.close().unsafe == 1.0
    assert closed.batch.open().push("two").status == "ok"  # none was open meanwhile


def test_a_category_that_is_added_ends_the_streams(qwen2_folder):
    classifier = Classifier.from_pretrained(
        str(qwen2_folder), precision="float32", device="cpu"
    )
    batch = StreamBatch(classifier)
    before = [batch.open() for _ in range(3)]
    batch.push(before, ["one dog", "two dogs", "a"])
    finished = before[2].close()
    add_labels(classifier.decoder, ["Spam"])
    found = batch.push(before[:2], [" more", " foxes"])
    assert [scores.status for scores in found] == ["error", "error"]
    assert isinstance(before[0].error, ScoringError)
    assert "E325" in str(before[0].error)
    assert before[2].close().probabilities.tolist() == finished.probabilities.tolist()
    with pytest.raises(ScoringError, match="E325"):
        batch.open()
    found = StreamBatch(classifier).open().push("one dog").probabilities
    np.testing.assert_allclose(found, classifier.score(["one dog"])[0], atol=1e-5)


def test_a_stream_goes_on_outside_of_inference_mode(small):
    text = "The dog sleeps and a fox jumps over it. " * 4
    with torch.inference_mode():
        stream = Stream(small)
        stream.push(text)
    for chunk in (text, text):  # windows begin and end
        found = stream.push(chunk).probabilities
    np.testing.assert_allclose(found, small.score([text * 3])[0], atol=1e-5)


def test_turns_are_the_conversation_so_far(small):
    turns = ["How are you?", "Fine, and the dog?", "", "He sleeps 🙂.", "x " * 30 + "y"]
    found = small.score_turns(turns)
    stream = Stream(small)
    for i in range(len(turns)):
        joined = " ".join(turns[: i + 1])
        np.testing.assert_allclose(found[i], small.score([joined])[0], atol=1e-5)
        if turns[i]:
            gap = " " * (1 + (turns[i - 1] == "")) if i else ""
            pushed = stream.push(gap + turns[i]).probabilities
            np.testing.assert_allclose(found[i], pushed, atol=1e-5)
    assert small.score_turns([]).shape == (0, 12)
    assert small.score_turns(["", "a"])[0].tolist() == [0.0] * 12


@pytest.mark.parametrize(
    "turns",
    [["a", ""], ["!", "", ""], ["", ""], ["a dog", "\n"], ["a ", " \t"], ["a "]],
)
def test_the_last_turn_is_the_whole_conversation(small, turns):
    found = small.score_turns(turns)[-1]
    np.testing.assert_allclose(found, small.score([" ".join(turns)])[0], atol=1e-5)


def test_memory_does_not_grow(small):
    stream = Stream(small)
    sizes = []
    for i in range(600):
        stream.push("dog " if i % 3 else "x, ")
        if i >= 100:
            reader = stream._state.reader
            sizes.append(
                (
                    len(reader.text._tail),
                    len(reader._scores),
                    len(reader.slots),
                    stream.batch.shared.cache.n_slots,
                )
            )
    assert max(sizes) <= (12, 6, 3, 4)


def test_a_word_without_end_is_cut_in_the_end(small, monkeypatch):
    monkeypatch.setattr(
        "spacy_duoguard.engine.streaming.incremental_tokenizer._MAX_CHARS", 64
    )
    stream = Stream(small)
    text = ""
    for _ in range(100):
        text += "xqz7"
        found = stream.push("xqz7").probabilities
    np.testing.assert_allclose(found, small.score([text])[0], atol=1e-5)
    assert len(stream._state.reader.text._tail) <= 80


def test_a_tokenizer_that_ends_texts_is_refused(monkeypatch, small):
    monkeypatch.setattr(small.tokenizer, "suffix", np.array([1], dtype=np.int32))
    with pytest.raises(SettingsError, match="E055"):
        Stream(small)
    with pytest.raises(SettingsError, match="E055"):
        small.score_turns(["a", "b"])
