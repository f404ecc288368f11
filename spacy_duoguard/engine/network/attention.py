"""Causal attention over packed sequences: one function per backend."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .packing import AttentionGroup, PackedBatch

# (query, key, value, batch) → output, each as in `packed_attention`.
AttentionFunction = Callable[[Tensor, Tensor, Tensor, PackedBatch], Tensor]

# Queries per block in `blocked_attention`. 64 and 128 are equally fast, 32 and 256
# slower.
_BLOCK = 64

# Up to this length, torch's own kernel in float32 is faster than blocks in bfloat16:
# three times with 20 tokens, the same with 64.
_SHORT = 64

# oneDNN keeps a kernel for each shape of a product: blocks of fewer lengths need less
# memory.
_LENGTH_STEP = 32


def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, batch: PackedBatch
) -> Tensor:
    """Attend within each sequence of a packed batch, with one call per length group.
    Works on any device, in any dtype, and with gradients.

    query (Tensor): (total, heads, head_dim).
    key (Tensor): (total, key_value_heads, head_dim).
    value (Tensor): (total, key_value_heads, head_dim).
    batch (PackedBatch): The batch that the rows belong to.
    RETURNS (Tensor): (total, heads * head_dim).
    """
    return _by_groups(_group_attention, query, key, value, batch)


def blocked_attention(
    query: Tensor, key: Tensor, value: Tensor, batch: PackedBatch
) -> Tensor:
    """Like `packed_attention`, with plain matrix products over blocks of queries. It is
    several times as fast on a CPU in bfloat16, where torch's fused kernel does not use
    the native instructions. No gradient.
    """
    return _by_groups(_short_or_blocks, query, key, value, batch)


def varlen_attention(
    query: Tensor, key: Tensor, value: Tensor, batch: PackedBatch
) -> Tensor:
    """Like `packed_attention`, in one call of the kernel for packed sequences. CUDA and
    half precision only. No gradient.
    """
    bounds, longest = batch.cu_seqlens, batch.longest
    # The operator behind `torch.nn.attention.varlen.varlen_attn`. It takes fewer heads
    # of keys than of queries, and these arguments in every release of torch. The
    # wrapper had another signature in each of 2.10, 2.11 and 2.12.
    output: Tensor = torch.ops.aten._flash_attention_forward.default(
        *(query, key, value, bounds, bounds, longest, longest),
        dropout_p=0.0,
        is_causal=True,
        return_debug_mask=False,
    )[0]
    return output.reshape(len(query), -1)


def _by_groups(
    attend: Callable[[Tensor, Tensor, Tensor], Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    batch: PackedBatch,
) -> Tensor:
    """Attend group by group. Sequences are padded on the right, so the causal mask
    hides the padding."""
    outputs = []
    for group in batch.groups:
        padded = (_pad(packed, group) for packed in (query, key, value))
        flat = attend(*padded).reshape(group.size * group.length, -1)
        outputs.append(flat if group.keep is None else flat[group.keep])
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _group_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(size, heads, length, head_dim) → (size, length, heads, head_dim)."""
    with _without_cudnn if query.is_cuda else nullcontext():
        output = F.scaled_dot_product_attention(
            query,
            key,
            value,
            is_causal=True,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    return output.transpose(1, 2)


class _WithoutCudnn:
    """Keeps torch from using cuDNN for attention: it makes a plan for each new shape,
    which takes longer than the product. The flag belongs to the process, so the first
    thread that enters saves it, and the last one that leaves restores it. torch's own
    `sdpa_kernel` would restore what another thread has set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._enabled = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._enabled = torch.backends.cuda.cudnn_sdp_enabled()
                torch.backends.cuda.enable_cudnn_sdp(False)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch.backends.cuda.enable_cudnn_sdp(self._enabled)


_without_cudnn = _WithoutCudnn()


def _short_or_blocks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(size, heads, length, head_dim) → (size, length, heads, head_dim)."""
    length = query.shape[2]
    if length <= _SHORT:
        return _group_attention(query.float(), key.float(), value.float()).to(
            query.dtype
        )
    # The causal mask hides padding on the right.
    missing = (0, 0, 0, -length % _LENGTH_STEP)
    padded = (F.pad(x, missing) for x in (query, key, value))
    return _group_blocks(*padded)[:, :length]


def _group_blocks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(size, heads, length, head_dim) → (size, length, heads, head_dim)."""
    size, heads, length, width = query.shape
    kv_heads = key.shape[1]
    shared = heads // kv_heads  # queries per key, stacked into one product
    query = query.reshape(size, kv_heads, shared, length, width)
    key = key.reshape(size * kv_heads, length, width).transpose(1, 2)
    value = value.reshape(size * kv_heads, length, width)
    output = query.new_empty(size, length, kv_heads, shared, width)
    for start in range(0, length, _BLOCK):
        stop = min(length, start + _BLOCK)
        block = query[:, :, :, start:stop].reshape(size * kv_heads, -1, width)
        scores = torch.bmm(block * width**-0.5, key[:, :, :stop])
        # Keys before the block are visible to all of its queries.
        within_block = scores.view(-1, shared, stop - start, stop)[..., start:]
        within_block.add_(_causal_mask(stop - start, scores.dtype))
        attended = torch.bmm(scores.softmax(-1), value[:, :stop])
        attended = attended.view(size, kv_heads, shared, stop - start, width)
        output[:, start:stop] = attended.permute(0, 3, 1, 2, 4)
    return output


@lru_cache(maxsize=2 * _BLOCK)
def _causal_mask(length: int, dtype: torch.dtype) -> Tensor:
    return torch.full((length, length), float("-inf"), dtype=dtype).triu(1)


def _pad(packed: Tensor, group: AttentionGroup) -> Tensor:
    """(total, heads, head_dim) → (size, heads, length, head_dim) of the group."""
    padded = packed[group.rows if group.gather is None else group.gather]
    return padded.view(group.size, group.length, *packed.shape[1:]).transpose(1, 2)
