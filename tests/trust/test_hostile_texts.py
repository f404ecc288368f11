"""Whatever a text looks like, it is scored as it stands and to its end."""

from itertools import pairwise

import numpy as np
import pytest
import spacy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import ADDED_TOKENS, TEXTS, make_tokenizer

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.text.windows import split_windows
from spacy_duoguard.taxonomy import CATEGORIES

KEYS = [*CATEGORIES, "unsafe"]
LONG = "The quick brown fox jumps over the lazy dog. " * 120
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)

SIZES = st.integers(1, 40).flatmap(
    lambda window: st.tuples(st.just(window), st.integers(1, window))
)

# Each digit is one token.
FILL, MARKER = "0", "789"


@pytest.fixture(scope="module")
def nlp(qwen2_folder):
    nlp = spacy.blank("en")
    model = {"name": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    nlp.add_pipe("duoguard", config={"model": model})
    return nlp


@pytest.fixture(scope="module")
def bfloat16_classifier(qwen2_folder):
    return Classifier.from_pretrained(
        str(qwen2_folder), precision="bfloat16", device="cpu"
    )


@pytest.fixture
def tripwire(monkeypatch, classifier):
    """A forward that flags the windows that contain the whole marker, and no others."""
    marker = classifier.tokenizer.encode(MARKER).ids.tolist()
    assert len(marker) == len(MARKER)

    def fire(self, batch):
        ends = batch.cu_seqlens.tolist()
        logits = np.full((len(ends) - 1, len(CATEGORIES)), -9.0, dtype=np.float32)
        for i, (start, stop) in enumerate(pairwise(ends)):
            ids = batch.token_ids[start:stop].tolist()
            if any(ids[j : j + 3] == marker for j in range(len(ids))):
                logits[i, 8] = 9.0
        return torch.from_numpy(logits)

    monkeypatch.setattr(CpuForward, "__call__", fire)


def test_text_after_an_added_token_is_scored(classifier):
    whole, before = classifier.score(["hi<|endoftext|>X", "hi"])
    assert np.abs(whole - before).max() > 1e-2
    ids = classifier.tokenizer.encode("hi<|endoftext|>X").ids
    assert ids.max() < make_tokenizer().token_to_id(ADDED_TOKENS[0])


@pytest.mark.parametrize("token", ADDED_TOKENS)
def test_added_tokens_are_ordinary_text(classifier, token):
    tokenizer = classifier.tokenizer
    first = make_tokenizer().token_to_id(ADDED_TOKENS[0])
    texts = [token, f"hi{token}X", f"hi {token} X", token * 3]
    for text in texts:
        ids = tokenizer.encode(text).ids
        assert len(ids) > 1
        assert ids.max() < first
    scores = classifier.score([*texts, "hi", "hiX", "hi  X"])
    assert np.isfinite(scores).all()
    distances = np.abs(scores[:, None] - scores[None]).max(-1)
    assert (distances[~np.eye(len(scores), dtype=bool)] > 1e-4).all()


@settings(deadline=None)
@given(text=TEXT, mates=st.lists(TEXT, min_size=1, max_size=15), index=st.integers())
def test_a_score_does_not_depend_on_batch_mates(classifier, text, mates, index):
    alone = classifier.score([text])[0]
    index %= len(mates) + 1
    together = classifier.score([*mates[:index], text, *mates[index:]])[index]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=15))
def test_a_bfloat16_score_does_not_depend_on_batch_mates(bfloat16_classifier, texts):
    alone = np.concatenate([bfloat16_classifier.score([text]) for text in texts])
    np.testing.assert_allclose(bfloat16_classifier.score(texts), alone, atol=3e-2)


@settings(max_examples=50, deadline=None)
@given(order=st.permutations(range(len(TEXTS))))
def test_a_permuted_batch_keeps_its_order(classifier, order):
    expected = classifier.score(TEXTS)[list(order)]
    permuted = classifier.score([TEXTS[i] for i in order])
    np.testing.assert_allclose(permuted, expected, atol=1e-5)


def test_a_text_without_tokens_is_empty(make_nlp):
    nlp = make_nlp()
    empty, other = nlp.pipe(["", "a"])
    assert empty.cats == dict.fromkeys(KEYS, 0.0)
    assert empty._.duoguard_status == "empty"
    assert empty._.duoguard_flags == []
    assert empty._.duoguard_windows == []
    assert other.cats == pytest.approx(nlp("a").cats, abs=1e-5)
    assert [doc.cats["unsafe"] for doc in nlp.pipe(["", ""])] == [0.0, 0.0]


@pytest.mark.parametrize("text", [" ", "\0", "\ufeff", "\u200b", "\n\n", "\U0001f642"])
def test_invisible_texts_are_scored(make_nlp, text):
    doc = make_nlp()(text)
    assert doc._.duoguard_status == "ok"
    assert list(doc.cats) == KEYS
    assert 0.0 < doc.cats["unsafe"] < 1.0


@pytest.mark.parametrize("start", [0, 511, 512, 513, 5000, None])
@pytest.mark.parametrize("length", [6000, 5003])
def test_a_marker_is_flagged_at_any_position(tripwire, make_nlp, start, length):
    start = length - len(MARKER) if start is None else start
    text = FILL * start + MARKER + FILL * (length - start - len(MARKER))
    doc = make_nlp()(text)
    assert doc.cats["unsafe"] >= 0.99
    assert doc._.duoguard_flags == ["Hate"]
    fired = [w for w in doc._.duoguard_windows if w["probs"][8] > 0.5]
    assert fired
    assert all(w["start"] <= start and start + 3 <= w["end"] for w in fired)
    assert make_nlp()(FILL * length)._.duoguard_flags == []


@given(n_tokens=st.integers(0, 200), size=SIZES)
def test_windows_cover_every_token_with_overlap(n_tokens, size):
    window, stride = size
    windows = split_windows(n_tokens, window=window, stride=stride)
    assert [start for start, _ in windows] == [i * stride for i in range(len(windows))]
    assert {i for start, stop in windows for i in range(start, stop)} == set(
        range(n_tokens)
    )
    assert all(stop - start == window for start, stop in windows[:-1])
    assert all(0 < stop - start <= window for start, stop in windows[-1:])
    assert all(stop == n_tokens for _, stop in windows[-1:])
    assert all(stop < n_tokens for _, stop in windows[:-1])
    # Any run of tokens that is no longer than the overlap lies in one window.
    run = min(window - stride, n_tokens)
    for start in range(n_tokens - run + 1):
        assert not run or any(a <= start and start + run <= b for a, b in windows)


@pytest.mark.parametrize("filler", [" " * 70_000, "\n" * 20_000])
def test_filling_the_window_hides_nothing(tripwire, classifier, filler):
    for text in (filler + MARKER, filler + MARKER + filler, MARKER + filler):
        assert classifier.score([text])[0, 8] >= 0.99
    assert classifier.score([filler])[0, 8] < 0.01


@pytest.mark.parametrize("max_windows", [1, 2, 5])
def test_exceeding_max_windows_is_reported(make_nlp, max_windows):
    every = make_nlp(model={"window": 64, "stride": 48})(LONG)._.duoguard_windows
    nlp = make_nlp(model={"window": 64, "stride": 48, "max_windows": max_windows})
    doc = nlp(LONG)
    last = max_windows // 2
    kept = every[: max_windows - last] + every[len(every) - last :]
    assert doc._.duoguard_status == "truncated"
    assert [w["start"] for w in doc._.duoguard_windows] == [w["start"] for w in kept]
    assert nlp("a dog")._.duoguard_status == "ok"


@pytest.mark.parametrize(
    "disguise",
    [
        "7\u200b8\u200d9",
        "\uff17\uff18\uff19",
        "7\U000e00788\U000e007f9",
        "7\u20608\ufe0f9",
    ],
)
def test_normalize_reveals_a_disguised_marker(tripwire, make_nlp, disguise):
    text = f"one {disguise} two"
    raw, both = make_nlp()(text), make_nlp(normalize=True)(text)
    assert raw.cats["unsafe"] < 0.01
    assert both.cats["unsafe"] >= 0.99
    assert both._.duoguard_flags == ["Hate"]


@settings(deadline=None)
@given(text=TEXT)
def test_normalize_lowers_no_score(nlp, text):
    component = nlp.get_pipe("duoguard")
    raw = nlp(text).cats
    component.cfg["normalize"] = True
    try:
        both = nlp(text).cats
    finally:
        component.cfg["normalize"] = False
    # Batch mates may change the last bits.
    assert all(both[key] >= raw[key] - 1e-6 for key in KEYS)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=8))
def test_every_doc_has_thirteen_probabilities(nlp, texts):
    alone = [nlp(text).cats for text in texts]
    docs = list(nlp.pipe(texts, batch_size=3))
    assert [doc.text for doc in docs] == texts
    for doc, cats in zip(docs, alone, strict=True):
        assert list(doc.cats) == KEYS
        values = list(doc.cats.values())
        assert {type(value) for value in values} == {float}
        assert all(0.0 <= value <= 1.0 for value in values)
        assert values[-1] == max(values[:-1])
        assert doc.cats == pytest.approx(cats, abs=1e-5)


def test_an_unpaired_surrogate_is_refused(make_nlp, classifier):
    """By spaCy's tokenizer, and by ours when used without spaCy."""
    nlp = make_nlp()
    for text in ("\ud800", "a dog \udfff sleeps"):
        with pytest.raises(UnicodeEncodeError):
            nlp(text)
        with pytest.raises(RuntimeError, match="E052"):
            classifier.score(["fine", text])
        repaired = text.encode("utf8", "replace").decode("utf8")
        assert nlp(repaired)._.duoguard_status == "ok"


@pytest.mark.parametrize(
    "text",
    [
        "\u202eelbisivni\u202c",
        "NUL\0 in\0side",
        "\ufeffBOM",
        "\u2028\u2029",
        "\x85\x1f\x7f",
    ],
)
def test_control_characters_are_ordinary_text(make_nlp, text):
    doc = make_nlp(normalize=True)(f"How to {text} sleep")
    assert doc.text == f"How to {text} sleep"
    assert doc._.duoguard_status == "ok"
    assert doc.cats["unsafe"] >= make_nlp()(doc.text).cats["unsafe"] - 1e-6
    without = make_nlp()("How to  sleep").cats
    assert doc.cats != pytest.approx(without, abs=1e-4)
