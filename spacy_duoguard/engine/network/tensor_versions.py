"""Detect whether tensors were replaced or modified."""

from collections.abc import Iterable

from torch import Tensor
from torch.nn import Module

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


class ModuleVersions:
    """A snapshot of modules and all of their parameters. To list the parameters and
    compare those would take four times as long."""

    def __init__(self, roots: Iterable[Module]) -> None:
        """roots (Iterable[Module]): The modules, with all that are in them.
        RAISES (ScoringError): As `check_counted`."""
        self._roots = tuple(roots)
        modules = [module for root in self._roots for module in root.modules()]
        check_counted(weight for root in self._roots for weight in root.parameters())
        self._children = [(m._modules, tuple(m._modules.values())) for m in modules]
        self._counts = [(m._parameters, len(m._parameters)) for m in modules]
        self._seen = [
            (
                *(module._parameters, name, tensor),
                *(tensor.data_ptr(), tensor.dtype, tensor._version),
            )
            for module in modules
            for name, tensor in module._parameters.items()
            if tensor is not None
        ]
        # Kept alive, so that no other tensor can get the same address.
        self._tensors = [tensor.detach() for _, _, tensor, _, _, _ in self._seen]

    def match(self, roots: Iterable[Module]) -> bool:
        """roots (Iterable[Module]): The current modules, in the same order.
        RETURNS (bool): Whether no module was replaced, and no parameter replaced, moved
            or written to."""
        return (
            tuple(roots) == self._roots
            and all(tuple(now.values()) == then for now, then in self._children)
            and all(len(now) == then for now, then in self._counts)
            and all(
                now.get(name) is tensor
                and tensor.data_ptr() == address
                and tensor.dtype == dtype
                and tensor._version == version
                for now, name, tensor, address, dtype, version in self._seen
            )
        )
