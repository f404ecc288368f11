"""The files that a decoder was loaded from, and which weights changed since."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..network.tensor_versions import TensorVersions
from .safetensors import MappedFile, StoredTensor


class Origin:
    """The files that a decoder was loaded from. A copy of the decoder, which has
    its own weights, has no origin."""

    def __init__(
        self,
        decoder: nn.Module,
        stored: Mapping[str, StoredTensor],
        mapped: Mapping[str, MappedFile],
    ) -> None:
        """decoder (nn.Module): The decoder, just loaded.
        stored (Mapping[str, StoredTensor]): The tensors it was loaded from.
        mapped (Mapping[str, MappedFile]): The file of each parameter that is mapped.
        """
        files = {tensor.file for tensor in stored.values()}
        self.files = [file for file in files if file is not None]
        self.mapped = dict(mapped)
        self._versions = {
            name: TensorVersions([parameter])
            for name, parameter in decoder.named_parameters()
        }

    def check(self) -> None:
        """RAISES (CheckpointError): A file that is in use was modified."""
        for file in set(self.mapped.values()):
            file.check()

    def changed(self, decoder: nn.Module) -> dict[str, nn.Parameter]:
        """decoder (nn.Module): The decoder.
        RETURNS (Dict[str, nn.Parameter]): The parameters that were replaced or written
            to since it was loaded, by name."""
        return {
            name: parameter
            for name, parameter in decoder.named_parameters()
            if name not in self._versions or not self._versions[name].match([parameter])
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return _none, ()


def _none() -> None:
    return None
