"""The forward pass for CUDA on a stand-in for the device. On a GPU: test_gpu.py."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from support.cuda import SCHEMAS, FakeCuda, use_torch
from support.decoders import CONFIGS, make_batch, make_decoder
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from spacy_duoguard.engine.fallbacks import ATTENTION, GRAPHS
from spacy_duoguard.engine.network import attention, cpu, cuda, flash_probe, inference
from spacy_duoguard.engine.network.attention import packed_attention, varlen_attention
from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.network.cuda import CudaForward
from spacy_duoguard.engine.network.cuda_graph import GraphShape, graph_shape
from spacy_duoguard.engine.network.inference import CurrentForward

INSTALLED = ".".join(torch.__version__.split(".")[:2])
BATCHES = [[9], [16], [200, 64, 65, 3, 1, 1], [7, 7]]


@pytest.fixture
def fake_cuda(monkeypatch):
    use_torch(monkeypatch, INSTALLED)
    return FakeCuda(monkeypatch)


def scores(forward, batch):
    with torch.inference_mode():
        return forward(batch).sigmoid()


def assert_near(found, expected):
    assert (found - expected).abs().max() <= 3e-2


def test_the_recorded_signature_is_that_of_the_installed_torch():
    schema = str(torch.ops.aten._flash_attention_forward.default._schema)
    assert schema == f"aten::_flash_attention_forward{SCHEMAS[INSTALLED]}"


@pytest.mark.parametrize("version", SCHEMAS)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_packed_rows_attend_in_one_call_in_every_torch(monkeypatch, version, config):
    use_torch(monkeypatch, version)
    decoder = make_decoder(config)
    batch = make_batch([70, 33, 32, 5, 1], decoder)
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    draw = torch.Generator().manual_seed(0)
    rows = [
        torch.randn(len(batch.token_ids), n, 8, generator=draw).bfloat16()
        for n in (heads, kv_heads, kv_heads)
    ]
    expected = packed_attention(*(x.float() for x in rows), batch)
    found = varlen_attention(*rows, batch).float()
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("version", SCHEMAS)
@pytest.mark.parametrize("lengths", BATCHES, ids=str)
def test_bfloat16_equals_the_plain_forward_in_every_torch(
    monkeypatch, version, lengths
):
    use_torch(monkeypatch, version)
    FakeCuda(monkeypatch)
    decoder = make_decoder(dtype=torch.bfloat16)
    forward = CudaForward(decoder)
    used = []

    def counted(*args):
        used.append(args)
        return varlen_attention(*args)

    monkeypatch.setattr(cuda, "varlen_attention", counted)
    batch = make_batch(lengths, decoder)
    assert_near(scores(forward, batch), make_decoder()(batch).sigmoid())
    assert used
    assert not forward.fallbacks.counts


def test_groups_are_only_made_where_they_are_needed(fake_cuda):
    half, full = make_decoder(dtype=torch.bfloat16), make_decoder()
    for decoder, needed in ((half, False), (full, True)):
        batch = make_batch([20, 9, 3], decoder)
        scores(CudaForward(decoder), batch)
        assert ("groups" in vars(batch)) == needed


def test_a_kernel_that_is_missing_is_reported_and_not_used(monkeypatch, fake_cuda):
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", None)
    decoder = make_decoder(dtype=torch.bfloat16)
    forward, batch = CudaForward(decoder), make_batch([20, 9, 3], decoder)
    with pytest.warns(UserWarning, match=r"W005.*AttributeError.*kernel isn't used"):
        found = scores(forward, batch)
    torch.testing.assert_close(found, decoder(batch).sigmoid())
    assert forward.fallbacks.counts[ATTENTION] == 1


@pytest.mark.parametrize("error", [TypeError, ValueError, RuntimeError])
def test_a_kernel_that_refuses_the_model_is_not_used(monkeypatch, fake_cuda, error):
    """Whatever it raises: here because of the size of the heads."""

    class Refusing:
        def default(self, *args, **kwargs):
            raise error("head_size should be a multiple of 8")

    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", Refusing())
    decoder = make_decoder()
    for _ in range(2):  # the second time from memory
        problem = flash_probe.flash_problem(
            decoder.config, torch.bfloat16, decoder.device
        )
        assert problem.startswith(f"{error.__name__} in test_cuda.py")


def test_a_kernel_with_wrong_output_is_not_used(monkeypatch, fake_cuda):
    operator = torch.ops.aten._flash_attention_forward

    class Wrong:
        def default(self, query, key, value, *args, **kwargs):
            return operator.default(query, key, value.flip(0), *args, **kwargs)

    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", Wrong())
    config, cpu_device = make_decoder().config, torch.device("cpu")
    problem = flash_probe.flash_problem(config, torch.bfloat16, cpu_device)
    assert problem == "its output is wrong"


def test_memory_that_ran_out_during_the_probe_is_not_remembered(monkeypatch, fake_cuda):
    operator = torch.ops.aten._flash_attention_forward

    class Full:
        def default(self, *args, **kwargs):
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", Full())
    decoder = make_decoder(dtype=torch.bfloat16)
    forward, batch = CudaForward(decoder), make_batch([20, 9, 3], decoder)
    with pytest.warns(UserWarning, match=r"W005.*OutOfMemoryError"):
        expected = scores(forward, batch)
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", operator)
    assert_near(scores(forward, batch), expected)
    assert forward.fallbacks.counts[ATTENTION] == 1


@pytest.mark.parametrize("lengths", BATCHES, ids=str)
def test_trained_top_layers_attend_in_float32(fake_cuda, lengths):
    decoder = make_decoder(dtype=torch.bfloat16)
    decoder.layers[-1].float()
    batch = make_batch(lengths, decoder)
    forward = CudaForward(decoder)
    assert_near(scores(forward, batch), make_decoder()(batch).sigmoid())
    assert forward._attends() == [*2 * [varlen_attention], packed_attention]
    assert not forward.fallbacks.counts


@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)]
)
def test_graphs_replay_any_text_of_their_length(fake_cuda, dtype, limit):
    decoder = make_decoder(dtype=dtype)
    forward = CudaForward(decoder)
    for seed, length in enumerate((1, 16, 9, 17, 32, 3, 500, 512)):
        batch = make_batch([length], decoder, seed=seed)
        found, expected = scores(forward, batch), scores(decoder, batch)
        torch.testing.assert_close(found, expected, rtol=0, atol=limit)
    assert {shape.rows for shape in forward._graphs} == {16, 32, 512}
    assert len(fake_cuda.recorded) == 3


def test_graphs_replay_any_batch_of_their_shape(fake_cuda):
    """Other texts, more and fewer of them, and other padding, which is NaN here."""
    decoder = make_decoder(dtype=torch.bfloat16)
    forward = CudaForward(decoder)
    batches = [[9, 4], [500, 3], [60] * 32, [1, 1], [300, 200, 100], [2, 5, 70] * 9] * 2
    for seed, lengths in enumerate(batches):
        batch = make_batch(lengths, decoder, seed=seed)
        assert_near(scores(forward, batch), scores(decoder, batch))
    assert [(s.rows, s.sequences) for s in forward._graphs] == [(2048, 32)]
    assert len(fake_cuda.recorded) == 1
    assert not forward.fallbacks.counts


@pytest.mark.parametrize(
    ("lengths", "packs", "expected"),
    [
        ([7], False, (16, 1, 16)),
        ([513], True, None),
        ([7, 7], False, None),
        ([7, 7], True, (2048, 32, 512)),
        ([7] * 33, True, (2048, 128, 512)),
        ([512] * 4, True, (2048, 32, 512)),
        ([512] * 4 + [1], True, (4096, 64, 512)),
        ([513, 1], True, None),
        ([1] * 129, True, None),
        ([512] * 64, True, (32768, 512, 512)),
        ([512] * 64 + [1], True, None),
    ],
    ids=str,
)
def test_few_shapes_are_recorded(lengths, packs, expected):
    shape = graph_shape(make_batch(lengths, make_decoder()), packs=packs)
    assert shape == (expected and GraphShape(*expected))


def test_two_texts_of_which_one_is_scored_are_not_taken_for_one(fake_cuda):
    decoder = make_decoder()
    batch = make_batch([7, 7], decoder)
    last = replace(batch, scored_rows=batch.scored_rows[1:])
    found = scores(CudaForward(decoder), last)
    torch.testing.assert_close(found, decoder(batch).sigmoid()[1:])


def test_a_graph_is_recorded_on_a_stream_of_its_device(fake_cuda):
    decoder = make_decoder()
    scores(CudaForward(decoder), make_batch([5], decoder))
    (stream,) = fake_cuda.recorded
    assert stream is not None  # else torch's, which belongs to the first device
    assert stream.device == decoder.device


def test_graphs_are_recorded_one_at_a_time(fake_cuda):
    decoders = [make_decoder() for _ in range(4)]
    start = threading.Barrier(len(decoders))

    def run(decoder):
        batch = make_batch([5], decoder)
        start.wait()
        return scores(CudaForward(decoder), batch)

    with ThreadPoolExecutor(len(decoders)) as pool:
        for found in pool.map(run, decoders):
            torch.testing.assert_close(found, run_alone(decoders[0]))
    assert len(fake_cuda.recorded) == len(decoders)
    assert fake_cuda.most_at_once == 1


def run_alone(decoder):
    return scores(decoder, make_batch([5], decoder))


def test_a_graph_that_recorded_nothing_is_not_used(monkeypatch):
    """Its replays would return the first text's scores for ever."""
    fake = FakeCuda(monkeypatch, records=False)
    decoder = make_decoder()
    forward = CudaForward(decoder)
    first, second = (make_batch([9], decoder, seed=seed) for seed in (1, 2))
    with pytest.warns(UserWarning, match=r"W005.*ValueError.*graph isn't used"):
        found = [scores(forward, batch) for batch in (first, second)]
    torch.testing.assert_close(found[0], scores(decoder, first))
    torch.testing.assert_close(found[1], scores(decoder, second))
    assert len(fake.recorded) == 1
    assert forward.fallbacks.counts[GRAPHS] == 1


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (RuntimeError("CUDA error: operation not permitted"), False),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
    ],
    ids=["refused", "memory"],
)
def test_a_graph_that_cannot_be_recorded_costs_no_text(monkeypatch, error, again):
    fake = FakeCuda(monkeypatch, error=error)
    decoder = make_decoder()
    forward, batch = CudaForward(decoder), make_batch([9], decoder)
    with pytest.warns(UserWarning, match=f"W005.*{type(error).__name__}"):
        found = scores(forward, batch)
    torch.testing.assert_close(found, scores(decoder, batch))
    fake.error = None
    torch.testing.assert_close(scores(forward, batch), found)
    assert len(fake.recorded) == again


def test_a_replay_waits_for_that_of_another_thread(fake_cuda):
    decoder = make_decoder()
    forward = CudaForward(decoder)
    batch = make_batch([9], decoder)
    scores(forward, batch)
    streams = []

    def replay():
        scores(forward, batch)
        streams.append(fake_cuda.current_stream())

    for _ in range(2):
        thread = threading.Thread(target=replay)
        thread.start()
        thread.join()
    assert streams[0] is not streams[1]
    assert streams[1].waits == [streams[0]]


@pytest.mark.parametrize("name", ["embedding", "norm"])
def test_a_graph_is_recorded_anew_if_what_it_reads_is_replaced(
    monkeypatch, fake_cuda, name
):
    decoder = make_decoder()
    monkeypatch.setattr(
        inference,
        "make_forward",
        lambda decoder, *, int8, **options: CudaForward(decoder),
    )
    current, batch = CurrentForward(decoder, int8=False), make_batch([9], decoder)
    before = scores(current.get(), batch)
    module = getattr(decoder, name)
    values = module.weight * torch.linspace(-1, 1, module.weight.shape[-1])
    module.weight = nn.Parameter(values, requires_grad=False)
    after = scores(current.get(), batch)
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(after, scores(decoder, batch))


def test_a_step_of_the_head_lays_out_nothing_anew():
    decoder = make_decoder()
    current = CurrentForward(decoder, int8=False)
    forward = current.get()
    decoder.score.weight.mul_(2)
    assert current.get() is forward


def test_rotary_frequencies_follow_the_decoder_from_the_gpu(monkeypatch):
    """With tensors that have a device and no values."""
    monkeypatch.setattr(cpu, "blocked_products", lambda dtype: False)
    decoder = make_decoder()
    forward = CpuForward(decoder)
    with FakeTensorMode(allow_non_fake_inputs=True):
        decoder.frequencies = torch.empty(decoder.frequencies.shape, device="cuda")
        output = forward(make_batch([9, 4], decoder))
    assert output.device.type == "cpu"


def test_cudnn_makes_no_plan_for_each_shape(monkeypatch):
    """Also where gradients are needed, and while other threads attend."""
    enabled = torch.backends.cuda.cudnn_sdp_enabled
    seen, attend = [], F.scaled_dot_product_attention

    def watched(*args, **kwargs):
        seen.append(enabled())
        return attend(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    assert enabled()
    with FakeTensorMode():
        rows = torch.empty(1, 4, 6, 8, device="cuda", dtype=torch.bfloat16)
        attention._group_attention(rows, rows, rows)
        with attention._without_cudnn:  # another thread
            attention._group_attention(rows, rows, rows)
            assert not enabled()
    assert enabled()
    assert seen == [False, False]
