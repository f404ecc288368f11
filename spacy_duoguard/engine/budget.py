"""How many tokens are computed at once, where memory may run out."""

from collections.abc import Callable, Sequence

import torch

from ..errors import ScoringError
from .packing import plan_batches


class Budget:
    """Tokens of a packed batch. Where they do not fit into the memory of the device
    they are halved, for all batches to come."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def run(
        self,
        batches: Sequence[Sequence[int]],
        lengths: Sequence[int],
        work: Callable[[list[int]], None],
        *,
        too_small: str,
    ) -> None:
        """Do work for each batch, and for smaller ones where memory runs out.

        batches (Sequence[Sequence[int]]): Indices into `lengths`.
        lengths (Sequence[int]): Tokens of each sequence.
        work (Callable): Takes a batch and changes nothing if it fails.
        too_small (str): The message where a single sequence does not fit, with a
            place for its `tokens`.
        RAISES (ScoringError): A single sequence does not fit.
        """
        pending = [list(batch) for batch in batches]
        while pending:
            batch = pending.pop(0)
            try:
                work(batch)
                continue
            except (MemoryError, RuntimeError) as e:
                if not out_of_memory(e):
                    raise
                # Without its frames, which hold the tensors that are in the way.
                error = e.with_traceback(None)
            total = sum(lengths[i] for i in batch)
            if len(batch) == 1:
                raise ScoringError(too_small.format(tokens=total)) from error
            self.tokens = min(self.tokens, total) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            rest = [i for batch in (batch, *pending) for i in batch]
            plan = plan_batches([lengths[i] for i in rest], max_tokens=self.tokens)
            pending = [[rest[i] for i in part] for part in plan]


def out_of_memory(error: Exception) -> bool:
    """error (Exception): What a computation raised.
    RETURNS (bool): Whether a smaller one could do."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # torch's allocator of CPU memory has no error of its own.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
