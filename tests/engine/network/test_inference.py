"""The fast forwards against the plain one."""

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

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network import attention, cpu
from spacy_duoguard.engine.network import blocked_linear as blocked
from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.network.cuda_graph import (
    GRAPH_LENGTHS,
    graph_shape,
    pad_batch,
)
from spacy_duoguard.engine.network.decoder import Decoder
from spacy_duoguard.engine.network.device import resolve_precision
from spacy_duoguard.engine.network.inference import CurrentForward, make_forward
from spacy_duoguard.engine.network.int8_linear import (
    Int8Linear,
    int8_products,
    quantize_rows,
)
from spacy_duoguard.errors import ScoringError, SettingsError

CPU = torch.device("cpu")

needs_int8 = pytest.mark.skipif(
    not int8_products(), reason="this CPU has no VNNI instructions"
)


@pytest.fixture(params=["oneDNN", "plain"])
def products(request, monkeypatch):
    """Both with the private products and where they are missing."""
    if request.param == "plain":
        monkeypatch.setattr(cpu, "blocked_products", lambda dtype: False)
    elif not blocked.blocked_products(torch.float32):
        pytest.skip("this torch has no products with blocked weights")
    return request.param


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("lengths", [[1], [5, 5], [200, 64, 65, 3, 1, 1]], ids=str)
def test_float32_equals_the_plain_forward(products, config, lengths):
    decoder = make_decoder(config)
    batch = make_batch(lengths, decoder)
    with torch.inference_mode():
        expected, actual = decoder(batch), CpuForward(decoder)(batch)
    assert expected.abs().max() > 0.5
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_bfloat16_is_as_near_to_float32_as_the_plain_forward(products, config):
    exact = make_decoder(config)
    rounded = make_decoder(config, torch.bfloat16)
    batch = make_batch([200, 130, 64, 65, 20, 3, 1], exact)
    with torch.inference_mode():
        expected = exact(batch).sigmoid()
        plain = (rounded(batch).sigmoid() - expected).abs()
        fast = (CpuForward(rounded)(batch).sigmoid() - expected).abs()
    assert 0 < fast.mean() <= 1.25 * plain.mean()
    assert fast.max() <= 3e-2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=8), st.booleans())
def test_bfloat16_attention_in_blocks_equals_the_plain_one(lengths, llama):
    decoder = make_decoder(CONFIGS["llama" if llama else "qwen2"], torch.bfloat16)
    batch = make_batch(lengths, decoder)
    config = decoder.config
    heads = (config.num_attention_heads, *2 * [config.num_key_value_heads])
    draw = torch.Generator().manual_seed(2)
    rows = [
        torch.randn(sum(lengths), n, config.head_dim, generator=draw).bfloat16()
        for n in heads
    ]
    expected = cpu.packed_attention(*(tensor.float() for tensor in rows), batch)
    actual = cpu.blocked_attention(*rows, batch).float()
    torch.testing.assert_close(actual, expected, rtol=0.05, atol=0.05)


def test_rows_of_the_feed_forward_layers_are_computed_in_blocks(monkeypatch):
    decoder = make_decoder()
    batch = make_batch([40, 30, 20], decoder)
    whole = CpuForward(decoder)(batch)
    monkeypatch.setattr(cpu, "_BLOCK_ROWS", 7)
    torch.testing.assert_close(CpuForward(decoder)(batch), whole, rtol=1e-6, atol=1e-6)


def test_pooled_rows_are_those_of_the_whole_last_layer():
    decoder = make_decoder()
    batch = make_batch([9, 4, 1], decoder)
    expected = decoder.norm(decoder.hidden(batch)[batch.scored_rows])
    torch.testing.assert_close(decoder.pooled(batch), expected, rtol=1e-6, atol=1e-6)


def test_layers_of_different_precision(products):
    decoder = make_decoder(dtype=torch.bfloat16)
    decoder.layers[-1].float()
    batch = make_batch([20, 3], decoder)
    actual = CpuForward(decoder)(batch).sigmoid()
    expected = make_decoder()(batch).sigmoid()
    assert (actual - expected).abs().max() < 3e-2


@needs_int8
@pytest.mark.parametrize("bias", [False, True])
def test_int8_product(bias):
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 96, generator=draw) * torch.logspace(-3, 2, 64)[:, None]
    offset = torch.randn(64, generator=draw) if bias else None
    x = torch.randn(17, 96, generator=draw) * torch.logspace(-3, 3, 17)[:, None]
    expected = torch.nn.functional.linear(x, weight, offset)
    actual = Int8Linear(weight, offset)(x.clone())
    # Rounding both factors to 1/127 of their peaks: an error of about 1 % of the
    # product of the row's and the channel's lengths, at any scale of either.
    scale = x.norm(dim=1, keepdim=True) * weight.norm(dim=1)
    assert ((actual - expected).abs() / scale).max() < 0.01


@needs_int8
def test_int8_rows_do_not_depend_on_each_other():
    draw = torch.Generator().manual_seed(0)
    product = Int8Linear(torch.randn(64, 96, generator=draw), None)
    x = torch.randn(40, 96, generator=draw)
    together = product(x.clone())
    alone = torch.cat([product(row[None].clone()) for row in x])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20))
def test_quantized_rows(values):
    x = torch.tensor([values])
    rows, scale = quantize_rows(x.clone())
    back = (rows.float() - 128) * scale
    assert (back - x).abs().max() <= scale.max() * 0.5001
    assert rows.min() >= 1  # symmetric: -128 is not used


def test_a_row_that_is_not_finite_stays_so():
    for value in (float("nan"), float("inf"), float("-inf")):
        _, scale = quantize_rows(torch.tensor([[1.0, value], [1.0, 2.0]]))
        assert scale.isfinite().tolist() == [[False], [True]]


@needs_int8
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_int8_drift_little(config):
    decoder = make_decoder(config)
    batch = make_batch([200, 130, 64, 20, 3, 1], decoder)
    with torch.inference_mode():
        expected = decoder(batch).sigmoid()
        actual = CpuForward(decoder, int8=True)(batch).sigmoid()
    difference = (actual - expected).abs()
    assert 0 < difference.mean() < 0.02


@needs_int8
def test_int8_through_the_classifier(qwen2_folder):
    plain = Classifier.from_pretrained(str(qwen2_folder), precision="auto")
    eight = Classifier.from_pretrained(str(qwen2_folder), precision="int8")
    texts = list(TEXTS)
    assert eight.decoder.dtype == plain.decoder.dtype  # what is saved
    difference = abs(eight.score(texts) - plain.score(texts))
    assert 0 < difference.mean() < 0.02
    alone = np.concatenate([eight.score([text]) for text in texts])
    assert abs(eight.score(texts) - alone).max() < 3e-2
    broken = copy.deepcopy(eight)
    broken.decoder.layers[0].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(ScoringError, match="E040"):
        broken.score(texts)


def test_int8_where_it_is_not_available(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    int8_products.cache_clear()
    try:
        with pytest.raises(SettingsError, match=r"E054.*VNNI.*'auto'"):
            resolve_precision("int8", CPU)
    finally:
        int8_products.cache_clear()
    with pytest.raises(SettingsError, match=r"E054.*'cuda'"):
        resolve_precision("int8", torch.device("cuda"))


def test_private_products_are_used_only_where_they_are_right(monkeypatch):
    monkeypatch.setattr(
        blocked.BlockedLinear, "times", lambda self, x, other: self.apply(x)
    )
    blocked.blocked_products.cache_clear()
    try:
        assert not blocked.blocked_products(torch.float32)
    finally:
        blocked.blocked_products.cache_clear()


def test_changed_weights_are_seen():
    decoder = make_decoder()
    forward = CurrentForward(decoder, int8=False)
    batch = make_batch([9, 4], decoder)
    before = forward.get()(batch)
    assert forward.get() is forward.get()
    with torch.no_grad():
        decoder.layers[0].mlp.down_proj.weight.mul_(2)  # in place
    in_place = forward.get()(batch)
    assert not torch.equal(before, in_place)
    torch.testing.assert_close(in_place, decoder(batch), rtol=1e-5, atol=1e-5)
    weight = decoder.layers[1].attention.qkv_proj.weight
    weight.data = weight.data * 2  # as thinc's shim assigns
    torch.testing.assert_close(
        forward.get()(batch), decoder(batch), rtol=1e-5, atol=1e-5
    )


def test_copies_leave_the_laid_out_weights_behind(classifier):
    expected = classifier.score(TEXTS)
    for copied in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        assert copied.runner.current._cached is None
        np.testing.assert_array_equal(copied.score(TEXTS), expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_threads_share_a_forward(qwen2_folder, precision):
    classifier = Classifier.from_pretrained(str(qwen2_folder), precision=precision)
    texts = [text * n for text in TEXTS for n in (1, 3, 9)]
    expected = [classifier.score([text]) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            actual = list(pool.map(lambda text: classifier.score([text]), texts))
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("length", GRAPH_LENGTHS[:3])
def test_a_padded_text_reads_as_itself(length):
    """What a CUDA graph computes, without the graph."""
    decoder = make_decoder()
    for total in (1, length - 1, length):
        batch = make_batch([total], decoder)
        padded = pad_batch(batch, graph_shape(batch, packs=False))
        assert len(padded.token_ids) in GRAPH_LENGTHS[: GRAPH_LENGTHS.index(length) + 1]
        torch.testing.assert_close(
            decoder.pooled(padded), decoder.pooled(batch), rtol=1e-5, atol=1e-5
        )


def test_a_decoder_on_another_device_scores_with_the_plain_forward():
    decoder = Decoder(DecoderConfig.from_dict(CONFIGS["qwen2"]), device="meta")
    assert make_forward(decoder, int8=False) is decoder
    with pytest.raises(SettingsError, match="E054"):
        make_forward(decoder, int8=True)


def test_a_classifier_on_the_cpu_uses_the_fast_path(classifier):
    assert isinstance(classifier.runner.forward(), CpuForward)


@given(st.integers(0, 3000))
def test_batches_are_padded_to_few_sizes(size):
    ids = torch.arange(1, size + 1)
    padded = cpu.pad_to_few_sizes(ids)
    assert size <= len(padded) <= size + max(7, size // 8)
    assert torch.equal(padded[:size], ids)
    assert not padded[size:].any()
    assert torch.equal(cpu.pad_to_few_sizes(padded), padded)


def test_few_sizes_of_a_default_batch():
    sizes = {len(cpu.pad_to_few_sizes(torch.zeros(n))) for n in range(1, 1025)}
    assert len(sizes) < 55


@pytest.mark.parametrize("int8", [False, pytest.param(True, marks=needs_int8)])
def test_padding_changes_no_score(int8, monkeypatch):
    decoder = make_decoder()
    forward = CpuForward(decoder, int8=int8)
    batch = make_batch([70, 9, 2], decoder)
    padded = forward(batch)
    monkeypatch.setattr(cpu, "pad_to_few_sizes", lambda ids: ids)
    torch.testing.assert_close(padded, forward(batch), rtol=1e-5, atol=1e-5)


def test_short_texts_attend_like_long_ones(monkeypatch):
    decoder = make_decoder(dtype=torch.bfloat16)
    batch = make_batch([64, 60, 33, 5, 1], decoder)
    short = CpuForward(decoder)(batch).sigmoid()
    monkeypatch.setattr(attention, "_SHORT", 0)
    blocks = CpuForward(decoder)(batch).sigmoid()
    assert 0 < (short - blocks).abs().max() < 3e-2
