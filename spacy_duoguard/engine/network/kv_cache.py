"""Keys and values of windows that are read piece by piece, and attention over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from .attention import AttentionFunction
from .decoder import Decoder, DecoderLayer
from .packing import PackedBatch


@dataclass(frozen=True)
class Extension:
    """Tokens that a window is read on by."""

    slot: int  # of the window's keys and values
    past: int  # tokens that were read before
    ids: np.ndarray  # (n_new,)
    rows: np.ndarray  # (n_scored,) of the new tokens, after which to score


class KeyValueCache:
    """A slot for each open window. Slots that are closed are used again: memory is
    bounded by the most windows that were open at once."""

    def __init__(self, decoder: Decoder, window: int) -> None:
        """decoder (Decoder): Whose keys and values to keep.
        window (int): Tokens of a window.
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
        """RETURNS (int): Slots that there is memory for, open or not."""
        return len(self.keys[0])

    def open(self) -> int:
        """RETURNS (int): A slot."""
        if not self._free:
            n_new = max(1, self.n_slots)
            self._free = list(range(self.n_slots, self.n_slots + n_new))
            for store in (self.keys, self.values):
                for i, dtype in enumerate(self.dtypes):
                    store[i] = torch.cat((store[i], self._empty(n_new, dtype)))
        # The lowest ones: slots side by side are read in place.
        self._free.sort(reverse=True)
        return self._free.pop()

    def close(self, slot: int) -> None:
        """slot (int): To be used again."""
        for store in (*self.keys, *self.values):
            store[slot] = 0.0  # a NaN that stayed would reach other windows
        self._free.append(slot)

    def _empty(self, n_slots: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(n_slots, *self.shape, dtype=dtype, device=self.device)


def pack_extensions(
    extensions: Sequence[Extension], device: torch.device
) -> PackedBatch:
    """extensions (Sequence[Extension]): Of different slots.
    device (torch.device): Where the decoder is.
    RETURNS (PackedBatch): The new tokens end to end, for `CachedAttention` only: their
        sequences begin in the cache."""
    lengths = np.array([len(own.ids) for own in extensions])
    ends = np.cumsum(lengths)
    positions = [np.arange(own.past, own.past + len(own.ids)) for own in extensions]
    pairs = zip(ends - lengths, extensions, strict=True)
    scored = [start + own.rows for start, own in pairs]
    ids = np.concatenate([own.ids for own in extensions]).astype(np.int64)
    return PackedBatch(
        token_ids=torch.from_numpy(ids).to(device),
        positions=torch.from_numpy(np.concatenate(positions)).to(device),
        scored_rows=torch.from_numpy(np.concatenate(scored)).to(device),
        cu_seqlens=torch.from_numpy(np.append(0, ends).astype(np.int32)).to(device),
        longest=int(lengths.max()),
        groups=(),
    )


@dataclass(frozen=True)
class _Group:
    """Extensions of about the same length, which share one attention call."""

    slots: Tensor | slice
    gather: Tensor  # (size, longest) packed row for each padded position
    keep: Tensor | None  # padded positions that hold a token, in packed order
    hidden: Tensor  # (size, 1, 1, longest, reach) bool: not to be looked at
    reach: int  # the most tokens of a window, old and new


class CachedAttention:
    """Writes the keys and values of new tokens into the cache, and lets the tokens
    attend to all of their window up to themselves."""

    def __init__(self, cache: KeyValueCache, extensions: Sequence[Extension]) -> None:
        """cache (KeyValueCache): With the tokens before.
        extensions (Sequence[Extension]): Longest first, of a batch of
            `pack_extensions`.
        """
        self.cache = cache
        device = cache.device
        slots = [np.full(len(own.ids), own.slot) for own in extensions]
        self.slots = torch.from_numpy(np.concatenate(slots)).to(device)
        lengths = np.array([len(own.ids) for own in extensions])
        starts = np.cumsum(lengths) - lengths
        self.groups = []
        first = 0
        while first < len(extensions):
            longest = int(lengths[first])
            # A little padding costs less than one more call.
            near = lengths[first:] >= longest - max(4, longest // 8)
            stop = first + (len(near) if near.all() else int(near.argmin()))
            own = extensions[first:stop]
            self.groups.append(_group(own, starts[first:stop], device))
            first = stop

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


def _group(
    extensions: Sequence[Extension], starts: np.ndarray, device: torch.device
) -> _Group:
    lengths = np.array([len(own.ids) for own in extensions])
    past = np.array([own.past for own in extensions])
    slots = np.array([own.slot for own in extensions])
    longest, reach = int(lengths.max()), int((past + lengths).max())
    column = np.arange(longest)[None]
    # Padding repeats the last row; what comes out for it is dropped.
    gather = starts[:, None] + np.minimum(column, lengths[:, None] - 1)
    keep = np.flatnonzero(column < lengths[:, None])
    last_seen = past[:, None] + np.minimum(column, lengths[:, None] - 1)
    hidden = np.arange(reach)[None, None] > last_seen[:, :, None]
    neighbours = bool((np.diff(slots) == 1).all())
    place: Tensor | slice = slice(int(slots[0]), int(slots[-1]) + 1)
    return _Group(
        slots=place if neighbours else torch.from_numpy(slots).to(device),
        gather=torch.from_numpy(gather).to(device),
        keep=None if len(keep) == gather.size else torch.from_numpy(keep).to(device),
        hidden=torch.from_numpy(hidden[:, None, None]).to(device),
        reach=reach,
    )


def _attend_group(query: Tensor, key: Tensor, value: Tensor, group: _Group) -> Tensor:
    """query (Tensor): (size, longest, heads, head_dim).
    key (Tensor), value (Tensor): (size, kv_heads, reach, head_dim).
    RETURNS (Tensor): (n_new, heads * head_dim), of the tokens that are no padding."""
    size, longest, heads, width = query.shape
    kv_heads, reach = key.shape[1], key.shape[2]
    shared = heads // kv_heads  # queries of one key, stacked into one product
    query = (query * width**-0.5).view(size, longest, kv_heads, shared, width)
    stacked = query.permute(0, 2, 3, 1, 4).reshape(size, kv_heads, -1, width)
    scores = (stacked @ key.transpose(2, 3)).view(
        size, kv_heads, shared, longest, reach
    )
    weights = scores.masked_fill_(group.hidden, float("-inf")).softmax(-1)
    attended = weights.view(size, kv_heads, -1, reach) @ value
    attended = attended.view(size, kv_heads, shared, longest, width)
    flat = attended.permute(0, 3, 1, 2, 4).reshape(size * longest, heads * width)
    return flat if group.keep is None else flat[group.keep]
