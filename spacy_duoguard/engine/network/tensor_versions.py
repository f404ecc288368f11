"""Detect whether tensors were replaced or modified."""

from collections.abc import Iterable

from torch import Tensor

from ...errors import Errors, ScoringError


def check_counted(tensors: Iterable[Tensor]) -> None:
    """tensors (Iterable[Tensor]): Weights.
    RAISES (ScoringError): Torch doesn't count writes to one of them, nor trains it."""
    if any(tensor.is_inference() for tensor in tensors):
        raise ScoringError(Errors.E326)


class TensorVersions:
    """A snapshot of which tensors there are and how often each was written to. Torch
    counts in-place writes, except those through `.data`."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        """tensors (Iterable[Tensor]): The tensors. They are kept alive, so that no
        other tensor can get the same address.
        RAISES (ScoringError): As `check_counted`."""
        tensors = list(tensors)
        check_counted(tensors)
        self._seen = [(tensor.detach(), tensor._version) for tensor in tensors]

    def match(self, tensors: Iterable[Tensor]) -> bool:
        """tensors (Iterable[Tensor]): The current tensors, in the same order.
        RETURNS (bool): Whether none was replaced, moved or written to."""
        current = list(tensors)
        return len(current) == len(self._seen) and all(
            tensor.data_ptr() == seen.data_ptr()
            and tensor.dtype == seen.dtype
            and tensor.device == seen.device
            and not tensor.is_inference()
            and tensor._version == version
            for tensor, (seen, version) in zip(current, self._seen, strict=True)
        )
