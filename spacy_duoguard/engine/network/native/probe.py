"""The native forward pass, if it computes correctly here."""

from collections.abc import Iterable
from functools import cache
from typing import cast

import numpy as np
import torch

from ....errors import Errors, SettingsError
from ..config import DecoderConfig
from ..decoder import Decoder, DecoderLayer
from ..packing import pack
from .build import load_library
from .forward import NativeForward

# Sizes that aren't multiples of a vector, and more tokens than a tile has rows.
_CONFIG = {
    "architectures": ["Qwen2ForSequenceClassification"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "use_sliding_window": False,
    "vocab_size": 64,
    "id2label": {str(i): str(i) for i in range(8)},
}
_LENGTHS = (70, 13, 1)
# Differences of logits that are about 1.
_TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.int8: 0.1}


def make_native(decoder: Decoder, *, int8: bool) -> NativeForward:
    """decoder (Decoder): A decoder on the CPU.
    int8 (bool): Multiply in int8.
    RETURNS (NativeForward): Its forward pass.
    RAISES (SettingsError): The kernels can't be compiled, or compute something else."""
    layers = cast(Iterable[DecoderLayer], decoder.layers)
    dtypes = {layer.dtype for layer in layers}
    for dtype in {torch.int8} if int8 else dtypes:
        check_products(dtype)
    return NativeForward(decoder, load_library(), int8=int8)


@cache
def check_products(dtype: torch.dtype) -> None:
    """dtype (torch.dtype): float32, bfloat16 or int8.
    RAISES (SettingsError): A small decoder's logits are wrong, or not supported."""
    int8 = dtype == torch.int8
    decoder = _small_decoder(torch.float32 if int8 else dtype)
    draw = np.random.default_rng(0)
    batch = pack([draw.integers(0, 64, length) for length in _LENGTHS])
    with torch.inference_mode():
        native = NativeForward(decoder, load_library(), int8=int8)
        actual, expected = native(batch), decoder(batch)
    if not torch.allclose(actual, expected, rtol=0, atol=_TOLERANCES[dtype]):
        raise SettingsError(Errors.E237)


def _small_decoder(dtype: torch.dtype) -> Decoder:
    decoder = Decoder(DecoderConfig.from_dict(_CONFIG), dtype=torch.float32)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            spread = 0.15 if parameter.ndim > 1 else 0.1
            noise = torch.randn(parameter.shape, generator=draw) * spread
            parameter.copy_(noise + (parameter.ndim == 1))
    head = decoder.score
    decoder = decoder.to(dtype)
    decoder.score = head.float()
    return decoder
