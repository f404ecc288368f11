"""The decoder's forward pass on a CUDA device, for inference.

Half-precision layers attend in one call over the packed rows. For a single short text,
the many small kernels take longer to launch than to run, so a recorded graph is
replayed.
"""

import threading
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from ..fallbacks import ATTENTION, GRAPHS, KERNELS, Fallbacks, describe
from .attention import AttentionFunction, packed_attention, varlen_attention
from .cuda_graph import RecordedForward, pad_batch
from .decoder import Decoder, DecoderLayer
from .flash_probe import flash_problem
from .fused import FusedDecoder
from .memory import out_of_memory
from .packing import PackedBatch

# Graphs are recorded for these lengths. A text is padded to the next one.
GRAPH_LENGTHS = (16, 32, 64, 128, 256, 512)


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
        self._graphs: dict[int, RecordedForward | None] = {}  # None: can't be recorded
        # A graph has one set of inputs: threads take turns.
        self._lock = threading.Lock()
        self.fused = self._fuse() if triton else None

    def __call__(self, batch: PackedBatch) -> Tensor:
        """See `Decoder.forward`."""
        return self.decoder.score(self.pooled(batch))

    def pooled(self, batch: PackedBatch) -> Tensor:
        """See `Decoder.pooled`."""
        total, single = len(batch.token_ids), len(batch.cu_seqlens) == 2
        with torch.cuda.device(self.decoder.device):
            if single and len(batch.scored_rows) == 1 and total <= GRAPH_LENGTHS[-1]:
                length = next(length for length in GRAPH_LENGTHS if length >= total)
                with self._lock:
                    graph = self._get_graph(batch, length)
                    if graph is not None:
                        return graph.replay(batch)
            return self._compute(batch, self._attends())

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

    def _get_graph(self, batch: PackedBatch, length: int) -> RecordedForward | None:
        if length not in self._graphs:
            attends = self._attends()  # trying a kernel can't be recorded
            try:
                self._graphs[length] = RecordedForward(
                    pad_batch(batch, length),
                    lambda padded: self._compute(padded, attends),
                    self.decoder,
                )
            except (RuntimeError, ValueError) as e:
                if out_of_memory(e):  # there may be room later
                    self._fall_back(GRAPHS, describe(e))
                    return None
                self._graphs[length] = None
                self._fall_back(GRAPHS, describe(e))
        return self._graphs[length]

    def _fall_back(self, kind: str, cause: str) -> None:
        self.fallbacks.count(kind, cause)
        self.fallbacks.report(kind, cause)
