"""Keys and values of windows that are read step by step, and attention over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from .attention import AttentionFunction
from .decoder import Decoder, DecoderLayer
from .packing import PackedBatch, group_lengths, pack, pad_rows, to_device

# As in `packing`, but smaller: the padded rows attend to the whole window.
_LENGTH_GAP = 4


@dataclass(frozen=True)
class Extension:
    """New tokens of a window."""

    slot: int  # the window's keys and values
    past: int  # number of tokens read earlier
    ids: np.ndarray  # (n_new,)
    rows: np.ndarray  # (n_scored,) indices of the new tokens to score after


class KeyValueCache:
    """Keys and values, in a slot for each open window. Closed slots are reused: memory
    is bounded by the largest number of windows that were open at once."""

    def __init__(self, decoder: Decoder, window: int) -> None:
        """decoder (Decoder): The decoder that computes the keys and values.
        window (int): Tokens per window.
        """
        self.window = window
        self.device = decoder.device
        self.dtypes = [cast(DecoderLayer, layer).dtype for layer in decoder.layers]
        config = decoder.config
        self.shape = (config.num_key_value_heads, window, config.head_dim)
        # For each layer, (n_slots, kv_heads, window, head_dim).
        self.keys = [self._empty(0, dtype) for dtype in self.dtypes]
        self.values = [self._empty(0, dtype) for dtype in self.dtypes]
        self._free: list[int] = []

    @property
    def n_slots(self) -> int:
        """RETURNS (int): Number of slots in memory, open or not."""
        return len(self.keys[0])

    def open(self) -> int:
        """RETURNS (int): A free slot, now in use."""
        if not self._free:
            n_new = max(1, self.n_slots)
            self._free = list(range(self.n_slots, self.n_slots + n_new))
            with torch.inference_mode(False):  # slots are also written to outside of it
                for store in (self.keys, self.values):
                    for i, dtype in enumerate(self.dtypes):
                        store[i] = torch.cat((store[i], self._empty(n_new, dtype)))
        # The lowest first: adjacent slots are read without a copy.
        self._free.sort(reverse=True)
        return self._free.pop()

    def close(self, slot: int) -> None:
        """slot (int): The slot to free."""
        for store in (*self.keys, *self.values):
            store[slot] = 0.0  # a NaN left behind would reach other windows
        self._free.append(slot)

    def _empty(self, n_slots: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(n_slots, *self.shape, dtype=dtype, device=self.device)


def pack_extensions(
    extensions: Sequence[Extension], device: torch.device
) -> PackedBatch:
    """Lay new tokens end to end, for `CachedAttention` only.

    extensions (Sequence[Extension]): Of different slots.
    device (torch.device): The decoder's device.
    RETURNS (PackedBatch): The batch, with positions that count the earlier tokens.
    """
    return pack(
        [extension.ids for extension in extensions],
        rows=[extension.rows for extension in extensions],
        past=[extension.past for extension in extensions],
        device=device,
    )


@dataclass(frozen=True)
class _Group:
    """Extensions of similar length, which share one attention call."""

    slots: Tensor | slice
    gather: Tensor  # (size, longest) packed row for each padded position
    keep: Tensor | None  # padded positions that hold a token, in packed order
    hidden: Tensor  # (size, 1, 1, longest, reach) bool: masked out
    reach: int  # tokens of the longest window, old and new


class CachedAttention:
    """Writes the keys and values of new tokens into the cache. Each token attends to
    its window up to itself."""

    def __init__(self, cache: KeyValueCache, extensions: Sequence[Extension]) -> None:
        """cache (KeyValueCache): Holds the earlier tokens.
        extensions (Sequence[Extension]): As given to `pack_extensions`, longest first.
        """
        self.cache = cache
        device = cache.device
        lengths = np.array([len(extension.ids) for extension in extensions])
        slots = np.array([extension.slot for extension in extensions])
        past = np.array([extension.past for extension in extensions])
        starts = np.cumsum(lengths) - lengths
        self.slots = to_device(np.repeat(slots, lengths), device)
        self.groups = [
            _make_group(
                slots[group], past[group], lengths[group], starts[group], device
            )
            for group in group_lengths(lengths, gap=_LENGTH_GAP)
        ]

    def layers(self) -> list[AttentionFunction]:
        """RETURNS (List[AttentionFunction]): One for each layer."""

        def at(layer: int) -> AttentionFunction:
            return lambda query, key, value, batch: self._attend(
                layer, query, key, value, batch
            )

        return [at(layer) for layer in range(len(self.cache.keys))]

    def _attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, batch: PackedBatch
    ) -> Tensor:
        keys, values = self.cache.keys[layer], self.cache.values[layer]
        keys[self.slots, :, batch.positions] = key
        values[self.slots, :, batch.positions] = value
        outputs = [
            _attend_group(
                query[group.gather],
                keys[group.slots, :, : group.reach],
                values[group.slots, :, : group.reach],
                group,
            )
            for group in self.groups
        ]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _make_group(
    slots: np.ndarray,
    past: np.ndarray,
    lengths: np.ndarray,
    starts: np.ndarray,
    device: torch.device,
) -> _Group:
    reach = int((past + lengths).max())
    gather, keep = pad_rows(lengths, starts)
    last_seen = past[:, None] + gather - starts[:, None]
    hidden = np.arange(reach)[None, None] > last_seen[:, :, None]
    adjacent = bool((np.diff(slots) == 1).all())
    return _Group(
        slots=slice(int(slots[0]), int(slots[-1]) + 1)
        if adjacent
        else to_device(slots, device),
        gather=to_device(gather, device),
        keep=None if len(keep) == gather.size else to_device(keep, device),
        hidden=to_device(hidden[:, None, None], device),
        reach=reach,
    )


def _attend_group(query: Tensor, key: Tensor, value: Tensor, group: _Group) -> Tensor:
    """query (Tensor): (size, longest, heads, head_dim).
    key (Tensor), value (Tensor): (size, kv_heads, reach, head_dim).
    RETURNS (Tensor): (n_new, heads * head_dim), without the padding."""
    size, longest, heads, width = query.shape
    kv_heads, reach = key.shape[1], key.shape[2]
    dtype = query.dtype
    if query.device.type == "cpu":  # as for short texts that are scored whole
        query, key, value = query.float(), key.float(), value.float()
    shared = heads // kv_heads  # queries per key, stacked into one product
    query = (query * width**-0.5).view(size, longest, kv_heads, shared, width)
    stacked = query.permute(0, 2, 3, 1, 4).reshape(size, kv_heads, -1, width)
    scores = (stacked @ key.transpose(2, 3)).view(
        size, kv_heads, shared, longest, reach
    )
    weights = scores.masked_fill_(group.hidden, float("-inf")).softmax(-1)
    attended = weights.view(size, kv_heads, -1, reach) @ value
    attended = attended.view(size, kv_heads, shared, longest, width)
    flat = attended.permute(0, 3, 1, 2, 4).reshape(size * longest, heads * width)
    flat = flat.to(dtype)
    return flat if group.keep is None else flat[group.keep]
