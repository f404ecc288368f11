"""Which forward scores: chosen by device and precision, made when first needed."""

import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from .attention import AttentionFunction
from .cpu import CpuForward
from .cuda import CudaForward
from .decoder import Decoder
from .device import check_eight_bit
from .packing import PackedBatch
from .tensor_versions import Versions


class Forward(Protocol):
    """A decoder's forward without gradients."""

    def __call__(self, batch: PackedBatch, /) -> Tensor:
        """As `Decoder.forward`."""

    def pooled(self, batch: PackedBatch, /) -> Tensor:
        """As `Decoder.pooled`."""

    def extend(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction], /
    ) -> Tensor:
        """As `Decoder.extend`."""


def make_forward(decoder: Decoder, *, eight_bit: bool) -> Forward:
    """decoder (Decoder): On the device to compute on.
    eight_bit (bool): Multiply in eight bits.
    RETURNS (Forward): The fastest one for the device.
    RAISES (SettingsError): Eight bits where the device does not multiply them.
    """
    if eight_bit:
        check_eight_bit(decoder.device)
    if decoder.device.type == "cpu":
        return CpuForward(decoder, eight_bit=eight_bit)
    if decoder.device.type == "cuda":
        return CudaForward(decoder)
    return decoder


# Those of this process. Their classifiers keep them.
_alive: "weakref.WeakSet[CurrentForward]" = weakref.WeakSet()


class CurrentForward:
    """The forward of a decoder as its weights are now. Weights that were laid out for
    the hardware are a copy: when the decoder's change, it is made anew."""

    def __init__(self, decoder: Decoder, *, eight_bit: bool) -> None:
        """decoder (Decoder), eight_bit (bool): As for `make_forward`."""
        self.decoder = decoder
        self.eight_bit = eight_bit
        self._made: tuple[Versions, Forward] | None = None
        self._lock = threading.Lock()
        _alive.add(self)

    def get(self) -> Forward:
        """RETURNS (Forward): Of the present weights.
        RAISES (CheckpointError): The file that they are mapped from was written to."""
        if self.decoder.origin is not None and self.decoder.device.type == "cpu":
            self.decoder.origin.check()
        weights = list(self.decoder.layers.parameters())
        with self._lock:
            if self._made is None or not self._made[0].hold(weights):
                self._made = None  # two copies at once would double the memory
                forward = make_forward(self.decoder, eight_bit=self.eight_bit)
                self._made = Versions(weights), forward
            return self._made[1]

    def __getstate__(self) -> dict[str, Any]:
        return {"decoder": self.decoder, "eight_bit": self.eight_bit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _made=None, _lock=threading.Lock())
        _alive.add(self)


def _lay_out() -> None:
    """Make what scores before a process forks: the child then shares it. One thread
    does it, since a pool of threads does not survive a fork."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for forward in list(_alive):
            if forward.decoder.device.type == "cpu":
                with torch.inference_mode():
                    forward.get()
    finally:
        torch.set_num_threads(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lay_out)
