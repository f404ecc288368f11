"""The trainable part of a decoder: modules, their precision, rows of the head."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from ...errors import Errors, SettingsError
from ...taxonomy import CATEGORIES
from .config import DecoderConfig
from .decoder import Decoder
from .tensor_versions import check_counted


def check_trainable(layers: int | None) -> None:
    """layers (Optional[int]): The setting `trainable_layers`.
    RAISES (SettingsError): It is neither None nor a count."""
    number = isinstance(layers, int) and not isinstance(layers, bool)
    if layers is not None and not (number and layers >= 0):
        raise SettingsError(Errors.E060.format(value=layers))


def check_depth(config: DecoderConfig, layers: int | None) -> None:
    """config (DecoderConfig): The architecture.
    layers (Optional[int]): The setting `trainable_layers`.
    RAISES (SettingsError): It exceeds the number of layers."""
    depth = config.num_hidden_layers
    if layers is not None and layers > depth:
        raise SettingsError(Errors.E061.format(value=layers, depth=depth))


def trainable_modules(decoder: Decoder, layers: int | None) -> list[nn.Module]:
    """decoder (Decoder): The decoder.
    layers (Optional[int]): None for all of it, 0 for the head, n for the top n layers,
        the final norm and the head.
    RETURNS (List[nn.Module]): The modules to train. They do not overlap."""
    if layers is None:
        return [decoder]
    if layers == 0:
        return [decoder.score]
    return [*decoder.layers[-layers:], decoder.norm, decoder.score]


def widen(decoder: Decoder, layers: int | None) -> None:
    """Convert the trainable modules to float32, in place: in bfloat16 the steps of an
    optimizer would be rounded away. Modules trained earlier stay float32.

    decoder (Decoder): The decoder.
    layers (Optional[int]): See `trainable_modules`.
    """
    for module in trainable_modules(decoder, layers):
        module.float()
    before = decoder.trained_layers
    widest = None if layers is None or before is None else max(layers, before)
    decoder.trained_layers = widest


def prepare_training(decoder: Decoder, layers: int | None) -> None:
    """Convert the trainable modules to float32 and enable gradients for them, and only
    for them. Nothing else changes the dtype of a loaded decoder.

    decoder (Decoder): The decoder.
    layers (Optional[int]): See `trainable_modules`.
    RAISES (SettingsError): `layers` exceeds the number of layers.
    RAISES (ScoringError): The weights were made in `torch.inference_mode()`.
    """
    check_depth(decoder.config, layers)
    check_counted(decoder.parameters())
    widen(decoder, layers)
    decoder.requires_grad_(False)
    for module in trainable_modules(decoder, layers):
        module.requires_grad_(True)


def trained_parameters(decoder: Decoder) -> dict[str, nn.Parameter]:
    """decoder (Decoder): The decoder.
    RETURNS (Dict[str, nn.Parameter]): The parameters with gradients, by name."""
    return {
        name: parameter
        for name, parameter in decoder.named_parameters()
        if parameter.requires_grad
    }


def add_labels(decoder: Decoder, labels: Sequence[str]) -> None:
    """Append rows to the head, in place. A new row is the mean of the first twelve. Its
    logit never exceeds their maximum, so `unsafe` does not change until the row is
    trained.

    decoder (Decoder): The decoder.
    labels (Sequence[str]): The new categories.
    """
    old = decoder.score.weight
    with torch.inference_mode(False), torch.no_grad():
        mean = old[: len(CATEGORIES)].mean(dim=0, keepdim=True)
        weight = torch.cat([old, mean.expand(len(labels), -1)])
        decoder.score.weight = nn.Parameter(weight, requires_grad=old.requires_grad)
    decoder.score.out_features = len(weight)
    decoder.config = replace(
        decoder.config,
        num_labels=len(weight),
        extra_labels=(*decoder.config.extra_labels, *labels),
    )


@contextmanager
def swapped(decoder: Decoder, values: Mapping[str, Tensor]) -> Iterator[None]:
    """Temporarily replace the values of parameters. They are restored bit for bit.

    decoder (Decoder): The decoder.
    values (Mapping[str, Tensor]): The temporary values, by parameter name.
    """
    parameters = dict(decoder.named_parameters())
    original = {name: parameters[name].detach().clone() for name in values}
    try:
        _copy(parameters, values)
        yield
    finally:
        _copy(parameters, original)


def _copy(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in values.items():
            parameters[name].copy_(value)
