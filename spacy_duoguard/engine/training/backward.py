"""A forward and a backward pass, batch by batch in bounded memory."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ...errors import Errors, ScoringError
from ..network.decoder import Decoder
from ..network.packing import plan_batches
from ..network.trainable import trained_parameters
from ..runner import Budget, concat_ranges


class ForwardBackward:
    """A forward pass to rows of logits, and a backward pass from their gradients.

    If one batch holds all sequences, its graph is kept in between. Otherwise no graph
    is kept, and the backward pass recomputes what has a gradient.
    """

    def __init__(
        self,
        decoder: Decoder,
        lengths: Sequence[int],
        counts: Sequence[int],
        forward: Callable[[list[int]], Tensor],
        budget: Budget,
    ) -> None:
        """decoder (Decoder): Its parameters are trained.
        lengths (Sequence[int]): The tokens of each sequence.
        counts (Sequence[int]): The rows of logits of each sequence.
        forward (Callable): From indices into `lengths` to the logits of those
            sequences, (n_rows, n_labels), float32.
        budget (Budget): The tokens of a batch.
        """
        self.decoder = decoder
        self.lengths = lengths
        self.bounds = np.cumsum([0, *counts])
        self.forward = forward
        self.budget = budget
        self._kept: tuple[list[int], Tensor] | None = None

    def logits(self, *, keep_graph: bool = True) -> np.ndarray:
        """keep_graph (bool): Whether `backward` will follow.
        RETURNS (ndarray): (n_rows, n_labels), float32, sequence after sequence.
        RAISES (ScoringError): A logit isn't finite, or memory ran out."""
        total = len(self.lengths)
        shape = self.bounds[-1], self.decoder.config.num_labels
        rows = np.zeros(shape, dtype=np.float32)

        def work(batch: list[int]) -> None:
            whole = keep_graph and len(batch) == total
            with torch.set_grad_enabled(whole):
                logits = self.forward(batch)
            rows[concat_ranges(self.bounds, batch)] = logits.detach().cpu().numpy()
            if whole:
                self._kept = batch, logits

        plan = plan_batches(self.lengths, max_tokens=self.budget.tokens)
        self.budget.run(plan, self.lengths, work, too_small=Errors.E071)
        failed = int((~np.isfinite(rows)).any(axis=1).sum())
        if failed:
            raise ScoringError(Errors.E040.format(count=failed, total=len(rows)))
        return rows

    def backward(self, d_logits: np.ndarray) -> None:
        """Add to the gradients of the trained parameters.

        d_logits (ndarray): The gradient of the loss with respect to the logits.
        RAISES (ScoringError): Memory ran out. The failed batch left no gradient.
        """
        kept, self._kept = self._kept, None
        rows = np.flatnonzero(d_logits.any(axis=1))
        touched = np.unique(np.searchsorted(self.bounds, rows, "right") - 1).tolist()
        if kept is not None:
            plan = [kept[0]] if touched else []
        else:
            lengths = [self.lengths[i] for i in touched]
            parts = plan_batches(lengths, max_tokens=self.budget.tokens)
            plan = [[touched[i] for i in part] for part in parts]
        graph = [] if kept is None else [kept]
        del kept

        def work(batch: list[int]) -> None:
            if graph:
                logits = graph.pop()[1]
            else:
                with torch.enable_grad():
                    logits = self.forward(batch)
            self._accumulate(logits, d_logits[concat_ranges(self.bounds, batch)])

        self.budget.run(plan, self.lengths, work, too_small=Errors.E071)

    def _accumulate(self, logits: Tensor, d_logits: np.ndarray) -> None:
        parameters = list(trained_parameters(self.decoder).values())
        # Not `backward`, which would leave half of a batch's gradients behind if memory
        # ran out.
        gradients = torch.autograd.grad(
            logits, parameters, torch.from_numpy(d_logits).to(logits)
        )
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if parameter.grad is None:
                parameter.grad = gradient.contiguous()
            else:
                parameter.grad += gradient
