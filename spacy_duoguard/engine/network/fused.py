"""The decoder's layers with Triton kernels between the products."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from .attention import AttentionFunction
from .decoder import Decoder, DecoderLayer, Rotary
from .packing import PackedBatch, pack

# The largest difference from the plain layers, as a share of their output: in half
# precision they round more often. A wrong kernel would differ by all of it.
_LIMITS = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.1}


class FusedDecoder:
    """Computes what `Decoder.pooled` does, for inference."""

    def __init__(self, decoder: Decoder) -> None:
        """decoder (Decoder): On a CUDA device.
        RAISES (ImportError): Triton is not installed."""
        from . import triton_kernels

        self.decoder = decoder
        self.kernels: Any = triton_kernels

    def pooled(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction]
    ) -> Tensor:
        """See `Decoder.pooled`."""
        decoder, add_norm = self.decoder, self.kernels.add_norm
        x = decoder.embedding(batch.token_ids).float()
        # Float32 for all layers: the kernel rounds once, after both products.
        rotary = decoder.rotary(batch.positions, torch.float32)
        change: Tensor | None = None
        last = len(decoder.layers) - 1
        for i, (module, attend) in enumerate(zip(decoder.layers, attends, strict=True)):
            layer = cast(DecoderLayer, module)
            norm = layer.input_norm
            normed = add_norm(x, change, norm.weight, norm.eps, layer.dtype)
            attended = self._attend(layer, normed, rotary, batch, attend)
            if i == last:
                x, attended = x[batch.scored_rows], attended[batch.scored_rows]
            change, norm = layer.attention.o_proj(attended), layer.mlp_norm
            normed = add_norm(x, change, norm.weight, norm.eps, layer.dtype)
            gated = self.kernels.swiglu(layer.mlp.gate_up_proj(normed))
            change = layer.mlp.down_proj(gated)
        norm = decoder.norm
        return add_norm(x, change, norm.weight, norm.eps, torch.float32)

    def check(self, attends: Sequence[AttentionFunction]) -> None:
        """Compare a small batch with the plain layers.

        RAISES (ValueError): A kernel computes something else.
        """
        size, lengths = self.decoder.config.vocab_size, (17, 7, 1)
        ids = [np.arange(length, dtype=np.int64) * 7 % size for length in lengths]
        with torch.inference_mode():
            batch = pack(ids, device=self.decoder.device)
            expected = self.decoder.pooled(batch, attends)
            difference = (self.pooled(batch, attends) - expected).norm()
            limit = _LIMITS[self.decoder.dtype] * expected.norm()
            if not difference <= limit:
                raise ValueError("The fused layers differ from the plain ones.")

    def _attend(
        self,
        layer: DecoderLayer,
        x: Tensor,
        rotary: Rotary,
        batch: PackedBatch,
        attend: AttentionFunction,
    ) -> Tensor:
        attention = layer.attention
        heads, kv_heads = attention.heads, attention.kv_heads
        qkv = attention.qkv_proj(x).view(len(x), -1, attention.head_dim)
        self.kernels.rotate(qkv, rotary.cos, rotary.sin, heads + kv_heads)
        query, key, value = qkv.split([heads, kv_heads, kv_heads], dim=1)
        return attend(query, key, value, batch)
