"""The decoder's forward pass on a CUDA device, for inference.

Half-precision layers attend in one call over the packed rows. The many kernels of a
short text take longer to launch than to run, and those of a batch keep the host from
preparing the next one, so recorded graphs are replayed.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from ..fallbacks import ATTENTION, GRAPHS, KERNELS, Fallbacks, describe
from .attention import AttentionFunction, packed_attention, varlen_attention
from .cuda_graph import (
    GraphMemory,
    GraphShape,
    RecordedForward,
    graph_shape,
    pad_batch,
)
from .decoder import Decoder, DecoderLayer
from .flash_probe import flash_problem
from .fused import FusedDecoder
from .memory import out_of_memory
from .packing import PackedBatch

# A graph of several texts is recorded when a batch of its shape comes for this time:
# recording it takes as long as launching some ten batches.
_TIMES = 8


class CudaForward:
    """Packed batches → logits."""

    def __init__(
        self,
        decoder: Decoder,
        fallbacks: Fallbacks | None = None,
        *,
        triton: bool = False,
    ) -> None:
        """decoder (Decoder): A decoder on a CUDA device.
        fallbacks (Optional[Fallbacks]): Counts the kernels and the graphs that can't be
            used.
        triton (bool): Use Triton kernels between the products.
        """
        self.decoder = decoder
        self.fallbacks = fallbacks or Fallbacks()
        self.dtypes = [cast(DecoderLayer, layer).dtype for layer in decoder.layers]
        # None: can't be recorded.
        self._graphs: dict[GraphShape, RecordedForward | None] = {}
        self._memory: GraphMemory | None = None
        self._times: Counter[GraphShape] = Counter()
        # A graph has one set of inputs: threads take turns.
        self._lock = threading.Lock()
        self.fused = self._fuse() if triton else None

    def __call__(self, batch: PackedBatch) -> Tensor:
        """See `Decoder.forward`."""
        return self.decoder.score(self.pooled(batch))

    def pooled(self, batch: PackedBatch) -> Tensor:
        """See `Decoder.pooled`."""
        with torch.cuda.device(self.decoder.device):
            attends = self._attends()
            packs = all(attend is varlen_attention for attend in attends)
            shape = graph_shape(batch, packs=packs)
            if shape is not None:
                with self._lock:
                    graph = self._get_graph(batch, shape, attends)
                    if graph is not None:
                        return graph.replay(batch)
            return self._compute(batch, attends)

    def extend(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction]
    ) -> Tensor:
        """See `Decoder.extend`."""
        return self.decoder.extend(batch, attends)

    def _compute(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction]
    ) -> Tensor:
        return (self.fused or self.decoder).pooled(batch, attends)

    def _fuse(self) -> FusedDecoder | None:
        try:
            with torch.cuda.device(self.decoder.device):
                fused = FusedDecoder(self.decoder)
                fused.check(self._attends())
        except Exception as e:  # whatever a compiler raises
            if out_of_memory(e):
                raise  # there may be room at the next call
            self._fall_back(KERNELS, describe(e))
            return None
        return fused

    def _attends(self) -> list[AttentionFunction]:
        """One function for each layer: trained top layers are float32, which the kernel
        for packed rows doesn't take."""
        usable = {
            torch.float32: False,
            **{dtype: self._has_flash(dtype) for dtype in {*self.dtypes}},
        }
        return [
            varlen_attention if usable[dtype] else packed_attention
            for dtype in self.dtypes
        ]

    def _has_flash(self, dtype: torch.dtype) -> bool:
        if dtype not in (torch.bfloat16, torch.float16):
            return False
        problem = flash_problem(self.decoder.config, dtype, self.decoder.device)
        if problem is not None:
            self._fall_back(ATTENTION, problem)
        return problem is None

    def _get_graph(
        self,
        batch: PackedBatch,
        shape: GraphShape,
        attends: Sequence[AttentionFunction],
    ) -> RecordedForward | None:
        if shape not in self._graphs:
            self._times[shape] += 1
            if shape.sequences > 1 and self._times[shape] < _TIMES:
                return None
            try:
                self._memory = self._memory or GraphMemory()
                self._graphs[shape] = RecordedForward(
                    pad_batch(batch, shape),
                    lambda padded: self._compute(padded, attends),
                    self.decoder,
                    self._memory,
                )
            except (RuntimeError, ValueError) as e:
                if out_of_memory(e):  # there may be room later
                    self._fall_back(GRAPHS, describe(e))
                    return None
                self._graphs[shape] = None
                self._fall_back(GRAPHS, describe(e))
        return self._graphs[shape]

    def _fall_back(self, kind: str, cause: str) -> None:
        self.fallbacks.count(kind, cause)
        self.fallbacks.report(kind, cause)
