"""The recorded kernels of padded batches."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .decoder import Decoder
from .packing import AttentionGroup, PackedBatch

# Graphs of one text are recorded for these lengths. A text is padded to the next one.
GRAPH_LENGTHS = (16, 32, 64, 128, 256, 512)

# Those of several texts are recorded for multiples of this many rows, up to some 50 ms
# of an H100's time. A larger batch takes much longer to compute than to launch.
_ROWS = 2048
_MOST_ROWS = 32768

# For this many rows there may be one text. The kernel for attention starts some work
# for each text that there may be, so few are better, if they suffice.
_ROWS_PER_TEXT = (64, 16)

# Only one graph can be recorded at a time in a process.
_recording = threading.Lock()


@dataclass(frozen=True)
class GraphShape:
    """What a graph was recorded for. A batch may have less of each."""

    rows: int
    sequences: int
    longest: int  # sequence, in tokens


class GraphMemory:
    """What graphs share. Their replays take turns, so none needs memory of its own."""

    def __init__(self) -> None:
        self.pool = torch.cuda.graph_pool_handle()
        self.done = torch.cuda.Event()  # of the last replay


class RecordedForward:
    """A graph, which reads its inputs and the weights at the addresses that they had
    when it was recorded."""

    def __init__(
        self,
        batch: PackedBatch,
        compute: Callable[[PackedBatch], Tensor],
        decoder: Decoder,
        memory: GraphMemory,
    ) -> None:
        """batch (PackedBatch): From `pad_batch`. Its tensors become the graph's inputs.
        compute (Callable): From a batch to the head's input.
        decoder (Decoder): Computes it, on the current CUDA device.
        memory (GraphMemory): Of all graphs that take turns with it.
        RAISES (RuntimeError): It can't be recorded.
        RAISES (ValueError): A replay doesn't compute what `compute` does.
        """
        self.inputs = batch
        self.device = decoder.device
        self.memory = memory
        with _recording:
            self._record(compute)
        self.frequencies = decoder.frequencies  # kept alive, as the graph reads them
        self._check(compute, decoder.config.vocab_size)

    def replay(self, batch: PackedBatch) -> Tensor:
        """batch (PackedBatch): One that fits into the recorded one.
        RETURNS (Tensor): The head's input, (n_scored, hidden_size), float32."""
        stream = torch.cuda.current_stream(self.device)
        # The caller's lock orders the calls. Their kernels run in the streams of their
        # threads, and would overwrite the inputs of a replay that has yet to run.
        stream.wait_event(self.memory.done)
        self._fill(batch)
        self.graph.replay()
        output = self.output[: len(batch.scored_rows)].clone()
        self.memory.done.record(stream)
        return output

    def _fill(self, batch: PackedBatch) -> None:
        inputs, n_rows, n_scored = self.inputs, len(batch.token_ids), len(batch)
        inputs.token_ids[:n_rows].copy_(batch.token_ids)
        inputs.scored_rows[:n_scored].copy_(batch.scored_rows)
        if len(inputs) > 1:  # one text is always as long as the graph
            inputs.positions[:n_rows].copy_(batch.positions)
            inputs.cu_seqlens[: n_scored + 1].copy_(batch.cu_seqlens)
            inputs.cu_seqlens[n_scored + 1 :].fill_(n_rows)

    def _record(self, compute: Callable[[PackedBatch], Tensor]) -> None:
        # torch's default stream for this belongs to the device of the first recording.
        stream = torch.cuda.Stream(self.device)
        current = torch.cuda.current_stream(self.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            compute(self.inputs)  # libraries initialize on first use
        current.wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(
            self.graph,
            pool=self.memory.pool,
            stream=stream,
            capture_error_mode="thread_local",
        ):
            self.output = compute(self.inputs)
        current.wait_stream(stream)
        self.memory.done.record(current)

    def _check(self, compute: Callable[[PackedBatch], Tensor], vocab_size: int) -> None:
        """Replay other texts: kernels that were not recorded would leave the output of
        the first ones."""
        other = replace(
            self.inputs,
            token_ids=(self.inputs.token_ids + 1) % vocab_size,
            positions=self.inputs.positions.clone(),
            scored_rows=self.inputs.scored_rows.clone(),
            cu_seqlens=self.inputs.cu_seqlens.clone(),
        )
        found, expected = self.replay(other), compute(other)
        # The same kernels on the same numbers; 1 % is far more than they differ by.
        limit = 0.01 * float(expected.nan_to_num(0, 0, 0).abs().max())
        if not torch.allclose(found, expected, rtol=0, atol=limit, equal_nan=True):
            raise ValueError("A replay differs from the plain forward pass.")


def graph_shape(batch: PackedBatch, *, packs: bool) -> GraphShape | None:
    """batch (PackedBatch): A batch.
    packs (bool): Whether sequences may be packed, or only one be alone.
    RETURNS (Optional[GraphShape]): What to record for batches like it; None if there
        is none."""
    rows, longest = len(batch.token_ids), GRAPH_LENGTHS[-1]
    if len(batch.scored_rows) != len(batch) or batch.longest > longest:
        return None
    if len(batch) == 1:
        length = next(length for length in GRAPH_LENGTHS if length >= rows)
        return GraphShape(length, 1, length)
    rows = -(-rows // _ROWS) * _ROWS
    sizes = [rows // per_text for per_text in _ROWS_PER_TEXT]
    sequences = next((size for size in sizes if size >= len(batch)), None)
    if not packs or rows > _MOST_ROWS or sequences is None:
        return None
    return GraphShape(rows, sequences, longest)


def pad_batch(batch: PackedBatch, shape: GraphShape) -> PackedBatch:
    """Pad a batch on the right. Causal attention never looks at the padding: that of
    one sequence follows it, and that of several belongs to none.

    batch (PackedBatch): A batch.
    shape (GraphShape): From `graph_shape`.
    RETURNS (PackedBatch): The padded batch, in new tensors on the same device.
    """
    whole = AttentionGroup(slice(0, shape.rows), 1, shape.rows, None, None)
    if shape.sequences == 1:
        positions = torch.arange(shape.rows, device=batch.token_ids.device)
        bounds = torch.tensor([0, shape.rows], dtype=torch.int32)
        cu_seqlens = bounds.to(batch.token_ids.device)
    else:
        positions = _pad(batch.positions, shape.rows)
        cu_seqlens = _pad(batch.cu_seqlens, shape.sequences + 1, len(batch.token_ids))
    return replace(
        batch,
        token_ids=_pad(batch.token_ids, shape.rows),
        positions=positions,
        scored_rows=_pad(batch.scored_rows, shape.sequences),
        cu_seqlens=cu_seqlens,
        longest=shape.longest,
        make_groups=lambda: (whole,) if shape.sequences == 1 else (),
    )


def _pad(values: Tensor, size: int, value: int = 0) -> Tensor:
    padded = values.new_full((size,), value)
    padded[: len(values)] = values
    return padded
