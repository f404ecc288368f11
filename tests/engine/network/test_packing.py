"""Packed batches: every sequence as if it were alone."""

from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import TEXTS

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.attention import packed_attention
from spacy_duoguard.engine.network.packing import pack, plan_batches

LENGTHS = [
    [1],
    [5, 5, 5],
    [9, 7, 3, 1],
    [40, 12, 12, 1],
    [1, 40, 2, 39, 17],
    [3, 3, 200, 180, 3],
]

lengths_lists = st.lists(st.integers(1, 60), min_size=1, max_size=12)


def make_sequences(lengths, *, high=100, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(high, size=length).astype(np.int32) for length in lengths]


# Plans


@given(lengths=st.lists(st.integers(1, 60)), max_tokens=st.integers(1, 150))
def test_a_plan_has_every_index_once_within_the_budget(lengths, max_tokens):
    batches = plan_batches(lengths, max_tokens=max_tokens)
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert order == sorted(order, key=lambda i: (-lengths[i], i))
    for batch in batches:
        assert sum(lengths[i] for i in batch) <= max_tokens or len(batch) == 1
    for batch, following in pairwise(batches):
        used = sum(lengths[i] for i in batch)
        assert used + lengths[following[0]] > max_tokens
    assert plan_batches(tuple(lengths), max_tokens=max_tokens) == batches


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([50], [[0]]),
        ([3, 9, 5, 5], [[1], [2, 3], [0]]),
        ([5, 5, 5], [[0, 1], [2]]),
        ([1, 2, 3], [[2, 1, 0]]),
    ],
)
def test_plans_by_hand(lengths, expected):
    assert plan_batches(lengths, max_tokens=10) == expected


# Batches


@settings(deadline=None)
@given(lengths=lengths_lists)
def test_a_batch_lays_sequences_end_to_end(lengths):
    sequences = make_sequences(lengths)
    batch = pack(sequences)
    assert batch.token_ids.tolist() == np.concatenate(sequences).tolist()
    assert batch.positions.tolist() == [i for n in lengths for i in range(n)]
    assert batch.scored_rows.tolist() == (np.cumsum(lengths) - 1).tolist()
    assert batch.token_ids.dtype == batch.positions.dtype == torch.int64


@settings(deadline=None)
@given(lengths=lengths_lists)
def test_groups_cover_the_rows_in_order(lengths):
    batch = pack(make_sequences(lengths))
    ends = np.cumsum(lengths).tolist()
    starts = [end - length for end, length in zip(ends, lengths, strict=True)]
    first_row = first = 0
    for group in batch.groups:
        grouped = lengths[first : first + group.size]
        assert group.length == max(grouped)
        assert group.rows == slice(first_row, first_row + sum(grouped))
        assert max(grouped) - min(grouped) <= max(16, max(grouped) // 8)
        if group.gather is None:
            assert group.keep is None
            assert set(grouped) == {group.length}
        else:
            rows = group.gather.view(group.size, group.length).tolist()
            for row, start, length in zip(rows, starts[first:], grouped, strict=False):
                assert row[:length] == list(range(start, start + length))
                # Padding never looks at another sequence.
                assert set(row) == set(range(start, start + length))
            kept = group.gather[group.keep].tolist()
            assert kept == list(range(first_row, first_row + sum(grouped)))
        first_row, first = group.rows.stop, first + group.size
    assert (first_row, first) == (sum(lengths), len(lengths))


# Attention


def plain_attention(query, key, value, lengths):
    """Softmax attention of each sequence on its own, by the book."""
    repeats = query.shape[1] // key.shape[1]
    outputs = []
    for q, k, v in zip(
        *(rows.split(lengths) for rows in (query, key, value)), strict=True
    ):
        k, v = (rows.repeat_interleave(repeats, dim=1) for rows in (k, v))
        logits = torch.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
        hidden = torch.ones(len(q), len(q), dtype=torch.bool).triu(1)
        weights = logits.masked_fill(hidden, float("-inf")).softmax(-1)
        outputs.append(torch.einsum("hqk,khd->qhd", weights, v).flatten(1))
    return torch.cat(outputs)


def make_rows(lengths, kv_heads, dtype):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(sum(lengths), heads, 8, generator=generator, dtype=dtype)
        for heads in (4, kv_heads, kv_heads)
    ]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_packed_attention_is_attention_of_each_sequence(lengths, kv_heads):
    rows = make_rows(lengths, kv_heads, torch.float32)
    output = packed_attention(*rows, pack(make_sequences(lengths)))
    assert output.shape == (sum(lengths), 32)
    assert (output - plain_attention(*rows, lengths)).abs().max() < 1e-6


@pytest.mark.parametrize("kv_heads", [2, 4])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_packed_attention_has_the_gradients_of_each_sequence(lengths, kv_heads):
    batch = pack(make_sequences(lengths))
    rows = make_rows(lengths, kv_heads, torch.float64)
    rows = [tensor.requires_grad_() for tensor in rows]
    outputs = packed_attention(*rows, batch), plain_attention(*rows, lengths)
    assert (outputs[0] - outputs[1]).abs().max() < 1e-12
    weights = torch.linspace(-1, 1, outputs[0].numel(), dtype=torch.float64)
    ours, plain = (
        torch.autograd.grad((output.flatten() * weights).sum(), rows)
        for output in outputs
    )
    for ours_of, plain_of in zip(ours, plain, strict=True):
        assert (ours_of - plain_of).abs().max() < 1e-11


# The decoder


@pytest.fixture(scope="module", params=["qwen2_folder", "llama_folder"])
def loaded(request):
    folder = str(request.getfixturevalue(request.param))
    return Classifier.from_pretrained(folder, precision="float32", device="cpu")


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_a_packed_forward_is_that_of_each_sequence(loaded, lengths):
    decoder, sequences = loaded.decoder, make_sequences(lengths)
    with torch.inference_mode():
        packed = decoder(pack(sequences))
        alone = torch.cat([decoder(pack([ids])) for ids in sequences])
        hidden = decoder.hidden(pack(sequences))
        rows = torch.cat([decoder.hidden(pack([ids])) for ids in sequences])
    assert packed.shape == (len(lengths), 12)
    assert packed.dtype == torch.float32
    assert (packed.sigmoid() - alone.sigmoid()).abs().max() < 1e-5
    torch.testing.assert_close(hidden, rows, rtol=1e-4, atol=1e-4)


def test_a_packed_forward_in_bfloat16_is_that_of_each_sequence(qwen2_folder):
    options = {"precision": "bfloat16", "device": "cpu"}
    decoder = Classifier.from_pretrained(str(qwen2_folder), **options).decoder
    sequences = make_sequences([40, 38, 12, 1])
    with torch.inference_mode():
        packed = decoder(pack(sequences)).sigmoid()
        alone = torch.cat([decoder(pack([ids])) for ids in sequences]).sigmoid()
    assert (packed - alone).abs().max() < 3e-2


@settings(deadline=None, max_examples=20)
@given(order=st.permutations(range(6)))
def test_the_order_of_a_batch_does_not_matter(classifier, order):
    sequences = make_sequences([30, 28, 17, 9, 2, 1])
    with torch.inference_mode():
        expected = classifier.decoder(pack(sequences))[list(order)]
        logits = classifier.decoder(pack([sequences[i] for i in order]))
    assert (logits.sigmoid() - expected.sigmoid()).abs().max() < 1e-5


def test_no_sequence_sees_another(loaded):
    sequences = make_sequences([20, 18, 4])
    others = [sequences[0], *make_sequences([18, 4], seed=1)]
    with torch.inference_mode():
        logits = [loaded.decoder(pack(batch)) for batch in (sequences, others)]
    assert logits[0][0].equal(logits[1][0])
    assert not torch.allclose(logits[0][1:], logits[1][1:])


@pytest.mark.parametrize("budget", [1, 7, 64, 100_000])
def test_the_budget_does_not_change_scores(qwen2_folder, classifier, budget):
    options = {"precision": "float32", "device": "cpu", "max_batch_tokens": budget}
    other = Classifier.from_pretrained(str(qwen2_folder), **options)
    assert np.abs(other.score(TEXTS) - classifier.score(TEXTS)).max() < 1e-5


def test_gradients_of_a_batch_are_the_sum_of_the_single_ones(loaded):
    decoder = deepcopy(loaded.decoder).requires_grad_()
    sequences = make_sequences([24, 20, 3, 1])
    weights = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))

    def gradients(ids, rows):
        decoder.zero_grad()
        (decoder(pack(ids)) * rows).sum().backward()
        return {name: p.grad.clone() for name, p in decoder.named_parameters()}

    packed = gradients(sequences, weights)
    single = [gradients([ids], weights[[i]]) for i, ids in enumerate(sequences)]
    for name, gradient in packed.items():
        assert gradient.abs().max() > 0, name
        expected = sum(alone[name] for alone in single)
        tolerance = 1e-4 * expected.abs().max().item()
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=tolerance)
