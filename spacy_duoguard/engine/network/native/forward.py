"""The forward pass in native kernels."""

from collections import deque
from collections.abc import Iterable, Sequence
from ctypes import CDLL, byref, c_int64, c_void_p, sizeof
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ....errors import Errors, SettingsError
from ...fork_lock import ForkLock
from ..attention import AttentionFunction
from ..cpu import CpuForward
from ..decoder import Decoder, DecoderLayer, Rotary
from ..packing import PackedBatch
from .layout import KINDS, Batch, Layer, Layout, Model, Product

# A thread takes 20 to 50 microseconds to start. These operations take 200 in int8.
_OPERATIONS_PER_THREAD = 100e6
_MOST_THREADS = 32  # the narrowest products have 28 panels

_SPARE = 2  # buffers that are kept


class NativeForward:
    """Packed batches → logits, like `CpuForward`, in one call for all layers. What it
    pools for a row doesn't depend on the other rows, bit for bit. Holds a second copy
    of the weights, in their packed layout."""

    def __init__(self, decoder: Decoder, library: CDLL, *, int8: bool) -> None:
        """decoder (Decoder): A decoder on the CPU.
        library (CDLL): From `load_library`.
        int8 (bool): Multiply in int8.
        RAISES (SettingsError): The kernels don't support the decoder here."""
        for i, structure in enumerate((Product, Layer, Model, Batch)):
            if library.duoguard_sizes(i) != sizeof(structure):
                problem = f"{structure.__name__} has another layout"
                raise SettingsError(Errors.E234.format(problem=problem))
        layers = cast(Iterable[DecoderLayer], decoder.layers)
        dtypes = {layer.dtype for layer in layers}
        for dtype in {torch.int8} if int8 else dtypes:
            if not library.duoguard_supports(KINDS.get(dtype, -1)):
                raise SettingsError(Errors.E236.format(precision=dtype))
        library.duoguard_bytes.restype = c_int64
        self.decoder = decoder
        self.library = library
        self.layout = Layout(decoder, int8=int8, lanes=library.duoguard_lanes())
        weights = decoder.layers.parameters()
        self._operations = 2 * sum(w.numel() for w in weights if w.ndim > 1)
        self._int8 = int8
        self._steps: CpuForward | None = None
        self._lock = ForkLock()
        self._spare: deque[Tensor] = deque(maxlen=_SPARE)
        self._rotary = self._tables(512)

    def __call__(self, batch: PackedBatch) -> Tensor:
        """See `Decoder.forward`."""
        return self.decoder.score(self.pooled(batch))

    def pooled(self, batch: PackedBatch) -> Tensor:
        """See `Decoder.pooled`.

        RAISES (MemoryError): There isn't enough memory."""
        size, stride = self.decoder.config.hidden_size, self.layout.model.stride
        rotary = self._rotary
        if len(rotary.cos) < batch.longest:
            rotary = self._rotary = self._tables(2 * batch.longest)
        rows = self.decoder.embedding(batch.token_ids).float()
        x = F.pad(rows, (0, stride - size)).contiguous()
        out = torch.empty(len(batch.scored_rows), stride)
        described = Batch(
            rows=len(x),
            sequences=len(batch.cu_seqlens) - 1,
            scored=len(out),
            bounds=batch.cu_seqlens.data_ptr(),
            scored_rows=batch.scored_rows.data_ptr(),
            cos=rotary.cos.data_ptr(),
            sin=rotary.sin.data_ptr(),
            x=x.data_ptr(),
            out=out.data_ptr(),
        )
        model, threads = byref(self.layout.model), self.threads(len(x))
        memory = self._borrow(
            self.library.duoguard_bytes(model, byref(described), threads)
        )
        self.library.duoguard_forward(
            model, byref(described), threads, c_void_p(memory.data_ptr())
        )
        self._spare.append(memory)
        return out[:, :size]

    def extend(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction]
    ) -> Tensor:
        """See `Decoder.extend`. Steps of a stream are computed by torch, with a copy of
        the weights that is made at the first."""
        with self._lock.plain:
            if self._steps is None:
                self._steps = CpuForward(self.decoder, int8=self._int8)
        return self._steps.extend(batch, attends)

    def threads(self, rows: int) -> int:
        """rows (int): The rows of a batch.
        RETURNS (int): The threads that it is worth, at most torch's."""
        worth = int(rows * self._operations / _OPERATIONS_PER_THREAD)
        return max(1, min(worth, torch.get_num_threads(), _MOST_THREADS))

    def _borrow(self, size: int) -> Tensor:
        """Memory that was used before, if there is some: new memory has to be cleared
        by the system, page by page."""
        try:
            memory = self._spare.pop()
        except IndexError:
            memory = None
        if memory is None or len(memory) < size:
            # So that few sizes are asked for.
            memory = torch.empty(
                1 << max(20, (size - 1).bit_length()), dtype=torch.uint8
            )
        return memory

    def _tables(self, length: int) -> Rotary:
        return self.decoder.rotary(torch.arange(length), torch.float32)
