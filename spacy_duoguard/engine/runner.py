"""From windows to probabilities, in packed batches that fit into memory."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import Errors, ScoringError
from .fallbacks import HALVED, Fallbacks, describe
from .feature_cache import FeatureCache
from .network.decoder import Decoder
from .network.device import batch_tokens
from .network.inference import CurrentForward, Forward
from .network.memory import out_of_memory
from .network.packing import pack, plan_batches
from .network.threads import leave_parents_threads
from .settings import Settings


class Runner:
    """Runs a decoder over windows. Threads can share one."""

    def __init__(self, decoder: Decoder, settings: Settings) -> None:
        """decoder (Decoder): On the device to score on.
        settings (Settings): The batch budget, and whether to multiply in int8.
        """
        self.decoder = decoder
        self.settings = settings
        self.fallbacks = Fallbacks()  # of scoring and of training
        self.current = CurrentForward(
            decoder,
            int8=settings.precision == "int8",
            kernels=settings.kernels,
            fallbacks=self.fallbacks,
        )
        self.cache: FeatureCache | None = None  # while only the head is trained

    def forward(self) -> Forward:
        """RETURNS (Forward): The forward pass with the current weights."""
        return self.current.get()

    def probabilities(
        self, windows: Sequence[np.ndarray], positions: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """windows (Sequence[ndarray]): The token ids of each window.
        positions (Sequence[ndarray]): The positions to score in each.
        RETURNS (List[ndarray]): For each window (n_positions, n_labels), float32.
        RAISES (ScoringError): A logit isn't finite, or memory ran out."""
        n_labels = self.decoder.config.num_labels
        logits, bounds = self._run(windows, positions, self._logits, n_labels)
        finite = np.asarray(np.isfinite(logits).all(axis=1))
        if not finite.all():
            pairs = pairwise(bounds)
            failed = sum(not finite[start:stop].all() for start, stop in pairs)
            raise ScoringError(Errors.E040.format(count=failed, total=len(windows)))
        return _split(torch.from_numpy(logits).sigmoid().numpy(), bounds)

    def features(
        self, windows: Sequence[np.ndarray], positions: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Compute the head's input.

        windows (Sequence[ndarray]), positions (Sequence[ndarray]): As in
            `probabilities`.
        RETURNS (List[ndarray]): For each window (n_positions, hidden_size), float32.
        RAISES (ScoringError): Memory ran out.
        """
        hidden_size = self.decoder.config.hidden_size
        features, bounds = self._run(windows, positions, self._features, hidden_size)
        return _split(features, bounds)

    def _run(
        self,
        windows: Sequence[np.ndarray],
        positions: Sequence[np.ndarray],
        compute: Callable[..., Tensor],
        n_columns: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute something for all windows, in packed batches that fit into memory.

        compute (Callable): From the forward, some windows and their positions to
            (n_positions, n_columns), float32.
        n_columns (int): The columns of its output.
        RETURNS (Tuple[ndarray, ndarray]): The outputs, window after window, and the
            bounds of each window in them.
        RAISES (ScoringError): A single window doesn't fit.
        """
        leave_parents_threads()
        bounds = np.cumsum([0, *map(len, positions)])
        # NaN, so that a row that was never computed is a failure and not a score.
        results = np.full((bounds[-1], n_columns), np.nan, dtype=np.float32)
        outputs: list[tuple[list[int], Tensor]] = []

        def work(forward: Forward, batch: list[int]) -> None:
            ids, scored = [windows[i] for i in batch], [positions[i] for i in batch]
            outputs.append((batch, compute(forward, ids, scored)))

        tokens = self.settings.max_batch_tokens or batch_tokens(self.decoder.device)
        lengths = [len(ids) for ids in windows]
        batches = plan_batches(lengths, max_tokens=tokens)
        with torch.inference_mode():
            run = partial(work, self.forward())
            budget = Budget(tokens, self.fallbacks)
            budget.run(batches, lengths, run, too_small=Errors.E120)
            # A GPU works on while the host packs: fetch the results last.
            for batch, output in outputs:
                rows = concat_ranges(bounds, batch)
                # One of another shape would be broadcast, or not fit: it stays NaN.
                if output.shape == (len(rows), n_columns):
                    results[rows] = output.cpu().numpy()
        return results, bounds

    def _logits(
        self,
        forward: Forward,
        windows: Sequence[np.ndarray],
        positions: Sequence[np.ndarray],
    ) -> Tensor:
        device, cache = self.decoder.device, self.cache
        if cache is None:
            return forward(pack(windows, rows=positions, device=device))
        key = tuple(array.tobytes() for array in (*windows, *positions))
        features = cache.batches.get(key)
        if features is None:
            features = self._features(forward, windows, positions).cpu().numpy()
            cache.batches.put(key, features, key_bytes=sum(map(len, key)))
        return self.decoder.score(torch.from_numpy(features).to(device))

    def _features(
        self,
        forward: Forward,
        windows: Sequence[np.ndarray],
        positions: Sequence[np.ndarray],
    ) -> Tensor:
        return forward.pooled(pack(windows, rows=positions, device=self.decoder.device))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "cache": None}


def _split(rows: np.ndarray, bounds: np.ndarray) -> list[np.ndarray]:
    """The rows of each window. `np.split` takes ten times as long."""
    return [rows[start:stop] for start, stop in pairwise(bounds.tolist())]


def concat_ranges(bounds: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    """bounds (ndarray): (n + 1,), the bounds of n adjacent ranges.
    indices (Sequence[int]): At least one of them.
    RETURNS (ndarray): All numbers in these ranges."""
    return np.concatenate([np.arange(bounds[i], bounds[i + 1]) for i in indices])


class Budget:
    """The tokens of a packed batch. If a batch doesn't fit into memory, the budget is
    halved for all later batches."""

    def __init__(self, tokens: int, fallbacks: Fallbacks | None = None) -> None:
        """tokens (int): The tokens of the first batches.
        fallbacks (Optional[Fallbacks]): Counts the halvings."""
        self.tokens = tokens
        self.fallbacks = fallbacks or Fallbacks()

    def run(
        self,
        batches: Sequence[Sequence[int]],
        lengths: Sequence[int],
        work: Callable[[list[int]], None],
        *,
        too_small: str,
    ) -> None:
        """Do work for each batch, and for smaller ones if memory runs out.

        batches (Sequence[Sequence[int]]): Indices into `lengths`.
        lengths (Sequence[int]): The tokens of each sequence.
        work (Callable): Takes a batch, and changes nothing if it fails.
        too_small (str): The message if a single sequence doesn't fit, with a field for
            its `tokens`.
        RAISES (ScoringError): A single sequence doesn't fit.
        """
        pending, cause = [list(batch) for batch in batches], None
        while pending:
            batch = pending.pop(0)
            try:
                work(batch)
                continue
            except (MemoryError, RuntimeError) as e:
                if not out_of_memory(e):
                    raise
                cause = cause or describe(e)
                # Without its frames, which keep the tensors of the batch in memory.
                error = e.with_traceback(None)
            total = sum(lengths[i] for i in batch)
            if len(batch) == 1:
                raise ScoringError(too_small.format(tokens=total)) from error
            self.fallbacks.count(HALVED, cause)
            self.tokens = min(self.tokens, total) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            rest = [i for batch in (batch, *pending) for i in batch]
            plan = plan_batches([lengths[i] for i in rest], max_tokens=self.tokens)
            pending = [[rest[i] for i in part] for part in plan]
        if cause is not None:
            self.fallbacks.report(HALVED, cause)
