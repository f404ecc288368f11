"""From texts to logits and back: training a decoder, or its top layers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ...errors import Errors, SettingsError
from ..classifier import Classifier
from ..feature_cache import FeatureCache
from ..network.packing import pack
from ..network.threads import leave_parents_threads
from ..network.trainable import prepare_training, swapped, trained_parameters
from ..prefix_scores import Query, QueryBatch, QueryPlan
from ..runner import Budget
from .backward import ForwardBackward

# Tokens of a packed batch in training. With gradients, the full architecture of
# DuoGuard-0.5B keeps about 3 MB per token, many times what scoring takes.
_TRAINING_TOKENS: dict[str, int] = {"cpu": 1024, "cuda": 8192, "mps": 1024}

Backprop = Callable[[np.ndarray], None]


class Trainer:
    """Trains a classifier's decoder in place. Its memory is bounded by one packed
    batch, however many texts an update has."""

    def __init__(self, classifier: Classifier, layers: int | None) -> None:
        """classifier (Classifier): Its decoder is trained.
        layers (Optional[int]): `trainable_layers`: None for all, 0 for the head, n for
            the top n layers, the final norm and the head.
        RAISES (SettingsError): There are fewer layers.
        """
        decoder = classifier.decoder
        with _normal_mode():
            prepare_training(decoder, layers)
        self.classifier = classifier
        tokens = classifier.settings.max_batch_tokens
        self.budget = Budget(
            tokens or _TRAINING_TOKENS[decoder.device.type],
            classifier.runner.fallbacks,
        )
        # The weights before training. A copy of all layers would be a second model.
        self.initial: dict[str, Tensor] | None = None
        if layers is not None:
            trained = trained_parameters(decoder)
            with _normal_mode():
                self.initial = {n: p.detach().clone() for n, p in trained.items()}
        if layers == 0:
            classifier.runner.cache = FeatureCache(decoder)

    def begin(
        self, queries: Sequence[Query], *, max_chars: int | None = None
    ) -> tuple[np.ndarray, Backprop]:
        """Compute the logits of texts and of their spans in context.

        queries (Sequence[Query]): The texts.
        max_chars (Optional[int]): As in `Classifier.analyze`.
        RETURNS (Tuple[ndarray, Callable]): Logits, (n_outputs, n_labels), float32: for
            each query those of the text and then of its spans. Each is the maximum over
            windows, or 0.0 without tokens.
            And a function that takes the gradient of the loss with respect to them and
            adds to the gradients of the parameters.
        RAISES (ScoringError): A logit isn't finite, or one window doesn't fit into the
            memory of the device.
        """
        with _normal_mode():
            passes, outputs = self._prepare(queries, max_chars)
            rows = passes.logits()
        logits, winners = _maximum(rows, outputs)

        def backprop(d_logits: np.ndarray) -> None:
            d_rows = np.zeros_like(rows)
            columns = np.arange(rows.shape[1])
            for gradient, winner, scored in zip(
                d_logits, winners, outputs, strict=True
            ):
                if len(scored):  # a row can belong to both a span and the text
                    d_rows[winner, columns] += gradient
            with _normal_mode():
                passes.backward(d_rows)

        return logits, backprop

    def initial_logits(
        self, queries: Sequence[Query], *, max_chars: int | None = None
    ) -> np.ndarray:
        """Compute the logits that texts had before training.

        queries (Sequence[Query]), max_chars (Optional[int]): As in `begin`.
        RETURNS (ndarray): (n_outputs, n_labels at that time), float32.
        RAISES (SettingsError): All layers are trained, so no copy was kept.
        """
        if self.initial is None:
            raise SettingsError(Errors.E070)
        decoder, values = self.classifier.decoder, dict(self.initial)
        head = values["score.weight"]
        # Rows of categories that were added since are computed, and dropped.
        values["score.weight"] = torch.cat(
            [head, decoder.score.weight.detach()[len(head) :]]
        )
        passes, outputs = self._prepare(queries, max_chars)
        with swapped(decoder, values):
            rows = passes.logits(keep_graph=False)
        return _maximum(rows, outputs)[0][:, : len(head)]

    @contextmanager
    def zone(self) -> Iterator[None]:
        """At the end of the block, forget the features cached in it."""
        cache = self.classifier.runner.cache
        with nullcontext() if cache is None else cache.zone():
            yield

    def forget(self) -> None:
        """Forget all cached features."""
        if self.classifier.runner.cache is not None:
            self.classifier.runner.cache.forget()

    def _prepare(
        self, queries: Sequence[Query], max_chars: int | None
    ) -> tuple[ForwardBackward, list[np.ndarray]]:
        """The passes that the queries need, and for each output the rows of logits that
        it is the maximum of."""
        leave_parents_threads()
        classifier = self.classifier
        plans = [
            QueryPlan.of(query, classifier.split(query.text, max_chars))
            for query in queries
        ]
        starts = np.cumsum([0, *(sum(map(len, plan.tokens)) for plan in plans)])
        outputs = [
            start + rows
            for start, plan in zip(starts[:-1], plans, strict=True)
            for rows in plan.outputs()
        ]
        if classifier.runner.cache is None:
            return self._passes_of_decoder(QueryBatch(plans)), outputs
        features = self._features(classifier.runner.cache, plans, max_chars)
        return self._passes_of_head(features), outputs

    def _passes_of_decoder(self, batch: QueryBatch) -> ForwardBackward:
        decoder = self.classifier.decoder

        def forward(indices: Sequence[int]) -> Tensor:
            packed = pack(
                [batch.ids[i] for i in indices],
                rows=[batch.positions[i] for i in indices],
                device=decoder.device,
            )
            return decoder(packed)

        lengths = [len(ids) for ids in batch.ids]
        counts = [len(positions) for positions in batch.positions]
        return ForwardBackward(decoder, lengths, counts, forward, self.budget)

    def _passes_of_head(self, features: np.ndarray) -> ForwardBackward:
        decoder = self.classifier.decoder

        def forward(indices: Sequence[int]) -> Tensor:
            chosen = torch.from_numpy(features[indices])
            return decoder.score(chosen.to(decoder.device))

        ones = [1] * len(features)
        return ForwardBackward(decoder, ones, ones, forward, self.budget)

    def _features(
        self, cache: FeatureCache, plans: Sequence[QueryPlan], max_chars: int | None
    ) -> np.ndarray:
        """The head's input for all plans, (n_rows, hidden_size). The decoder runs once
        for each query, as long as the cache has room."""
        classifier, store = self.classifier, cache.texts
        by_query = {plan.query: plan for plan in plans}
        keys = {query: (query, max_chars, classifier.settings) for query in by_query}
        cached = {query: store.get(key) for query, key in keys.items()}
        batch = QueryBatch(
            [by_query[query] for query, rows in cached.items() if rows is None]
        )
        windows = classifier.runner.features(batch.ids, batch.positions)
        size = classifier.decoder.config.hidden_size
        for plan, of_plan in zip(batch.plans, batch.slices, strict=True):
            empty = np.zeros((0, size), dtype=np.float32)
            rows, query = np.concatenate([empty, *windows[of_plan]]), plan.query
            text_bytes = len(query.text.encode("utf8", "replace"))
            store.put(keys[query], rows, key_bytes=text_bytes + 16 * len(query.spans))
            cached[query] = rows
        return np.concatenate([cast(np.ndarray, cached[plan.query]) for plan in plans])


def _normal_mode() -> AbstractContextManager[None]:
    """RETURNS (ContextManager): The mode to train in, whatever the caller's is: torch
    records nothing in `inference_mode`."""
    return torch.inference_mode(False)


def _maximum(
    rows: np.ndarray, outputs: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """rows (ndarray): Logits, (n_rows, n_labels).
    outputs (Sequence[ndarray]): The rows of each text or span.
    RETURNS (Tuple[ndarray, ndarray]): For each output and category the maximum over
        its rows, and the row that has it."""
    logits = np.zeros((len(outputs), rows.shape[1]), dtype=np.float32)
    winners = np.zeros(logits.shape, dtype=np.int64)
    for i, indices in enumerate(outputs):
        if len(indices):
            winners[i] = indices[rows[indices].argmax(axis=0)]
            logits[i] = rows[indices].max(axis=0)
    return logits, winners
