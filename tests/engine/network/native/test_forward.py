"""The native kernels against the plain forward."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import TEXTS
from support.decoders import CONFIGS, make_batch, make_decoder
from support.threads import two_threads

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.network.inference import make_forward
from spacy_duoguard.engine.network.native import forward as native
from spacy_duoguard.engine.network.native import probe
from spacy_duoguard.engine.network.native.forward import NativeForward
from spacy_duoguard.engine.network.native.layout import KINDS
from spacy_duoguard.engine.network.packing import pack
from spacy_duoguard.engine.streaming.stream import Stream
from spacy_duoguard.errors import ScoringError, SettingsError

PRECISIONS = {
    "float32": (torch.float32, False),
    "bfloat16": (torch.bfloat16, False),
    "int8": (torch.float32, True),
}


def make_native(kernels, precision, config="qwen2"):
    dtype, int8 = PRECISIONS[precision]
    if not kernels.duoguard_supports(KINDS[torch.int8 if int8 else dtype]):
        pytest.skip(f"this processor doesn't multiply {precision}")
    return NativeForward(make_decoder(CONFIGS[config], dtype), kernels, int8=int8)


@pytest.fixture(params=PRECISIONS)
def forward(request, kernels):
    return make_native(kernels, request.param)


@pytest.fixture(params=[1, 3], ids=lambda n: f"{n} threads")
def threads(request, monkeypatch):
    monkeypatch.setattr(native, "_OPERATIONS_PER_THREAD", 1)
    with two_threads(request.param):
        yield request.param


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    "lengths", [[1], [5, 5], [13], [200, 64, 65, 3, 1, 1], [300, 300]], ids=str
)
def test_float32_equals_the_plain_forward(kernels, threads, config, lengths):
    fast = make_native(kernels, "float32", config)
    batch = make_batch(lengths, fast.decoder)
    with torch.inference_mode():
        expected, actual = fast.decoder(batch), fast(batch)
    assert expected.abs().max() > 0.5
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_bfloat16_is_as_near_to_float32_as_the_plain_forward(kernels, threads, config):
    fast = make_native(kernels, "bfloat16", config)
    exact = make_decoder(CONFIGS[config])
    batch = make_batch([200, 130, 64, 65, 20, 3, 1], exact)
    with torch.inference_mode():
        expected = exact(batch).sigmoid()
        plain = (fast.decoder(batch).sigmoid() - expected).abs()
        actual = (fast(batch).sigmoid() - expected).abs()
    assert 0 < actual.mean() <= 1.25 * plain.mean()
    assert actual.max() <= 3e-2


@pytest.mark.parametrize("config", CONFIGS)
def test_int8_drifts_like_the_products_of_torch(kernels, threads, config):
    fast = make_native(kernels, "int8", config)
    batch = make_batch([200, 130, 64, 20, 3, 1], fast.decoder)
    with torch.inference_mode():
        expected = fast.decoder(batch).sigmoid()
        plain = (CpuForward(fast.decoder, int8=True)(batch).sigmoid() - expected).abs()
        actual = (fast(batch).sigmoid() - expected).abs()
    assert 0 < actual.mean() <= 1.05 * plain.mean() < 0.02


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(list(PRECISIONS)),
    st.lists(st.integers(1, 90), min_size=1, max_size=8),
    st.integers(1, 3),
)
def test_a_score_depends_on_no_batch_mate_and_no_thread(kernels, name, lengths, n):
    fast = make_native(kernels, name)
    draw = np.random.default_rng(0)
    texts = [draw.integers(0, 300, length) for length in lengths]
    fast.threads = lambda rows: n
    together = fast.pooled(pack(texts))
    fast.threads = lambda rows: 1
    alone = torch.cat([fast.pooled(pack([text])) for text in texts])
    torch.testing.assert_close(together, alone, rtol=0, atol=0)


def test_all_rows_that_are_scored(kernels, threads):
    fast = make_native(kernels, "float32")
    draw = np.random.default_rng(0)
    texts = [draw.integers(0, 300, length) for length in (40, 17)]
    batch = pack(texts, rows=[np.arange(40), np.array([0, 3, 16])])
    expected = fast.decoder.pooled(batch)
    assert len(expected) == 43
    torch.testing.assert_close(fast.pooled(batch), expected, rtol=1e-5, atol=1e-5)


def test_rotary_tables_grow(kernels):
    fast = make_native(kernels, "float32")
    batch = make_batch([700], fast.decoder)
    torch.testing.assert_close(fast(batch), fast.decoder(batch), rtol=1e-5, atol=1e-5)


def test_layers_of_different_precision(kernels):
    fast = make_native(kernels, "bfloat16")
    fast.decoder.layers[-1].float()
    mixed = NativeForward(fast.decoder, kernels, int8=False)
    batch = make_batch([20, 3], fast.decoder)
    expected = make_decoder()(batch).sigmoid()
    assert (mixed(batch).sigmoid() - expected).abs().max() < 3e-2


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("layer", ["qkv", "o", "gate_up", "down"])
def test_weights_that_are_not_finite_give_no_score(kernels, precision, value, layer):
    decoder = make_native(kernels, precision).decoder
    block = decoder.layers[0]
    part = block.attention if layer in ("qkv", "o") else block.mlp
    getattr(part, f"{layer}_proj").weight[0, 0] = value
    broken = NativeForward(decoder, kernels, int8=PRECISIONS[precision][1])
    logits = broken(make_batch([20, 3], decoder))
    assert not logits.isfinite().any(dim=1).any()


def test_a_row_that_is_not_finite_spoils_no_other(forward):
    decoder = forward.decoder
    good, bad = np.arange(20), np.full(20, 299)
    expected = forward.pooled(pack([good]))
    with torch.no_grad():
        decoder.embedding.weight[299, 0] = float("nan")
    rows = forward.pooled(pack([good, bad]))
    torch.testing.assert_close(rows[:1], expected, rtol=0, atol=0)
    assert not rows[1].isfinite().any()


def test_threads_share_a_forward(forward):
    batches = [make_batch([n, 3], forward.decoder, seed=n) for n in range(5, 60, 5)]
    expected = [forward(batch) for batch in batches]
    with torch.inference_mode(), ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for actual, logits in zip(
                pool.map(forward, batches), expected, strict=True
            ):
                torch.testing.assert_close(actual, logits, rtol=0, atol=0)
    assert len(forward._spare) <= 2


def test_threads_follow_the_rows(kernels):
    fast = make_native(kernels, "float32")
    with two_threads(2):
        assert [fast.threads(rows) for rows in (1, 10_000, 10**7)] == [1, 2, 2]
    with two_threads(1):
        assert fast.threads(10**7) == 1


def test_too_little_memory_halves_the_batch(kernels, qwen2_folder, monkeypatch):
    classifier = Classifier.from_pretrained(str(qwen2_folder), kernels="native")
    borrow, sizes = NativeForward._borrow, []

    def limited(self, size):
        sizes.append(size)
        if size >= limit:
            raise MemoryError
        return borrow(self, size)

    monkeypatch.setattr(NativeForward, "_borrow", limited)
    limit = 1 << 40
    expected = classifier.score(TEXTS)
    limit = max(sizes)
    with pytest.warns(UserWarning, match="W005"):
        actual = classifier.score(TEXTS)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)
    assert classifier.runner.fallbacks.halvings >= 1


def test_streams_go_on_with_torch(kernels, qwen2_folder):
    scores = []
    for name in ("torch", "native"):
        classifier = Classifier.from_pretrained(
            str(qwen2_folder), precision="float32", kernels=name
        )
        stream = Stream(classifier)
        scores.append([stream.push(text).probabilities for text in TEXTS])
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-5)


def test_copies_leave_the_packed_weights_behind(kernels, qwen2_folder):
    classifier = Classifier.from_pretrained(str(qwen2_folder), kernels="native")
    expected = classifier.score(TEXTS)
    assert isinstance(classifier.runner.forward(), NativeForward)
    for copied in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        assert copied.runner.current._cached is None
        np.testing.assert_array_equal(copied.score(TEXTS), expected)


def test_weights_that_are_not_finite_are_an_error(kernels, qwen2_folder):
    classifier = Classifier.from_pretrained(str(qwen2_folder), kernels="native")
    classifier.decoder.layers[0].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(ScoringError, match="E040"):
        classifier.score(TEXTS)


def test_wrong_kernels_are_not_used(kernels, monkeypatch):
    probe.check_products.cache_clear()
    pooled = NativeForward.pooled
    monkeypatch.setattr(NativeForward, "pooled", lambda self, b: 2 * pooled(self, b))
    with pytest.raises(SettingsError, match="E237"):
        probe.check_products(torch.float32)
    with pytest.warns(UserWarning, match=r"W020.*E237"):
        forward = make_forward(make_decoder(), int8=False, kernels="native")
    assert isinstance(forward, CpuForward)


def test_another_layout_is_refused(monkeypatch):
    class Other:
        @staticmethod
        def duoguard_sizes(which):
            return 0

    with pytest.raises(SettingsError, match="E234"):
        NativeForward(make_decoder(), Other, int8=False)


def test_a_precision_without_instructions_is_refused():
    structures = (native.Product, native.Layer, native.Model, native.Batch)

    class Without:
        @staticmethod
        def duoguard_sizes(which):
            return native.sizeof(structures[which])

        @staticmethod
        def duoguard_supports(kind):
            return kind == KINDS[torch.float32]

    decoder = make_decoder(dtype=torch.bfloat16)
    for int8, precision in ((False, "bfloat16"), (True, "int8")):
        with pytest.raises(SettingsError, match=f"E236.*{precision}"):
            NativeForward(decoder, Without, int8=int8)
