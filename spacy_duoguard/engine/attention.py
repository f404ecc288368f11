"""Causal attention over packed sequences."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .packing import AttentionGroup


def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, groups: Sequence[AttentionGroup]
) -> Tensor:
    """Attend within each sequence of a packed batch, one call per length group.

    query (Tensor): (total, heads, head_dim).
    key (Tensor): (total, key_value_heads, head_dim).
    value (Tensor): (total, key_value_heads, head_dim).
    groups (Sequence[AttentionGroup]): The batch's groups, which cover its rows.
    RETURNS (Tensor): (total, heads * head_dim).
    """
    outputs = [_group_attention(query, key, value, group) for group in groups]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _group_attention(
    query: Tensor, key: Tensor, value: Tensor, group: AttentionGroup
) -> Tensor:
    # Sequences are padded on the right, so the causal mask alone hides the padding.
    output = F.scaled_dot_product_attention(
        _padded(query, group),
        _padded(key, group),
        _padded(value, group),
        is_causal=True,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    flat = output.transpose(1, 2).reshape(group.size * group.length, -1)
    return flat if group.keep is None else flat[group.keep]


def _padded(rows: Tensor, group: AttentionGroup) -> Tensor:
    """(total, heads, head_dim) → (size, heads, length, head_dim) of the group."""
    own = rows[group.rows] if group.gather is None else rows[group.gather]
    return own.view(group.size, group.length, *rows.shape[1:]).transpose(1, 2)
