"""The decoder and its head: Qwen2 and Llama in one trainable module."""

import math
from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import AttentionFunction, packed_attention
from .config import DecoderConfig, Llama3Scaling
from .packing import PackedBatch


class WeightFiles(Protocol):
    """The files that a decoder's weights are mapped from."""

    def check(self) -> None:
        """RAISES (CheckpointError): A file was modified after it was mapped."""


class RMSNorm(nn.Module):
    """Root mean square normalization (Zhang and Sennrich 2019)."""

    def __init__(self, size: int, eps: float, **factory: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size, **factory))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """x (Tensor): (rows, size), float32.
        RETURNS (Tensor): The same shape and dtype."""
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return x * scale * self.weight.float()


class Attention(nn.Module):
    """Grouped-query self-attention with rotary positions."""

    def __init__(self, config: DecoderConfig, **factory: Any) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_dim = config.head_dim
        total = (self.heads + 2 * self.kv_heads) * self.head_dim
        self.qkv_proj = nn.Linear(
            config.hidden_size, total, bias=config.qkv_bias, **factory
        )
        self.o_proj = nn.Linear(
            self.heads * self.head_dim,
            config.hidden_size,
            bias=config.o_bias,
            **factory,
        )

    def forward(
        self,
        x: Tensor,
        rotary: "Rotary",
        batch: PackedBatch,
        attend: AttentionFunction,
        rows: Tensor | None,
    ) -> Tensor:
        """x (Tensor): (total, hidden_size).
        rows (Optional[Tensor]): The rows to return; None for all.
        RETURNS (Tensor): (rows, hidden_size)."""
        qkv = self.qkv_proj(x).view(len(x), -1, self.head_dim)
        rotated = rotary(qkv[:, : self.heads + self.kv_heads])
        query, key = rotated.split([self.heads, self.kv_heads], dim=1)
        value = qkv[:, self.heads + self.kv_heads :]
        attended = attend(query, key, value, batch)
        return self.o_proj(attended if rows is None else attended[rows])


class SwiGLU(nn.Module):
    """The gated feed-forward layer: down(silu(gate(x)) * up(x))."""

    def __init__(self, config: DecoderConfig, **factory: Any) -> None:
        super().__init__()
        inner = config.intermediate_size
        bias = config.mlp_bias
        self.gate_up_proj = nn.Linear(
            config.hidden_size, 2 * inner, bias=bias, **factory
        )
        self.down_proj = nn.Linear(inner, config.hidden_size, bias=bias, **factory)

    def forward(self, x: Tensor) -> Tensor:
        """x (Tensor): (total, hidden_size). RETURNS (Tensor): The same shape."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)


class DecoderLayer(nn.Module):
    """Attention and feed-forward, each with a norm before it and a residual connection.
    The residual stream is float32: rounding each of its sums to bfloat16 would cause
    most of a forward pass's error."""

    def __init__(self, config: DecoderConfig, **factory: Any) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.rms_norm_eps
        self.input_norm = RMSNorm(size, eps, **factory)
        self.attention = Attention(config, **factory)
        self.mlp_norm = RMSNorm(size, eps, **factory)
        self.mlp = SwiGLU(config, **factory)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of all computation except the residual stream."""
        return self.mlp_norm.weight.dtype

    def forward(
        self,
        x: Tensor,
        rotary: "Rotary",
        batch: PackedBatch,
        attend: AttentionFunction = packed_attention,
        rows: Tensor | None = None,
    ) -> Tensor:
        """x (Tensor): (total, hidden_size), float32.
        rows (Optional[Tensor]): The rows to return; None for all.
        RETURNS (Tensor): (rows, hidden_size), float32."""
        dtype = self.dtype
        normed = self.input_norm(x).to(dtype)
        kept = x if rows is None else x[rows]
        x = kept + self.attention(normed, rotary, batch, attend, rows).float()
        return x + self.mlp(self.mlp_norm(x).to(dtype)).float()


class Rotary:
    """Rotary position embedding: the cosines and sines of a batch's positions."""

    def __init__(
        self, frequencies: Tensor, positions: Tensor, dtype: torch.dtype
    ) -> None:
        """frequencies (Tensor): (head_dim / 2,) float32, radians per position.
        positions (Tensor): (total,), on the same device.
        dtype (torch.dtype): The dtype of queries and keys.
        """
        # Angles in float32: at position 500 a bfloat16 angle is off by a radian.
        angles = positions.float()[:, None, None] * frequencies
        self.cos = angles.cos().to(dtype)
        self.sin = angles.sin().to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """x (Tensor): (total, heads, head_dim). RETURNS (Tensor): The same shape."""
        first, second = x.chunk(2, dim=-1)
        return torch.cat(
            (
                first * self.cos - second * self.sin,
                second * self.cos + first * self.sin,
            ),
            dim=-1,
        )


class Decoder(nn.Module):
    """A decoder-only transformer with a linear head on each sequence's last token.

    The head is float32 in every precision. Everything else has the given dtype until it
    is trained (see `trainable.py`).
    """

    def __init__(
        self,
        config: DecoderConfig,
        *,
        device: "torch.device | str | None" = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        # Not a buffer: the frequencies must stay float32 when the module is cast.
        self.frequencies = rotary_frequencies(config)
        # Number of trained top layers, which are float32; None if all are.
        self.trained_layers: int | None = 0
        self.origin: WeightFiles | None = None
        size, factory = config.hidden_size, {"device": device, "dtype": dtype}
        self.embedding = nn.Embedding(config.vocab_size, size, **factory)  # type: ignore[arg-type]
        self.layers = nn.ModuleList(
            DecoderLayer(config, **factory) for _ in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(size, config.rms_norm_eps, **factory)
        self.score = nn.Linear(
            size, config.num_labels, bias=False, device=device, dtype=torch.float32
        )

    @property
    def device(self) -> torch.device:
        return self.embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of all weights except the head, until they are trained."""
        return self.embedding.weight.dtype

    def rotary(self, positions: Tensor, dtype: torch.dtype) -> Rotary:
        """positions (Tensor): (total,), on any device.
        dtype (torch.dtype): The dtype of queries and keys.
        RETURNS (Rotary): The rotary embedding, on that device."""
        # Kept on the device: a recorded graph must not copy from the host.
        self.frequencies = self.frequencies.to(positions.device)
        return Rotary(self.frequencies, positions, dtype)

    def forward(self, batch: PackedBatch) -> Tensor:
        """batch (PackedBatch): A batch on this module's device.
        RETURNS (Tensor): Logits, (n_scored, num_labels), float32.
        """
        return self.score(self.pooled(batch))

    def pooled(
        self,
        batch: PackedBatch,
        attend: AttentionFunction | Sequence[AttentionFunction] = packed_attention,
    ) -> Tensor:
        """Compute the head's input. The last layer computes no other rows.

        batch (PackedBatch): A batch on this module's device.
        attend (AttentionFunction / Sequence[AttentionFunction]): As in `hidden`.
        RETURNS (Tensor): The normed scored rows, (n_scored, hidden_size), float32.
        """
        return self.norm(self.hidden(batch, attend, rows=batch.scored_rows))

    def extend(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction]
    ) -> Tensor:
        """Like `forward`, for tokens that continue earlier ones.

        batch (PackedBatch): The new tokens.
        attends (Sequence[AttentionFunction]): For each layer, a function that attends
            to the earlier tokens too.
        RETURNS (Tensor): Logits, (n_scored, num_labels), float32.
        """
        rows = self.hidden(batch, attends, rows=batch.scored_rows)
        return self.score(self.norm(rows))

    def hidden(
        self,
        batch: PackedBatch,
        attend: AttentionFunction | Sequence[AttentionFunction] = packed_attention,
        *,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Compute the last layer's output, before the final norm.

        batch (PackedBatch): A batch on this module's device.
        attend (AttentionFunction / Sequence[AttentionFunction]): One function for all
            layers, or one for each.
        rows (Optional[Tensor]): The packed rows to return; None for all.
        RETURNS (Tensor): (rows, hidden_size), float32.
        """
        x = self.embedding(batch.token_ids).float()
        rotaries: dict[torch.dtype, Rotary] = {}
        last = len(self.layers) - 1
        attends = attend if isinstance(attend, Sequence) else [attend] * (last + 1)
        for i, module in enumerate(self.layers):
            layer = cast(DecoderLayer, module)
            if layer.dtype not in rotaries:  # trained top layers need a second one
                rotaries[layer.dtype] = self.rotary(batch.positions, layer.dtype)
            kept = rows if i == last else None
            x = layer(x, rotaries[layer.dtype], batch, attends[i], kept)
        return x


def rotary_frequencies(config: DecoderConfig) -> Tensor:
    """Compute the angular frequency of each pair of dimensions (Su et al. 2021), scaled
    for long contexts if the config says so (Llama 3.1).

    config (DecoderConfig): The architecture.
    RETURNS (Tensor): (head_dim / 2,), float32, radians per position.
    """
    exponents = torch.arange(0, config.head_dim, 2).float() / config.head_dim
    frequencies = 1.0 / (config.rope_theta**exponents)
    if config.rope_scaling is None:
        return frequencies
    return _llama3_frequencies(frequencies, config.rope_scaling)


def _llama3_frequencies(frequencies: Tensor, scaling: Llama3Scaling) -> Tensor:
    """Multiply wavelengths beyond the original context by `factor` and keep short ones.
    Between the two bounds the effect increases linearly."""
    turns = (
        scaling.original_max_position_embeddings * frequencies / (2 * math.pi)
    )  # of each wave over the original context
    span = scaling.high_freq_factor - scaling.low_freq_factor
    kept = ((turns - scaling.low_freq_factor) / span).clamp(0.0, 1.0)
    return frequencies * (kept + (1.0 - kept) / scaling.factor)
