"""Decoders with random weights, without files."""

import numpy as np
import torch

from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.engine.network.decoder import Decoder
from spacy_duoguard.engine.network.packing import pack

from .checkpoints import LLAMA, QWEN2

CONFIGS = {"qwen2": {**QWEN2, "vocab_size": 300}, "llama": {**LLAMA, "vocab_size": 300}}


def make_decoder(config=CONFIGS["qwen2"], dtype=torch.float32):
    """Random weights; logits of about ±3, so that a difference would show."""
    config = DecoderConfig.from_dict(config)
    decoder = Decoder(config, dtype=dtype)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            spread = 0.1 if parameter.ndim > 1 else 0.02
            noise = torch.randn(parameter.shape, generator=draw) * spread
            parameter.copy_(noise + (1 if "norm" in name else 0))
        decoder.score.weight.mul_(5)
    return decoder.eval().requires_grad_(False)


def make_batch(lengths, decoder, seed=0):
    draw = np.random.default_rng(seed)
    size = decoder.config.vocab_size
    ordered = sorted(lengths, reverse=True)
    return pack([draw.integers(0, size, length) for length in ordered])
