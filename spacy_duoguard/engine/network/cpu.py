"""The decoder's forward pass on a CPU, for inference: same numbers, less time.

Apart from the products of `blocked_linear` and `int8_linear`, only the rows that the
head reads go through the last layer's output projection and feed-forward, feed-forward
layers run over blocks of rows that stay in the cache, and bfloat16 attends in blocks.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import AttentionFunction, blocked_attention, packed_attention
from .blocked_linear import BlockedGate, BlockedLinear, blocked_products
from .decoder import Decoder, DecoderLayer, RMSNorm, Rotary
from .int8_linear import Int8Gate, Int8Linear
from .packing import PackedBatch
from .threads import at_most_threads, worth_threads

# Rows of the feed-forward layers computed at once: the inner activations of 512 rows
# take 5 MB in bfloat16, which a cache holds.
_BLOCK_ROWS = 512

Product = Callable[[Tensor], Tensor]


class CpuForward:
    """Packed batches → logits. Reads the decoder's weights once; layers with a special
    layout hold a second copy of them."""

    def __init__(self, decoder: Decoder, *, int8: bool = False) -> None:
        """decoder (Decoder): A decoder on the CPU.
        int8 (bool): Multiply in int8.
        """
        self.decoder = decoder
        self.layers = [_Layer(layer, int8) for layer in decoder.layers]  # type: ignore[arg-type]
        weights = decoder.layers.parameters()
        n_weights = sum(weight.numel() for weight in weights if weight.ndim > 1)
        self._weights = n_weights / len(self.layers)

    def __call__(self, batch: PackedBatch) -> Tensor:
        """See `Decoder.forward`."""
        return self.decoder.score(self.pooled(batch))

    def pooled(self, batch: PackedBatch) -> Tensor:
        """See `Decoder.pooled`."""
        return self._pooled(batch, [layer.attend for layer in self.layers])

    def extend(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction]
    ) -> Tensor:
        """See `Decoder.extend`."""
        return self.decoder.score(self._pooled(batch, attends))

    def _pooled(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction]
    ) -> Tensor:
        limit = worth_threads(self._weights, len(batch.token_ids))
        with at_most_threads(limit):
            return self._layers(batch, attends)

    def _layers(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction]
    ) -> Tensor:
        decoder, scored = self.decoder, batch.scored_rows
        x = decoder.embedding(pad_to_few_sizes(batch.token_ids)).float()
        positions = pad_to_few_sizes(batch.positions)
        rotaries = {
            dtype: decoder.rotary(positions, dtype)
            for dtype in {layer.dtype for layer in self.layers}
        }
        last = len(self.layers) - 1
        for i, (layer, attend) in enumerate(zip(self.layers, attends, strict=True)):
            rows = pad_to_few_sizes(scored) if i == last else None
            x = layer(x, rotaries[layer.dtype], batch, attend, rows)
        return decoder.norm(x[: len(scored)])


class _Layer:
    """One layer, its weights prepared for inference."""

    def __init__(self, layer: DecoderLayer, int8: bool) -> None:
        attention, mlp = layer.attention, layer.mlp
        self.heads, self.kv_heads = attention.heads, attention.kv_heads
        self.head_dim = attention.head_dim
        self.dtype = attention.qkv_proj.weight.dtype
        self.input_norm, self.mlp_norm = layer.input_norm, layer.mlp_norm
        linear = _choose_linear(self.dtype, int8)
        self.qkv, self.o, self.down = map(
            linear, (attention.qkv_proj, attention.o_proj, mlp.down_proj)
        )
        self.gate = _choose_gate(self.dtype, int8)(mlp.gate_up_proj)
        # In float32, torch's own kernel uses the fast instructions.
        low = self.dtype == torch.bfloat16
        self.attend: AttentionFunction = blocked_attention if low else packed_attention

    def __call__(
        self,
        x: Tensor,
        rotary: Rotary,
        batch: PackedBatch,
        attend: AttentionFunction,
        rows: Tensor | None = None,
    ) -> Tensor:
        """x (Tensor): (padded, hidden_size), float32. Rows after those of the batch are
            padding.
        rows (Optional[Tensor]): The rows to return; None for all.
        RETURNS (Tensor): (rows, hidden_size), float32."""
        projected = self._project(_normed(x, self.input_norm), rotary)
        query, key, value = (part[: len(batch.token_ids)] for part in projected)
        attended = attend(query, key, value, batch)
        if rows is not None:
            x, attended = x[rows], attended[rows]
        elif missing := len(x) - len(attended):
            attended = F.pad(attended, (0, 0, 0, missing))
        x = x + self.o(attended).float()
        for block in x.split(_BLOCK_ROWS):
            block += self.down(self.gate(_normed(block, self.mlp_norm))).float()
        return x

    def _project(self, x: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        qkv = self.qkv(x).to(self.dtype).view(len(x), -1, self.head_dim)
        rotated = rotary(qkv[:, : self.heads + self.kv_heads])
        query, key = rotated.split([self.heads, self.kv_heads], dim=1)
        return query, key, qkv[:, self.heads + self.kv_heads :]


def pad_to_few_sizes(ids: Tensor) -> Tensor:
    """Pad with zeros to one of few sizes. oneDNN keeps a kernel for each number of rows
    that it has multiplied, which would take hundreds of MB, and makes a new one for a
    new number.

    ids (Tensor): (size,), int64.
    RETURNS (Tensor): (padded,), with at most an eighth more, or 7."""
    size = len(ids)
    if size <= 8:
        padded = 1 << max(0, size - 1).bit_length()
    else:
        step = 8 if size <= 128 else 16 if size <= 256 else 32
        padded = -(-size // step) * step
    return F.pad(ids, (0, padded - size)) if padded > size else ids


def _normed(x: Tensor, norm: RMSNorm) -> Tensor:
    """Like `RMSNorm.forward`, in fewer passes over memory."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale = torch.rsqrt(length.square_() / x.shape[-1] + norm.eps)
    return (x * scale).mul_(norm.weight.float())


def _choose_linear(dtype: torch.dtype, int8: bool) -> Callable[[nn.Linear], Product]:
    if int8:
        return lambda linear: Int8Linear(linear.weight, linear.bias)
    if blocked_products(dtype):
        return lambda linear: BlockedLinear(linear.weight, linear.bias)
    return _plain_linear


def _choose_gate(dtype: torch.dtype, int8: bool) -> Callable[[nn.Linear], Product]:
    if int8:
        return Int8Gate
    if blocked_products(dtype):
        return BlockedGate
    return _plain_gate


def _plain_linear(linear: nn.Linear) -> Product:
    """torch's own product. Its last bits can depend on the alignment of the weight,
    which is arbitrary in a mapped file: a weight that doesn't begin at a multiple of 64
    bytes, as memory that torch allocates does, is copied."""
    weight, bias = linear.weight.detach(), linear.bias
    if weight.data_ptr() % 64:
        weight = weight.clone()
    return lambda x: F.linear(x.to(weight.dtype), weight, bias)


def _plain_gate(gate_up: nn.Linear) -> Product:
    product = _plain_linear(gate_up)

    def gated(x: Tensor) -> Tensor:
        gate, up = product(x).chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    return gated
