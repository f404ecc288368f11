"""From windows to probabilities, in packed batches that fit into memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from .network.device import batch_tokens, computes_apart
from .network.inference import CurrentForward, Forward
from .network.logits import are_computed
from .network.memory import out_of_memory
from .network.packing import pack, plan_batches
from .network.tensor_versions import TensorVersions
from .network.threads import leave_parents_threads
from .settings import Settings


@dataclass(frozen=True)
class Launch:
    """Batches that the device computes, or has computed."""

    bounds: np.ndarray  # (n_windows + 1,), the rows of each window
    outputs: list[tuple[list[int], Tensor]]  # windows, and all of their rows
    n_columns: int  # of the rows
    forward: Forward
    head: TensorVersions
    done: torch.cuda.Event | None  # None if there is nothing to wait for

    def read(self) -> np.ndarray:
        """Wait for the device.

        RETURNS (ndarray): (n_rows, n_columns), float32. NaN where nothing was computed,
            so that such a row is a failure and not a score.
        """
        rows = np.full((self.bounds[-1], self.n_columns), np.nan, dtype=np.float32)
        if self.done is not None:
            self.done.synchronize()
        for batch, output in self.outputs:
            indices = concat_ranges(self.bounds, batch)
            # One of another shape would be broadcast, or not fit: it stays NaN.
            if output.shape == (len(indices), self.n_columns):
                rows[indices] = output.cpu().numpy()
        return rows


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
        return self.read(self.launch(windows, positions))

    def launch(
        self, windows: Sequence[np.ndarray], positions: Sequence[np.ndarray]
    ) -> Launch:
        """Start to compute probabilities. The host doesn't wait for a GPU.

        windows (Sequence[ndarray]), positions (Sequence[ndarray]): As in
            `probabilities`.
        RETURNS (Launch): For `read`.
        RAISES (ScoringError): Memory ran out.
        """
        n_labels = self.decoder.config.num_labels
        return self._launch(windows, positions, self._logits, n_labels)

    def read(self, launch: Launch) -> list[np.ndarray]:
        """launch (Launch): From `launch`.
        RETURNS (List[ndarray]): As in `probabilities`.
        RAISES (ScoringError): A logit isn't finite."""
        logits = launch.read()
        computed = are_computed(logits)
        if not computed.all():
            pairs = list(pairwise(launch.bounds))
            failed = sum(not computed[start:stop].all() for start, stop in pairs)
            raise ScoringError(Errors.E040.format(count=failed, total=len(pairs)))
        return _split(torch.from_numpy(logits).sigmoid().numpy(), launch.bounds)

    def is_current(self, launch: Launch) -> bool:
        """launch (Launch): From `launch`.
        RETURNS (bool): Whether no weight was changed since."""
        head = launch.head.match(self.decoder.score.parameters())
        return head and launch.forward is self.forward()

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
        launch = self._launch(windows, positions, self._features, hidden_size)
        return _split(launch.read(), launch.bounds)

    def _launch(
        self,
        windows: Sequence[np.ndarray],
        positions: Sequence[np.ndarray],
        compute: Callable[..., Tensor],
        n_columns: int,
    ) -> Launch:
        """Compute something for all windows, in packed batches that fit into memory.

        compute (Callable): From the forward, some windows and their positions to
            (n_positions, n_columns), float32.
        n_columns (int): The columns of its output.
        RETURNS (Launch): The outputs.
        RAISES (ScoringError): A single window doesn't fit.
        """
        leave_parents_threads()
        outputs: list[tuple[list[int], Tensor]] = []

        def work(forward: Forward, batch: list[int]) -> None:
            ids, scored = [windows[i] for i in batch], [positions[i] for i in batch]
            output = compute(forward, ids, scored)
            # Elsewhere than on CUDA, nothing tells when such a copy is complete.
            outputs.append(
                (batch, output.to("cpu", non_blocking=True) if apart else output)
            )

        device = self.decoder.device
        apart = computes_apart(device)
        tokens = self.settings.max_batch_tokens or batch_tokens(device)
        lengths = [len(ids) for ids in windows]
        batches = plan_batches(lengths, max_tokens=tokens)
        head = TensorVersions(self.decoder.score.parameters())
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            forward = self.forward()
            budget = Budget(tokens, self.fallbacks)
            budget.run(batches, lengths, partial(work, forward), too_small=Errors.E120)
        done = None
        if apart:
            done = torch.cuda.Event()
            done.record(torch.cuda.current_stream(device))
        bounds = np.cumsum([0, *map(len, positions)])
        return Launch(bounds, outputs, n_columns, forward, head, done)

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
