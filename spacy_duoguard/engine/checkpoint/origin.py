"""Where a decoder's weights lie on the disk, and which of them are still the same."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..network.tensor_versions import TensorVersions
from .safetensors import MappedFile, Stored


class Origin:
    """What is to be known of the files that a decoder was loaded from. It belongs to
    that decoder alone: copies, which have weights of their own, have none."""

    def __init__(
        self,
        decoder: nn.Module,
        stored: Mapping[str, Stored],
        mapped: Mapping[str, MappedFile],
    ) -> None:
        """decoder (nn.Module): With its weights, as they were loaded.
        stored (Mapping[str, Stored]): What they were loaded from.
        mapped (Mapping[str, MappedFile]): The parameters that are mapped from a file.
        """
        found = {part.file for part in stored.values()}
        self.files = [file for file in found if file is not None]
        self.mapped = dict(mapped)
        self._versions = {
            name: TensorVersions([parameter])
            for name, parameter in decoder.named_parameters()
        }

    def check(self) -> None:
        """RAISES (CheckpointError): A file that weights are mapped from was written
        to: they are not those that were loaded."""
        for file in set(self.mapped.values()):
            file.check()

    def changed(self, decoder: nn.Module) -> dict[str, nn.Parameter]:
        """decoder (nn.Module): The decoder.
        RETURNS (Dict[str, nn.Parameter]): What was written to or replaced since it was
            loaded, by name."""
        return {
            name: parameter
            for name, parameter in decoder.named_parameters()
            if name not in self._versions or not self._versions[name].match([parameter])
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return _none, ()


def _none() -> None:
    return None
