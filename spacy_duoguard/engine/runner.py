"""Windows → rows of probabilities: packed batches that fit into the memory."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from ..errors import Errors, ScoringError
from .feature_cache import FeatureCache
from .network.decoder import Decoder
from .network.device import batch_tokens
from .network.inference import CurrentForward, Forward
from .network.packing import pack, plan_batches
from .network.threads import leave_parents_threads
from .settings import Settings


class RowScorer:
    """Runs a decoder over windows. Threads can share one."""

    def __init__(self, decoder: Decoder, settings: Settings) -> None:
        """decoder (Decoder): On the device to score on.
        settings (Settings): Of the budget, and whether to multiply in eight bits.
        """
        self.decoder = decoder
        self.settings = settings
        self.current = CurrentForward(decoder, eight_bit=settings.precision == "int8")
        self.cache: FeatureCache | None = None  # while the head alone is trained

    def forward(self) -> Forward:
        """RETURNS (Forward): Of the present weights."""
        return self.current.get()

    def probabilities(
        self, windows: Sequence[np.ndarray], rows: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """windows (Sequence[ndarray]): Token ids of each window, framed.
        rows (Sequence[ndarray]): The tokens of each after which it is scored.
        RETURNS (List[ndarray]): Of each window, (n_rows, n_labels), float32.
        RAISES (ScoringError): A logit is not finite, or memory ran out."""
        bounds = np.cumsum([0, *map(len, rows)])
        logits = np.empty(
            (bounds[-1], self.decoder.config.num_labels), dtype=np.float32
        )
        outputs: list[tuple[list[int], torch.Tensor]] = []

        def work(forward: Forward, batch: list[int]) -> None:
            own = [rows[i] for i in batch]
            output = self._logits(forward, [windows[i] for i in batch], own)
            outputs.append((batch, output))

        with torch.inference_mode():
            self._in_batches(windows, work)
            # A GPU works on while the host packs: results are fetched at the end.
            for batch, output in outputs:
                places = [np.arange(bounds[i], bounds[i + 1]) for i in batch]
                logits[np.concatenate(places)] = output.cpu().numpy()
        finite = np.asarray(np.isfinite(logits).all(axis=1))
        if not finite.all():
            pairs = itertools.pairwise(bounds)
            failed = sum(not finite[start:stop].all() for start, stop in pairs)
            raise ScoringError(Errors.E040.format(count=failed, total=len(windows)))
        return np.split(torch.from_numpy(logits).sigmoid().numpy(), bounds[1:-1])

    def _in_batches(
        self,
        windows: Sequence[np.ndarray],
        work: Callable[[Forward, list[int]], None],
    ) -> None:
        """Do work for all windows, in packed batches that fit into the memory.

        windows (Sequence[ndarray]): Token ids of each window.
        work (Callable): Takes the forward and indices into `windows`.
        RAISES (ScoringError): A single window does not fit.
        """
        leave_parents_threads()
        tokens = self.settings.max_batch_tokens or batch_tokens(self.decoder.device)
        lengths = [len(ids) for ids in windows]
        batches = plan_batches(lengths, max_tokens=tokens)
        forward = self.forward()
        Budget(tokens).run(
            batches, lengths, partial(work, forward), too_small=Errors.E120
        )

    def _logits(
        self,
        forward: Forward,
        sequences: Sequence[np.ndarray],
        rows: Sequence[np.ndarray],
    ) -> torch.Tensor:
        """forward (Forward): Of the present weights.
        sequences (Sequence[ndarray]): Token ids of a packed batch.
        rows (Sequence[ndarray]): As for `pack`.
        RETURNS (Tensor): (n_rows, n_labels), float32."""
        device, cache = self.decoder.device, self.cache
        if cache is None:
            return forward(pack(sequences, rows=rows, device=device))
        key = tuple(array.tobytes() for array in (*sequences, *rows))
        features = cache.batches.get(key)
        if features is None:
            packed = pack(sequences, rows=rows, device=device)
            features = forward.pooled(packed).cpu().numpy()
            cache.batches.put(key, features, key_bytes=sum(map(len, key)))
        return self.decoder.score(torch.from_numpy(features).to(device))

    def features(
        self, windows: Sequence[np.ndarray], rows: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """What the head reads.

        windows (Sequence[ndarray]): Token ids of each window, framed.
        rows (Sequence[ndarray]): The tokens of each after which it is scored.
        RETURNS (List[ndarray]): Of each window, (n_rows, hidden_size), float32.
        """
        found: dict[int, np.ndarray] = {}

        def work(forward: Forward, batch: list[int]) -> None:
            own = [rows[i] for i in batch]
            device = self.decoder.device
            packed = pack([windows[i] for i in batch], rows=own, device=device)
            parts = forward.pooled(packed).cpu().split([len(row) for row in own])
            found.update(
                (i, part.numpy()) for i, part in zip(batch, parts, strict=True)
            )

        with torch.inference_mode():
            self._in_batches(windows, work)
        return [found[i] for i in range(len(windows))]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "cache": None}


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
