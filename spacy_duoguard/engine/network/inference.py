"""The forward pass for inference: chosen by device and precision, made on first use."""

import os
import weakref
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from torch import Tensor

from ...errors import SettingsError, Warnings
from ..fallbacks import NATIVE, Fallbacks, describe
from ..fork_lock import ForkLock
from ..user_warnings import warn_once
from .attention import AttentionFunction
from .cpu import CpuForward
from .cuda import CudaForward
from .decoder import Decoder
from .device import check_int8
from .native.forward import NativeForward
from .native.probe import make_native
from .packing import PackedBatch
from .tensor_versions import ModuleVersions


class Forward(Protocol):
    """A decoder's forward pass without gradients."""

    def __call__(self, batch: PackedBatch, /) -> Tensor:
        """See `Decoder.forward`."""

    def pooled(self, batch: PackedBatch, /) -> Tensor:
        """See `Decoder.pooled`."""

    def extend(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction], /
    ) -> Tensor:
        """See `Decoder.extend`."""


def make_forward(
    decoder: Decoder,
    *,
    int8: bool,
    kernels: str = "torch",
    fallbacks: Fallbacks | None = None,
) -> Forward:
    """decoder (Decoder): The decoder, on the device to compute on.
    int8 (bool): Multiply in int8.
    kernels (str): "torch", or "triton" on a CUDA device, or "native" on a CPU. "auto"
        is "triton" on a CUDA device if the package is installed, else "torch".
    fallbacks (Optional[Fallbacks]): Counts what can't be used after all.
    RETURNS (Forward): The fastest forward pass for the device.
    RAISES (SettingsError): The device does not multiply int8.
    """
    if int8:
        check_int8(decoder.device)
    if decoder.device.type == "cpu":
        if kernels == "native" and (native := _native(decoder, int8, fallbacks)):
            return native
        return CpuForward(decoder, int8=int8)
    if decoder.device.type == "cuda":
        has_triton = kernels == "auto" and find_spec("triton") is not None
        triton = kernels == "triton" or has_triton
        return CudaForward(decoder, fallbacks, triton=triton)
    return decoder


def _native(
    decoder: Decoder, int8: bool, fallbacks: Fallbacks | None
) -> NativeForward | None:
    try:
        return make_native(decoder, int8=int8)
    except SettingsError as e:
        if fallbacks is not None:
            fallbacks.count(NATIVE, describe(e))
        warn_once(Warnings.W020.format(problem=e))
        return None


# All of this process, by identity, kept alive by their classifiers.
_alive: "weakref.WeakValueDictionary[int, CurrentForward]"
_alive = weakref.WeakValueDictionary()


class CurrentForward:
    """The forward pass for a decoder's current weights. Weights that were reordered for
    the hardware are copies, and recorded graphs hold addresses: when the decoder's
    change, it is rebuilt."""

    def __init__(
        self,
        decoder: Decoder,
        *,
        int8: bool,
        kernels: str = "torch",
        fallbacks: Fallbacks | None = None,
    ) -> None:
        """decoder (Decoder), int8 (bool), kernels (str), fallbacks (Optional[
        Fallbacks]): See `make_forward`."""
        self.decoder = decoder
        self.int8 = int8
        self.kernels = kernels
        self.fallbacks = fallbacks or Fallbacks()
        self._cached: tuple[ModuleVersions, Forward] | None = None
        self._lock = ForkLock()
        _alive[id(self)] = self

    def get(self) -> Forward:
        """RETURNS (Forward): The forward pass for the current weights.
        RAISES (CheckpointError): A file they are mapped from was modified."""
        if self.decoder.origin is not None and self.decoder.device.type == "cpu":
            self.decoder.origin.check()
        # All but the head, which no forward copies: it is read at every call.
        modules = (self.decoder.embedding, self.decoder.layers, self.decoder.norm)
        with self._lock.plain:
            if self._cached is None or not self._cached[0].match(modules):
                self._cached = None  # two copies at once would double the memory
                forward = make_forward(
                    self.decoder,
                    int8=self.int8,
                    kernels=self.kernels,
                    fallbacks=self.fallbacks,
                )
                self._cached = ModuleVersions(modules), forward
            return self._cached[1]

    def __getstate__(self) -> dict[str, Any]:
        return {
            "decoder": self.decoder,
            "int8": self.int8,
            "kernels": self.kernels,
            "fallbacks": self.fallbacks,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _cached=None, _lock=ForkLock())
        _alive[id(self)] = self


def _build_before_fork() -> None:
    """Build all forward passes before the process forks, so that the child shares them.
    Use one thread: a thread pool does not survive a fork. One that can't be built keeps
    no other from it, and is no concern of the code that forks: the error comes with the
    next text."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Threads add others meanwhile, and only a list doesn't mind.
        for forward in [ref() for ref in _alive.valuerefs()]:
            if forward is not None and forward.decoder.device.type == "cpu":
                with suppress(Exception), torch.inference_mode():
                    forward.get()
    finally:
        torch.set_num_threads(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_build_before_fork)
