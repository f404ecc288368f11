"""The decoder's forward pass on a CUDA device, for inference.

Large batches attend in one call over the packed rows. For a single short text, the many
small kernels take longer to launch than to run, so a recorded graph is replayed.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from .attention import AttentionFunction, packed_attention, varlen_attention
from .decoder import Decoder
from .packing import AttentionGroup, PackedBatch

# Graphs are recorded for these lengths. A text is padded to the next one.
GRAPH_LENGTHS = (16, 32, 64, 128, 256, 512)


class CudaForward:
    """Packed batches → logits."""

    def __init__(self, decoder: Decoder) -> None:
        """decoder (Decoder): A decoder on a CUDA device."""
        self.decoder = decoder
        half = decoder.dtype in (torch.bfloat16, torch.float16)
        varlen = half and _has_varlen(decoder.device)
        self.attend: AttentionFunction = (
            varlen_attention if varlen else packed_attention
        )
        self._graphs: dict[int, _Graph] = {}
        # A graph has one set of inputs: threads take turns.
        self._lock = threading.Lock()

    def __call__(self, batch: PackedBatch) -> Tensor:
        """See `Decoder.forward`."""
        return self.decoder.score(self.pooled(batch))

    def pooled(self, batch: PackedBatch) -> Tensor:
        """See `Decoder.pooled`."""
        total = len(batch.token_ids)
        if len(batch.scored_rows) > 1 or total > GRAPH_LENGTHS[-1]:
            return self.decoder.pooled(batch, self.attend)
        length = next(length for length in GRAPH_LENGTHS if length >= total)
        with self._lock:
            if length not in self._graphs:
                self._graphs[length] = _Graph(self.decoder, pad_batch(batch, length))
            return self._graphs[length].replay(batch)

    def extend(
        self, batch: PackedBatch, attends: Sequence[AttentionFunction]
    ) -> Tensor:
        """See `Decoder.extend`."""
        return self.decoder.extend(batch, attends)


class _Graph:
    """The recorded kernels of one padded text."""

    def __init__(self, decoder: Decoder, batch: PackedBatch) -> None:
        self.inputs = batch
        warm = torch.cuda.Stream(decoder.device)
        warm.wait_stream(torch.cuda.current_stream(decoder.device))
        with torch.cuda.device(decoder.device):
            with torch.cuda.stream(warm):  # libraries initialize on first use
                for _ in range(3):
                    decoder.pooled(batch)
            torch.cuda.current_stream(decoder.device).wait_stream(warm)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.output = decoder.pooled(batch)

    def replay(self, batch: PackedBatch) -> Tensor:
        self.inputs.token_ids[: len(batch.token_ids)].copy_(batch.token_ids)
        self.inputs.scored_rows.copy_(batch.scored_rows)
        self.graph.replay()
        return self.output.clone()


def pad_batch(batch: PackedBatch, length: int) -> PackedBatch:
    """Pad a batch of one sequence on the right. Its last row stays in place, and causal
    attention never looks at the padding.

    batch (PackedBatch): One sequence of at most `length` tokens.
    length (int): The length to pad to.
    RETURNS (PackedBatch): The padded batch, in new tensors on the same device.
    """
    token_ids = batch.token_ids.new_zeros(length)
    token_ids[: len(batch.token_ids)] = batch.token_ids
    return replace(
        batch,
        token_ids=token_ids,
        positions=torch.arange(length, device=token_ids.device),
        scored_rows=batch.scored_rows.clone(),
        cu_seqlens=torch.tensor([0, length], dtype=torch.int32).to(token_ids.device),
        longest=length,
        groups=(AttentionGroup(slice(0, length), 1, length, None, None),),
    )


@cache
def _has_varlen(device: torch.device) -> bool:
    """Check whether this torch and this device have the variable-length kernel."""
    batch = torch.zeros(4, 2, 64, dtype=torch.bfloat16, device=device)
    try:
        from torch.nn.attention.varlen import varlen_attn

        bounds = torch.tensor([0, 4], dtype=torch.int32, device=device)
        varlen_attn(batch, batch, batch, bounds, bounds, 4, 4, window_size=(-1, 0))
    except (ImportError, NotImplementedError, RuntimeError):
        return False
    return True
