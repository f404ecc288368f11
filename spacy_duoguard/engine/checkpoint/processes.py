"""Decoders in several processes: what is the same is in memory once.

A process that is spawned receives the places of the weights in their files, and maps
them, instead of the weights. (One that is forked shares all that its parent has;
`forward` lays out before what scores.)
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
    """How `multiprocessing` pickles a decoder for a process of the same machine. What
    was changed since it was loaded is sent, in memory that torch shares.

    decoder (Decoder): The decoder.
    RETURNS (Any): As of `__reduce__`.
    RAISES (CheckpointError): A file that its weights are mapped from was written to.
    """
    origin = decoder.origin
    parameters = dict(decoder.named_parameters())
    if not isinstance(origin, Origin) or decoder.device.type != "cpu":
        return decoder.__reduce_ex__(4)
    origin.check()
    changed = origin.changed(decoder)
    same = sum(parameters[n].nbytes for n in origin.mapped if n not in changed)
    # Where little is mapped, as if the precision is another, torch's way is better.
    little = 2 * same < sum(parameter.nbytes for parameter in parameters.values())
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
        part = open_tensors(path)
        # The file that was checked when it was loaded, and not another of its name.
        opened = next(iter(part.values())).file
        if opened is None or opened.fingerprint != fingerprint:
            raise CheckpointError(Errors.E100.format(file=path))
        stored.update(part)
    return fill(
        Decoder(config, device="meta", dtype=dtype),
        stored,
        device=torch.device("cpu"),
        trained_layers=trained_layers,
        given=given,
    )


def share_weights() -> None:
    """Make `multiprocessing` pickle decoders in this way."""
    ForkingPickler.register(Decoder, send_decoder)
