"""Safetensors files. The header is checked before any tensor is read, and tensors are
mapped from disk rather than copied."""

import json
import math
import mmap
import os
import weakref
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...errors import CheckpointError, Errors

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}

# The header of DuoGuard-0.5B is 30 kB.
_HEADER_LIMIT = 2**24
_RANK_LIMIT = 8
_NAME_LIMIT = 80  # characters of a name in a message


class StoredTensor(NamedTuple):
    """A tensor in a file, not read yet."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[], Tensor]
    file: "MappedFile | None" = None
    start: int = 0  # bytes from the beginning of the file

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape) * self.dtype.itemsize


class Fingerprint(NamedTuple):
    """Properties that change when a file is modified or replaced."""

    device: int
    inode: int
    size: int
    modified: int  # nanoseconds

    @classmethod
    def of(cls, status: os.stat_result) -> "Fingerprint":
        """status (os.stat_result): The status of a file."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class MappedFile:
    """A file mapped into memory, in pages that all processes share.

    Writing to a tensor changes neither the file nor what other processes see, because
    the system copies the page first. Writing to the file does change the tensors:
    `check` detects it. Replacing the file by renaming, as `to_disk` does, is safe.
    """

    def __init__(self, path: Path) -> None:
        """path (Path): The file.
        RAISES (OSError, ValueError): The file cannot be mapped."""
        self.path = path.absolute()
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._handle)
        self.fingerprint = Fingerprint.of(os.fstat(self._handle))
        self.content = mmap.mmap(self._handle, 0, access=mmap.ACCESS_COPY)

    def check(self) -> None:
        """RAISES (CheckpointError): The file was modified after it was mapped."""
        if Fingerprint.of(os.fstat(self._handle)) != self.fingerprint:
            raise CheckpointError(Errors.E100.format(file=self.path))

    def in_place(self) -> bool:
        """RETURNS (bool): Whether the path still leads to this unmodified file."""
        try:
            return Fingerprint.of(os.stat(self.path)) == self.fingerprint
        except OSError:
            return False

    def tensor(self, start: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """start (int): Bytes from the beginning of the file.
        shape (Sequence[int]), dtype (torch.dtype): The tensor's shape and dtype.
        RETURNS (Tensor): A view of the mapped pages."""
        count = math.prod(shape)
        if not count:
            return torch.empty(tuple(shape), dtype=dtype)
        flat = torch.frombuffer(self.content, dtype=dtype, count=count, offset=start)
        return flat.view(tuple(shape))


def open_tensors(path: Path) -> dict[str, StoredTensor]:
    """Map a safetensors file and read its header.

    path (Path): The file.
    RETURNS (Dict[str, StoredTensor]): The tensors by name.
    RAISES (CheckpointError): The file is damaged, its header is wrong, or a dtype is
        not a float.
    """
    # On Windows a mapped file could not be replaced when saving.
    if os.name == "nt":
        return parse_tensors(path.read_bytes(), source=path.name)
    try:
        file = MappedFile(path)
    except (OSError, ValueError) as e:  # ValueError: the file is empty
        raise _damaged(path.name, type(e).__name__) from e
    return {
        name: StoredTensor(
            dtype,
            shape,
            lambda start=start, shape=shape, dtype=dtype: file.tensor(  # type: ignore[misc]
                start, shape, dtype
            ),
            file,
            start,
        )
        for name, (dtype, shape, start) in _read_header(file.content, path.name).items()
    }


def parse_tensors(data: bytes, *, source: str) -> dict[str, StoredTensor]:
    """Like `open_tensors`, from the content of a file.

    data (bytes): The content.
    source (str): Where it came from, for messages.
    RETURNS (Dict[str, StoredTensor]): The tensors by name, each copied when read.
    """

    def read(dtype: torch.dtype, shape: tuple[int, ...], start: int) -> Tensor:
        size = math.prod(shape) * dtype.itemsize
        if not size:
            return torch.empty(tuple(shape), dtype=dtype)
        return torch.frombuffer(
            bytearray(data[start : start + size]), dtype=dtype
        ).view(tuple(shape))

    return {
        name: StoredTensor(*entry[:2], lambda entry=entry: read(*entry))  # type: ignore[misc]
        for name, entry in _read_header(data, source).items()
    }


def join_mapped(blocks: Sequence[StoredTensor], dtype: torch.dtype) -> Tensor | None:
    """View consecutive tensors of a mapped file as one.

    blocks (Sequence[StoredTensor]): Tensors that only differ in their first dimension.
    dtype (torch.dtype): The dtype of the result.
    RETURNS (Optional[Tensor]): A view of the mapped pages; None if the tensors are not
        consecutive, aligned and of that dtype.
    """
    first = blocks[0]
    adjacent = all(before.stop == after.start for before, after in pairwise(blocks))
    same = all(block.file is first.file and block.dtype == dtype for block in blocks)
    if first.file is None or not (adjacent and same) or first.start % dtype.itemsize:
        return None
    shape = (sum(block.shape[0] for block in blocks), *first.shape[1:])
    return first.file.tensor(first.start, shape, dtype)


def _read_header(
    content: bytes | mmap.mmap, source: str
) -> dict[str, tuple[torch.dtype, tuple[int, ...], int]]:
    """Read the dtype, shape and first byte of each tensor. Together the tensors must
    fill the rest of the file, without gaps or overlap."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(_HEADER_LIMIT, len(content) - 8):
        raise _damaged(source, "the header is cut off or too long")
    try:
        header = json.loads(content[8 : 8 + length], object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as e:
        raise _damaged(source, "the header is not JSON with unique keys") from e
    if not isinstance(header, dict):
        raise _damaged(source, "the header is not a JSON object")
    header.pop("__metadata__", None)
    first = 8 + length
    tensors = {}
    spans = []
    for name, entry in header.items():
        dtype, shape, start, stop = _read_entry(entry, name, source)
        if stop - start != math.prod(shape) * dtype.itemsize:
            problem = f"'{name[:_NAME_LIMIT]}' has a size that does not fit its shape"
            raise _damaged(source, problem)
        tensors[name] = dtype, shape, first + start
        spans.append((start, stop))
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise _damaged(source, "tensors overlap or leave gaps")
        end = stop
    if first + end != len(content):
        raise _damaged(source, "the tensors do not end where the file does")
    return tensors


def _read_entry(
    entry: Any, name: str, source: str
) -> tuple[torch.dtype, tuple[int, ...], int, int]:
    name = name[:_NAME_LIMIT]
    keys = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != keys:
        raise _damaged(
            source, f"'{name}' does not have exactly {', '.join(sorted(keys))}"
        )
    shape, offsets = entry["shape"], entry["data_offsets"]
    counts = isinstance(shape, list) and isinstance(offsets, list)
    if not counts or not all(_is_count(n) for n in (*shape, *offsets)):
        raise _damaged(source, f"'{name}' has a shape or offsets that are not counts")
    if len(shape) > _RANK_LIMIT or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _damaged(source, f"'{name}' has an impossible shape or offsets")
    dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        other = str(entry["dtype"])[:8]
        problem = f"'{name}' is {other}, not one of {', '.join(DTYPES)}"
        raise CheckpointError(Errors.E015.format(source=source, problem=problem))
    return dtype, tuple(shape), offsets[0], offsets[1]


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("duplicate key")
    return unique


def _damaged(source: str, problem: str) -> CheckpointError:
    message = Errors.E018.format(source=source, kind="safetensors", problem=problem)
    return CheckpointError(message)
