"""The recorded kernels of one padded text."""

import threading
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from .decoder import Decoder
from .packing import AttentionGroup, PackedBatch

# Only one graph can be recorded at a time in a process.
_recording = threading.Lock()


class RecordedForward:
    """A graph, which reads its inputs and the weights at the addresses that they had
    when it was recorded."""

    def __init__(
        self,
        batch: PackedBatch,
        compute: Callable[[PackedBatch], Tensor],
        decoder: Decoder,
    ) -> None:
        """batch (PackedBatch): From `pad_batch`. Its tensors become the graph's inputs.
        compute (Callable): From a batch to the head's input.
        decoder (Decoder): Computes it, on the current CUDA device.
        RAISES (RuntimeError): It can't be recorded.
        RAISES (ValueError): A replay doesn't compute what `compute` does.
        """
        self.inputs = batch
        self.device = decoder.device
        self.done = torch.cuda.Event()
        with _recording:
            self._record(compute)
        self.frequencies = decoder.frequencies  # kept alive, as the graph reads them
        self._check(compute, decoder.config.vocab_size)

    def replay(self, batch: PackedBatch) -> Tensor:
        """batch (PackedBatch): One text, not longer than the recorded one.
        RETURNS (Tensor): The head's input, (1, hidden_size), float32."""
        stream = torch.cuda.current_stream(self.device)
        # The caller's lock orders the calls. Their kernels run in the streams of their
        # threads, and would overwrite the inputs of a replay that has yet to run.
        stream.wait_event(self.done)
        self.inputs.token_ids[: len(batch.token_ids)].copy_(batch.token_ids)
        self.inputs.scored_rows.copy_(batch.scored_rows)
        self.graph.replay()
        output = self.output.clone()
        self.done.record(stream)
        return output

    def _record(self, compute: Callable[[PackedBatch], Tensor]) -> None:
        # torch's default stream for this belongs to the device of the first recording.
        stream = torch.cuda.Stream(self.device)
        current = torch.cuda.current_stream(self.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):  # libraries initialize on first use
            for _ in range(3):
                compute(self.inputs)
        current.wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(
            self.graph, stream=stream, capture_error_mode="thread_local"
        ):
            self.output = compute(self.inputs)
        current.wait_stream(stream)
        self.done.record(current)

    def _check(self, compute: Callable[[PackedBatch], Tensor], vocab_size: int) -> None:
        """Replay another text: kernels that were not recorded would leave the output of
        the first one."""
        other = replace(
            self.inputs,
            token_ids=(self.inputs.token_ids + 1) % vocab_size,
            scored_rows=self.inputs.scored_rows.clone(),
        )
        found, expected = self.replay(other), compute(other)
        # The same kernels on the same numbers; 1 % is far more than they differ by.
        limit = 0.01 * float(expected.nan_to_num(0, 0, 0).abs().max())
        if not torch.allclose(found, expected, rtol=0, atol=limit, equal_nan=True):
            raise ValueError("A replay differs from the plain forward pass.")


def pad_batch(batch: PackedBatch, length: int) -> PackedBatch:
    """Pad a batch of one sequence on the right. Its last row stays in place, and causal
    attention never looks at the padding.

    batch (PackedBatch): One sequence of at most `length` tokens.
    length (int): The length to pad to.
    RETURNS (PackedBatch): The padded batch, in new tensors on the same device.
    """
    whole = AttentionGroup(slice(0, length), 1, length, None, None)
    token_ids = batch.token_ids.new_zeros(length)
    token_ids[: len(batch.token_ids)] = batch.token_ids
    return replace(
        batch,
        token_ids=token_ids,
        positions=torch.arange(length, device=token_ids.device),
        scored_rows=batch.scored_rows.clone(),
        cu_seqlens=torch.tensor([0, length], dtype=torch.int32).to(token_ids.device),
        longest=length,
        make_groups=lambda: (whole,),
    )
