"""Packed batches: sequences laid end to end, with no padding between them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

# Lengths of one attention call differ by at most this much, or an eighth of the
# longest. Padding exists only inside attention, where a few rows cost less than one
# more call.
_LENGTH_GAP = 16


@dataclass(frozen=True)
class AttentionGroup:
    """Adjacent sequences of similar length, which share one attention call."""

    rows: slice  # of the packed rows
    size: int  # sequences
    length: int  # of the longest, in tokens
    gather: Tensor | None  # (size * length,) packed row for each padded position
    keep: Tensor | None  # padded positions that hold a token, in packed order


@dataclass(frozen=True)
class PackedBatch:
    """The decoder's input. `total` is the sum of the lengths: no row is padding."""

    token_ids: Tensor  # (total,) int64
    positions: Tensor  # (total,) int64, from 0 within each sequence
    scored_rows: Tensor  # (n_scored,) int64, packed rows that the head reads
    cu_seqlens: Tensor  # (n_sequences + 1,) int32, start of each sequence, then total
    longest: int  # length of the longest sequence
    make_groups: Callable[[], tuple[AttentionGroup, ...]]

    def __len__(self) -> int:
        """RETURNS (int): The number of sequences."""
        return len(self.cu_seqlens) - 1

    @cached_property
    def groups(self) -> tuple[AttentionGroup, ...]:
        """RETURNS (Tuple[AttentionGroup]): Made at first use: a kernel for packed rows
        needs none."""
        return self.make_groups()


def plan_batches(lengths: Sequence[int], *, max_tokens: int) -> list[list[int]]:
    """Divide sequences into batches of at most `max_tokens` tokens. A longer sequence
    gets a batch to itself.

    lengths (Sequence[int]): The length of each sequence, in tokens.
    max_tokens (int): The budget of a batch.
    RETURNS (List[List[int]]): Indices into `lengths`, longest first, so that
        neighbours in a batch can share attention calls.
    """
    batches: list[list[int]] = []
    room = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or lengths[i] > room:
            batches.append([])
            room = max_tokens
        batches[-1].append(i)
        room -= lengths[i]
    return batches


def pack(
    sequences: Sequence[np.ndarray],
    *,
    rows: Sequence[np.ndarray] | None = None,
    past: Sequence[int] | None = None,
    device: "torch.device | str" = "cpu",
) -> PackedBatch:
    """Lay sequences end to end.

    sequences (Sequence[ndarray]): Token ids, each of shape (length,) with at least
        one id. Sorted by length they share the fewest attention calls; any order is
        correct.
    rows (Optional[Sequence[ndarray]]): For each sequence the indices of the tokens to
        score after, ascending; None for its last token.
    past (Optional[Sequence[int]]): For each sequence the number of tokens that a cache
        holds already. The batch then has no attention groups: `CachedAttention` makes
        its own.
    device (torch.device | str): The decoder's device.
    RETURNS (PackedBatch): The batch.
    """
    lengths = np.asarray([len(ids) for ids in sequences], dtype=np.int64)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    offsets = starts if past is None else starts - np.asarray(past)
    positions = np.arange(ends[-1]) - np.repeat(offsets, lengths)
    token_ids = np.concatenate(list(sequences)).astype(np.int64)
    scored = ends - 1
    if rows is not None:
        scored = np.concatenate([s + r for s, r in zip(starts, rows, strict=True)])
    make_groups = partial(_make_groups, lengths, starts, device)
    return PackedBatch(
        token_ids=to_device(token_ids, device),
        positions=to_device(positions, device),
        scored_rows=to_device(scored, device),
        cu_seqlens=to_device(np.append(0, ends).astype(np.int32), device),
        longest=int(lengths.max()),
        make_groups=make_groups if past is None else tuple,
    )


def group_lengths(lengths: np.ndarray, *, gap: int) -> Iterator[slice]:
    """Group adjacent sequences of similar length.

    lengths (ndarray): (n_sequences,).
    gap (int): The difference in length that a group may always have; an eighth of its
        longest length is allowed too.
    YIELDS (slice): Each group, in order. Together they cover all sequences.
    """
    start = 0
    while start < len(lengths):
        stop = start + 1
        shortest = longest = lengths[start]
        while stop < len(lengths):
            shortest = min(shortest, lengths[stop])
            longest = max(longest, lengths[stop])
            if longest - shortest > max(gap, longest // 8):
                break
            stop += 1
        yield slice(start, stop)
        start = stop


def pad_rows(lengths: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pad a group of packed sequences on the right. Padding repeats the last row of a
    sequence: no row that is kept attends to it.

    lengths (ndarray): (size,).
    starts (ndarray): (size,), the packed row of each sequence's first token.
    RETURNS (Tuple[ndarray, ndarray]): The packed row for each padded position, (size,
        longest), and the flat indices of those that hold a token, in packed order.
    """
    column = np.arange(lengths.max())[None]
    gather = starts[:, None] + np.minimum(column, lengths[:, None] - 1)
    return gather, np.flatnonzero(column < lengths[:, None])


def _make_groups(
    lengths: np.ndarray, starts: np.ndarray, device: "torch.device | str"
) -> tuple[AttentionGroup, ...]:
    groups = group_lengths(lengths, gap=_LENGTH_GAP)
    return tuple(_make_group(lengths[g], starts[g], device) for g in groups)


def _make_group(
    lengths: np.ndarray, starts: np.ndarray, device: "torch.device | str"
) -> AttentionGroup:
    size, longest = len(lengths), int(lengths.max())
    rows = slice(int(starts[0]), int(starts[-1] + lengths[-1]))
    if int(lengths.min()) == longest:
        return AttentionGroup(rows, size, longest, None, None)
    gather, keep = pad_rows(lengths, starts)
    return AttentionGroup(
        *(rows, size, longest),
        gather=to_device(gather.reshape(-1), device),
        keep=to_device(keep, device),
    )


def to_device(array: np.ndarray, device: "torch.device | str") -> Tensor:
    """array (ndarray): What to copy.
    device (torch.device | str): Where to.
    RETURNS (Tensor): The copy. On CUDA the host does not wait for it."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
