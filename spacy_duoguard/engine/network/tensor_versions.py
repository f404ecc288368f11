"""Detect whether tensors were replaced or modified."""

from collections.abc import Iterable

from torch import Tensor


class TensorVersions:
    """A snapshot of which tensors there are and how often each was written to. Torch
    counts in-place writes, except those through `.data`."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        """tensors (Iterable[Tensor]): The tensors. They are kept alive, so that no
        other tensor can get the same address."""
        self._seen = [(tensor.detach(), tensor._version) for tensor in tensors]

    def match(self, tensors: Iterable[Tensor]) -> bool:
        """tensors (Iterable[Tensor]): The current tensors, in the same order.
        RETURNS (bool): Whether none was replaced, moved or written to."""
        current = list(tensors)
        return len(current) == len(self._seen) and all(
            tensor.data_ptr() == seen.data_ptr()
            and tensor.dtype == seen.dtype
            and tensor.device == seen.device
            and tensor._version == version
            for tensor, (seen, version) in zip(current, self._seen, strict=True)
        )
