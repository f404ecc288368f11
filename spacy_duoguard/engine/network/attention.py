"""Causal attention over packed sequences: one function per backend."""

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .packing import AttentionGroup, PackedBatch

# (query, key, value, batch) → rows, each as in `packed_attention`.
AttentionFunction = Callable[[Tensor, Tensor, Tensor, PackedBatch], Tensor]

# Queries of a block of `blocked_attention`: 64 and 128 are equally fast, 32 and 256
# slower.
_BLOCK = 64


def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, batch: PackedBatch
) -> Tensor:
    """Attend within each sequence of a packed batch, one call per length group. The
    plain path: any device and dtype, with gradients.

    query (Tensor): (total, heads, head_dim).
    key (Tensor): (total, key_value_heads, head_dim).
    value (Tensor): (total, key_value_heads, head_dim).
    batch (PackedBatch): Where the sequences lie.
    RETURNS (Tensor): (total, heads * head_dim).
    """
    return _by_groups(_group_attention, query, key, value, batch)


def blocked_attention(
    query: Tensor, key: Tensor, value: Tensor, batch: PackedBatch
) -> Tensor:
    """As `packed_attention`, as plain matrix products over blocks of queries. On a CPU
    in bfloat16 it is several times as fast: torch's fused kernel multiplies there
    without the native instructions. No gradient.
    """
    return _by_groups(_group_blocks, query, key, value, batch)


def varlen_attention(
    query: Tensor, key: Tensor, value: Tensor, batch: PackedBatch
) -> Tensor:
    """As `packed_attention`, in one call of torch's variable-length kernel: CUDA, in
    half precision only. No gradient.
    """
    from torch.nn.attention.varlen import varlen_attn

    bounds, longest = batch.cu_seqlens, batch.longest
    output: Tensor = varlen_attn(  # type: ignore[assignment]
        *(query, key, value, bounds, bounds, longest, longest),
        window_size=(-1, 0),  # causal
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return output.reshape(len(query), -1)


def _by_groups(
    attend: Callable[[Tensor, Tensor, Tensor], Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    batch: PackedBatch,
) -> Tensor:
    """Sequences are padded on the right within a group, so the causal mask alone hides
    the padding."""
    outputs = []
    for group in batch.groups:
        padded = (_padded(rows, group) for rows in (query, key, value))
        flat = attend(*padded).reshape(group.size * group.length, -1)
        outputs.append(flat if group.keep is None else flat[group.keep])
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _group_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(size, heads, length, head_dim) → (size, length, heads, head_dim)."""
    output = F.scaled_dot_product_attention(
        query,
        key,
        value,
        is_causal=True,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return output.transpose(1, 2)


def _group_blocks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(size, heads, length, head_dim) → (size, length, heads, head_dim)."""
    size, heads, length, width = query.shape
    kv_heads = key.shape[1]
    shared = heads // kv_heads  # queries of one key, stacked into one product
    query = query.reshape(size, kv_heads, shared, length, width)
    key = key.reshape(size * kv_heads, length, width).transpose(1, 2)
    value = value.reshape(size * kv_heads, length, width)
    output = query.new_empty(size, length, kv_heads, shared, width)
    for start in range(0, length, _BLOCK):
        stop = min(length, start + _BLOCK)
        block = query[:, :, :, start:stop].reshape(size * kv_heads, -1, width)
        scores = torch.bmm(block * width**-0.5, key[:, :, :stop])
        # What lies before the block is seen by all of it.
        own = scores.view(-1, shared, stop - start, stop)[..., start:]
        own.add_(_causal_mask(stop - start, scores.dtype))
        attended = torch.bmm(scores.softmax(-1), value[:, :stop])
        attended = attended.view(size, kv_heads, shared, stop - start, width)
        output[:, start:stop] = attended.permute(0, 3, 1, 2, 4)
    return output


@lru_cache(maxsize=2 * _BLOCK)
def _causal_mask(length: int, dtype: torch.dtype) -> Tensor:
    return torch.full((length, length), float("-inf"), dtype=dtype).triu(1)


def _padded(rows: Tensor, group: AttentionGroup) -> Tensor:
    """(total, heads, head_dim) → (size, heads, length, head_dim) of the group."""
    own = rows[group.rows] if group.gather is None else rows[group.gather]
    return own.view(group.size, group.length, *rows.shape[1:]).transpose(1, 2)
