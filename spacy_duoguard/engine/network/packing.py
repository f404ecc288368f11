"""Packed batches: sequences laid end to end, with no padding between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class AttentionGroup:
    """Neighbouring sequences of a packed batch of about the same length, which share
    one attention call."""

    rows: slice  # of the packed rows
    size: int  # sequences
    length: int  # of the longest, in tokens
    gather: Tensor | None  # (size * length,) packed row for each padded position
    keep: Tensor | None  # padded positions that hold a token, in packed order


@dataclass(frozen=True)
class PackedBatch:
    """What the decoder reads. Total is the sum of the lengths: no row is padding."""

    token_ids: Tensor  # (total,) int64
    positions: Tensor  # (total,) int64, from 0 within each sequence
    scored_rows: Tensor  # (n_scored,) int64, packed rows that the head reads
    cu_seqlens: Tensor  # (n_sequences + 1,) int32, where sequences begin, and the end
    longest: int  # length of the longest sequence
    groups: tuple[AttentionGroup, ...]


def plan_batches(lengths: Sequence[int], *, max_tokens: int) -> list[list[int]]:
    """Cut sequences into batches of at most `max_tokens` tokens. A sequence that is
    longer than that makes a batch of its own.

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
    device: "torch.device | str" = "cpu",
) -> PackedBatch:
    """Lay sequences end to end.

    sequences (Sequence[ndarray]): Token ids, each of shape (length,) with at least
        one id. Sorted by length they share the fewest attention calls; any order is
        correct.
    rows (Optional[Sequence[ndarray]]): The tokens of each sequence after which it is
        scored, ascending; None for the last one of each.
    device (torch.device | str): Where the decoder is.
    RETURNS (PackedBatch): The batch.
    """
    lengths = np.asarray([len(ids) for ids in sequences], dtype=np.int64)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    positions = np.arange(ends[-1]) - np.repeat(starts, lengths)
    token_ids = np.concatenate(list(sequences)).astype(np.int64)
    scored = ends - 1
    if rows is not None:
        scored = np.concatenate([s + r for s, r in zip(starts, rows, strict=True)])
    return PackedBatch(
        token_ids=_tensor(token_ids, device),
        positions=_tensor(positions, device),
        scored_rows=_tensor(scored, device),
        cu_seqlens=_tensor(np.append(0, ends).astype(np.int32), device),
        longest=int(lengths.max()),
        groups=tuple(_groups(lengths, starts, device)),
    )


def _groups(
    lengths: np.ndarray, starts: np.ndarray, device: "torch.device | str"
) -> list[AttentionGroup]:
    groups = []
    first = 0
    while first < len(lengths):
        stop = first + 1
        shortest = longest = lengths[first]
        while stop < len(lengths):
            shortest = min(shortest, lengths[stop])
            longest = max(longest, lengths[stop])
            # Padding exists only inside attention, where a few rows cost less than
            # one more call.
            if longest - shortest > max(16, longest // 8):
                break
            stop += 1
        group = slice(first, stop)
        groups.append(_group(lengths[group], starts[group], device))
        first = stop
    return groups


def _group(
    lengths: np.ndarray, starts: np.ndarray, device: "torch.device | str"
) -> AttentionGroup:
    longest = int(lengths.max())
    rows = slice(int(starts[0]), int(starts[-1] + lengths[-1]))
    if int(lengths.min()) == longest:
        return AttentionGroup(rows, len(lengths), longest, None, None)
    column = np.arange(longest)[None]
    # Padding repeats a sequence's last row: causal attention never looks at it.
    gather = starts[:, None] + np.minimum(column, lengths[:, None] - 1)
    keep = np.flatnonzero(column < lengths[:, None])
    return AttentionGroup(
        rows,
        len(lengths),
        longest,
        _tensor(gather.reshape(-1), device),
        _tensor(keep, device),
    )


def _tensor(array: np.ndarray, device: "torch.device | str") -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if torch.device(device).type == "cuda":  # the host need not wait for the copy
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
