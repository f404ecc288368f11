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
        """RAISES (CheckpointError): A file was written to since it was mapped."""


class RMSNorm(nn.Module):
    """Root mean square normalization (Zhang and Sennrich 2019)."""

    def __init__(self, size: int, eps: float, **factory: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size, **factory))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """x (Tensor): (rows, size), float32. RETURNS (Tensor): The same shape and
        dtype."""
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
        """x (Tensor): (total, hidden_size). rows (Optional[Tensor]): Rows to return,
        None for all. RETURNS (Tensor): (rows, hidden_size)."""
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
    """Attention and feed-forward, each behind a norm and beside a residual. The
    residual stream is float32: rounded to bfloat16 at each of its sums, it would
    carry most of the error of a forward."""

    def __init__(self, config: DecoderConfig, **factory: Any) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.rms_norm_eps
        self.input_norm = RMSNorm(size, eps, **factory)
        self.attention = Attention(config, **factory)
        self.mlp_norm = RMSNorm(size, eps, **factory)
        self.mlp = SwiGLU(config, **factory)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype computed with, the residual stream apart."""
        return self.mlp_norm.weight.dtype

    def forward(
        self,
        x: Tensor,
        rotary: "Rotary",
        batch: PackedBatch,
        attend: AttentionFunction = packed_attention,
        rows: Tensor | None = None,
    ) -> Tensor:
        """x (Tensor): (total, hidden_size), float32. rows (Optional[Tensor]): Rows to
        return, None for all. RETURNS (Tensor): (rows, hidden_size), float32."""
        dtype = self.dtype
        normed = self.input_norm(x).to(dtype)
        kept = x if rows is None else x[rows]
        x = kept + self.attention(normed, rotary, batch, attend, rows).float()
        return x + self.mlp(self.mlp_norm(x).to(dtype)).float()


class Rotary:
    """Rotary position embedding of one batch: cosines and sines of its positions."""

    def __init__(
        self, frequencies: Tensor, positions: Tensor, dtype: torch.dtype
    ) -> None:
        """frequencies (Tensor): (head_dim / 2,) float32, radians per position.
        positions (Tensor): (total,), on the same device.
        dtype (torch.dtype): Of the queries and keys.
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

    The head is float32 in every precision; all else has the dtype given, until it is
    trained (`engine/trainable.py`).
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
        # Not a buffer: casting the module must leave the frequencies in float32.
        self.frequencies = rotary_frequencies(config)
        # How many of the top layers were trained, and so are float32; None is all.
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
        """The dtype computed with, the head apart."""
        return self.embedding.weight.dtype

    def forward(self, batch: PackedBatch) -> Tensor:
        """batch (PackedBatch): Sequences on this module's device.
        RETURNS (Tensor): Logits, (n_scored, num_labels), float32.
        """
        return self.score(self.pooled(batch))

    def pooled(
        self, batch: PackedBatch, attend: AttentionFunction = packed_attention
    ) -> Tensor:
        """What the head reads. The last layer computes no other rows.

        batch (PackedBatch): Sequences on this module's device.
        attend (AttentionFunction): How to attend.
        RETURNS (Tensor): The normed rows that the batch is scored after,
            (n_scored, hidden_size), float32.
        """
        return self.norm(self.hidden(batch, attend, rows=batch.scored_rows))

    def extend(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction]
    ) -> Tensor:
        """As `forward`, for tokens whose predecessors were read before.

        batch (PackedBatch): The new tokens.
        attends (Sequence[AttentionFunction]): For each layer, how to attend to them
            and to those before.
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
        """The last layer's output before the final norm.

        batch (PackedBatch): Sequences on this module's device.
        attend (AttentionFunction / Sequence[AttentionFunction]): How to attend, in all
            layers or in each.
        rows (Optional[Tensor]): The packed rows to return, None for all.
        RETURNS (Tensor): (rows, hidden_size), float32.
        """
        x = self.embedding(batch.token_ids).float()
        # Kept on the device: a recorded graph must not copy from the host.
        self.frequencies = self.frequencies.to(x.device)
        rotaries: dict[torch.dtype, Rotary] = {}
        last = len(self.layers) - 1
        attends = attend if isinstance(attend, Sequence) else [attend] * (last + 1)
        for i, module in enumerate(self.layers):
            layer = cast(DecoderLayer, module)
            if (
                layer.dtype not in rotaries
            ):  # a second where the top layers were trained
                rotary = Rotary(self.frequencies, batch.positions, layer.dtype)
                rotaries[layer.dtype] = rotary
            kept = rows if i == last else None
            x = layer(x, rotaries[layer.dtype], batch, attends[i], kept)
        return x


def rotary_frequencies(config: DecoderConfig) -> Tensor:
    """Angular frequency of each pair of dimensions (Su et al. 2021), stretched for
    long contexts where the config says so (Llama 3.1).

    config (DecoderConfig): The architecture.
    RETURNS (Tensor): (head_dim / 2,), float32, radians per position.
    """
    exponents = torch.arange(0, config.head_dim, 2).float() / config.head_dim
    frequencies = 1.0 / (config.rope_theta**exponents)
    if config.rope_scaling is None:
        return frequencies
    return _llama3_frequencies(frequencies, config.rope_scaling)


def _llama3_frequencies(frequencies: Tensor, scaling: Llama3Scaling) -> Tensor:
    """Waves longer than the original context are stretched by `factor`, short ones
    are kept, and between the two bounds the stretch fades in linearly."""
    turns = (
        scaling.original_max_position_embeddings * frequencies / (2 * math.pi)
    )  # of each wave over the original context
    span = scaling.high_freq_factor - scaling.low_freq_factor
    kept = ((turns - scaling.low_freq_factor) / span).clamp(0.0, 1.0)
    return frequencies * (kept + (1.0 - kept) / scaling.factor)
