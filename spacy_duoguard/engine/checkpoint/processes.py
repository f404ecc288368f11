"""Sharing a decoder's weights between processes.

A spawned process receives the paths of the weight files instead of the weights, and
maps them. (A forked one shares its parent's memory; see `network/inference.py`.)
"""

from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import CheckpointError, Errors
from ..network.config import DecoderConfig
from ..network.decoder import Decoder
from .origin import Origin
from .safetensors import Fingerprint, open_tensors
from .weights import fill

Files = list[tuple[Path, Fingerprint]]


def send_decoder(decoder: Decoder) -> Any:
    """Pickle a decoder for a process on the same machine. Weights that changed since it
    was loaded are sent in memory that torch shares.

    decoder (Decoder): The decoder.
    RETURNS (Any): See `object.__reduce__`.
    RAISES (CheckpointError): A file that its weights are mapped from was modified.
    """
    origin = decoder.origin
    parameters = dict(decoder.named_parameters())
    if not isinstance(origin, Origin) or decoder.device.type != "cpu":
        return decoder.__reduce_ex__(4)
    origin.check()
    changed = origin.changed(decoder)
    mapped = sum(parameters[n].nbytes for n in origin.mapped if n not in changed)
    # If little is mapped, for example in another precision, torch's way is better.
    little = 2 * mapped < sum(parameter.nbytes for parameter in parameters.values())
    if little or not all(file.in_place() for file in origin.files):
        return decoder.__reduce_ex__(4)
    files = [(file.path, file.fingerprint) for file in origin.files]
    given = {name: parameter.detach() for name, parameter in changed.items()}
    return _rebuild, (
        decoder.config,
        decoder.dtype,
        decoder.trained_layers,
        files,
        given,
    )


def _rebuild(
    config: DecoderConfig,
    dtype: torch.dtype,
    trained_layers: int | None,
    files: Files,
    given: dict[str, Tensor],
) -> Decoder:
    stored = {}
    for path, fingerprint in files:
        tensors = open_tensors(path)
        # It must be the file whose content was checked when the decoder was loaded.
        opened = next(iter(tensors.values())).file
        if opened is None or opened.fingerprint != fingerprint:
            raise CheckpointError(Errors.E100.format(file=path))
        stored.update(tensors)
    return fill(
        Decoder(config, device="meta", dtype=dtype),
        stored,
        device=torch.device("cpu"),
        trained_layers=trained_layers,
        given=given,
    )


def share_weights() -> None:
    """Make `multiprocessing` use `send_decoder`."""
    ForkingPickler.register(Decoder, send_decoder)
