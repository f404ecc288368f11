"""The Triton kernels in Triton's interpreter, on the CPU, against the plain layers:
TRITON_INTERPRET=1 pytest tests/engine/network/test_fused.py"""

import importlib
import os
import sys

import pytest
import torch
import torch.nn.functional as F
from support.cuda import FakeCuda, use_torch
from support.decoders import CONFIGS, make_batch, make_decoder

from spacy_duoguard.engine.fallbacks import KERNELS
from spacy_duoguard.engine.network import fused, inference
from spacy_duoguard.engine.network.cuda import CudaForward
from spacy_duoguard.engine.network.decoder import RMSNorm, Rotary
from spacy_duoguard.engine.network.inference import CurrentForward
from spacy_duoguard.errors import SettingsError

MODULE = "spacy_duoguard.engine.network.triton_kernels"
DTYPES = [torch.float32, torch.bfloat16]
LIMITS = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture
def kernels():
    """Triton decides when it is imported whether kernels are interpreted."""
    pytest.importorskip("triton", reason="needs the package triton")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("needs the environment variable TRITON_INTERPRET=1")
    return importlib.import_module(MODULE)


@pytest.fixture
def fake_cuda(monkeypatch):
    use_torch(monkeypatch, ".".join(torch.__version__.split(".")[:2]))
    return FakeCuda(monkeypatch)


_POINTERS = {
    "_add_norm": ("*fp32", "*bf16", "*bf16", "*bf16"),
    "_rotate": ("*bf16", "*fp32", "*fp32"),
    "_swiglu": ("*bf16", "*bf16"),
}
_CONSTANTS = {"ADDS": True, "BLOCK": 64, "HEADS": 16}


@pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="Triton interprets its kernels"
)
@pytest.mark.parametrize("name", _POINTERS)
def test_the_compiler_takes_the_kernels(name):
    """Its interpreter takes more than it does. No GPU is needed to compile for one."""
    triton = pytest.importorskip("triton", reason="needs the package triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = getattr(importlib.import_module(MODULE), name)
    constants = {key: _CONSTANTS[key] for key in kernel.arg_names if key.isupper()}
    names = [key for key in kernel.arg_names if not key.isupper()]
    types = dict(zip(names, _POINTERS[name], strict=False))
    for key in names[len(types) :]:
        types[key] = "fp32" if key == "eps" else "i32"
    signature = {key: types.get(key, "constexpr") for key in kernel.arg_names}
    source = ASTSource(kernel, signature, constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    assert "sm_90" in compiled.asm["ptx"]


def noise(*shape, dtype=torch.float32, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("rows", "size"), [(1, 7), (5, 32), (3, 896)])
def test_norm_with_the_residual_sum(kernels, dtype, rows, size):
    norm = RMSNorm(size, 1e-6)
    norm.weight.data = 1 + 0.1 * noise(size)
    stream, change = noise(rows, size), noise(rows, size, dtype=dtype, seed=1)
    expected = stream + change.float()
    x = stream.clone()
    found = kernels.add_norm(x, change, norm.weight.to(dtype), norm.eps, dtype)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-6)
    assert found.dtype == dtype
    norm.weight.data = norm.weight.data.to(dtype)
    limit = LIMITS[dtype]
    torch.testing.assert_close(found, norm(expected).to(dtype), rtol=limit, atol=limit)


def test_norm_without_a_sum_leaves_its_input(kernels):
    stream, norm = noise(4, 32), RMSNorm(32, 1e-6)
    x = stream.clone()
    found = kernels.add_norm(x, None, norm.weight, norm.eps, torch.float32)
    torch.testing.assert_close(x, stream, rtol=0, atol=0)
    torch.testing.assert_close(found, norm(stream))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("heads", "rotated", "width"), [(4, 3, 8), (18, 16, 64)])
def test_rotary_in_place(kernels, dtype, heads, rotated, width):
    qkv = noise(6, heads, width, dtype=dtype)
    frequencies = 1.0 / 1e6 ** (torch.arange(0, width, 2) / width)
    rotary = Rotary(frequencies, torch.tensor([0, 1, 2, 0, 500, 511]), torch.float32)
    expected = qkv.float()
    expected[:, :rotated] = rotary(expected[:, :rotated])
    kernels.rotate(qkv, rotary.cos, rotary.sin, rotated)
    limit = LIMITS[dtype]
    torch.testing.assert_close(qkv.float(), expected, rtol=limit, atol=limit)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [5, 48, 2500])
def test_swiglu(kernels, dtype, size):
    gate_up = 3 * noise(3, 2 * size, dtype=dtype)
    gate_up[0, 0], gate_up[1, 0] = -200.0, 200.0  # where exp is 0 or infinite
    gate, up = gate_up.float().chunk(2, dim=-1)
    found = kernels.swiglu(gate_up)
    assert found.dtype == dtype
    limit = LIMITS[dtype]
    torch.testing.assert_close(found.float(), F.silu(gate) * up, rtol=limit, atol=limit)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_fused_layers_equal_the_plain_ones(kernels, fake_cuda, config, dtype):
    decoder, exact = make_decoder(config, dtype), make_decoder(config)
    forward = CudaForward(decoder, triton=True)
    assert forward.fused is not None
    assert not forward.fallbacks.counts
    for lengths in ([9, 2], [20, 9, 3, 1]):
        batch = make_batch(lengths, decoder)
        with torch.inference_mode():
            found, expected = forward(batch).sigmoid(), exact(batch).sigmoid()
            plain = decoder(batch).sigmoid()
        if dtype == torch.float32:
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        else:
            assert 0 < (found - expected).abs().max() <= 3e-2
            assert (found - plain).abs().max() <= 3e-2


def test_fused_layers_of_different_precision(kernels, fake_cuda):
    decoder = make_decoder(dtype=torch.bfloat16)
    decoder.layers[-1].float()
    batch = make_batch([20, 9, 3], decoder)
    with torch.inference_mode():
        found = CudaForward(decoder, triton=True)(batch).sigmoid()
    assert (found - make_decoder()(batch).sigmoid()).abs().max() <= 3e-2


@pytest.mark.parametrize("name", ["add_norm", "rotate", "swiglu"])
def test_kernels_with_wrong_output_are_not_used(kernels, fake_cuda, monkeypatch, name):
    correct = getattr(kernels, name)

    def wrong(first, *args):
        result = correct(first, *args)
        return first.neg_() if result is None else -result

    monkeypatch.setattr(kernels, name, wrong)
    check_plain(make_decoder(), r"W005.*ValueError in fused.py")


def test_without_triton_the_plain_layers_are_used(fake_cuda, monkeypatch):
    monkeypatch.setitem(sys.modules, MODULE, None)  # as if its import failed
    monkeypatch.delattr("spacy_duoguard.engine.network.triton_kernels", raising=False)
    check_plain(make_decoder(), r"W005.*(ImportError|ModuleNotFoundError)")


def check_plain(decoder, warning):
    with pytest.warns(UserWarning, match=warning):
        forward = CudaForward(decoder, triton=True)
    assert forward.fused is None
    assert forward.fallbacks.counts[KERNELS] == 1
    batch = make_batch([20, 9, 3], decoder)
    torch.testing.assert_close(forward(batch), decoder(batch))


def test_memory_that_ran_out_while_they_were_checked_is_not_remembered(
    fake_cuda, monkeypatch
):
    def full(self, decoder):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fused.FusedDecoder, "__init__", full)
    with pytest.raises(torch.OutOfMemoryError):
        CudaForward(make_decoder(), triton=True)


def test_on_a_cpu_the_setting_changes_nothing():
    decoder = make_decoder()
    batch = make_batch([20, 9, 3], decoder)
    with torch.inference_mode():
        found, expected = (
            CurrentForward(decoder, int8=False, kernels=name).get()(batch)
            for name in ("triton", "torch")
        )
    assert torch.equal(found, expected)


def test_unknown_kernels(make_nlp):
    with pytest.raises(
        SettingsError, match=r"E110.*'cuda'.*'auto', 'torch', 'triton', 'native'"
    ):
        make_nlp(model={"kernels": "cuda"})


@pytest.mark.parametrize("has_triton", [False, True])
def test_auto_takes_triton_where_it_is_installed(fake_cuda, monkeypatch, has_triton):
    seen = []

    class Recording(CudaForward):
        def __init__(self, decoder, fallbacks=None, *, triton=False):
            seen.append(triton)

    class OnCuda:
        device = torch.device("cuda")

    found = object() if has_triton else None
    monkeypatch.setattr(inference, "find_spec", lambda name: found)
    monkeypatch.setattr(inference, "CudaForward", Recording)
    for kernels in ("auto", "torch", "triton"):
        inference.make_forward(OnCuda(), int8=False, kernels=kernels)
    assert seen == [has_triton, False, True]
