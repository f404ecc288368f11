"""Whether tensors were moved or written to since an earlier moment."""

from collections.abc import Iterable

from torch import Tensor


class Versions:
    """Tensors as they are now. Torch counts what is written to a tensor in place, but
    for writes through `.data`."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        """tensors (Iterable[Tensor]): What to remember. They are kept alive, so that no
        other can take their place in memory."""
        self._seen = [(tensor.detach(), tensor._version) for tensor in tensors]

    def hold(self, tensors: Iterable[Tensor]) -> bool:
        """tensors (Iterable[Tensor]): The tensors that stand in their places now.
        RETURNS (bool): None of them was replaced, moved or written to."""
        present = list(tensors)
        return len(present) == len(self._seen) and all(
            tensor.data_ptr() == seen.data_ptr()
            and tensor.dtype == seen.dtype
            and tensor._version == version
            for tensor, (seen, version) in zip(present, self._seen, strict=True)
        )
