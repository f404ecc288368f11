"""Texts → logits with a way back: training a classifier's decoder, or its top."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
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
from ..prefix_scores import Query, TextPlan, output_rows
from ..runner import Budget
from .backward import Pass

# Tokens of a packed batch that is trained on. With gradients the full architecture of
# DuoGuard-0.5B keeps some 3 MB for each token, many times what scoring takes.
_TRAINING_TOKENS: dict[str, int] = {"cpu": 1024, "cuda": 8192, "mps": 1024}

Backprop = Callable[[np.ndarray], None]


class Trainer:
    """Trains a classifier's decoder in place. Memory is bounded by a packed batch, not
    by the texts of an update."""

    def __init__(self, classifier: Classifier, layers: int | None) -> None:
        """classifier (Classifier): Whose decoder to train.
        layers (Optional[int]): `trainable_layers`: None for all, 0 for the head, n for
            the top n layers, the final norm and the head.
        RAISES (SettingsError): More layers than there are.
        """
        decoder = classifier.decoder
        prepare_training(decoder, layers)
        self.classifier = classifier
        tokens = classifier.settings.max_batch_tokens
        self.budget = Budget(tokens or _TRAINING_TOKENS[decoder.device.type])
        # As training found it. Of all layers, a copy would be a second model.
        self.initial: dict[str, Tensor] | None = None
        if layers is not None:
            trained = trained_parameters(decoder)
            self.initial = {name: p.detach().clone() for name, p in trained.items()}
        if layers == 0:
            classifier.rows.cache = FeatureCache(decoder)

    def begin(
        self, queries: Sequence[Query], *, max_chars: int | None = None
    ) -> tuple[np.ndarray, Backprop]:
        """Logits of texts and of their spans in context, and a way to teach them.

        queries (Sequence[Query]): The texts.
        max_chars (Optional[int]): As in `Classifier.analyze`.
        RETURNS (Tuple[ndarray, Callable]): Logits, (n_outputs, n_labels), float32: for
            each query of the text and then of its spans; the maximum over the windows
            in each category, 0.0 for what has no pieces.
            And a function that takes the gradient of the loss with respect to them and
            adds to the gradients of the parameters.
        RAISES (ScoringError): A logit is not finite, or the memory of the device does
            not hold one window.
        """
        passed, outputs = self._pass(queries, max_chars)
        rows = passed.logits()
        logits, winners = _maximum(rows, outputs)

        def backprop(d_logits: np.ndarray) -> None:
            d_rows = np.zeros_like(rows)
            columns = np.arange(rows.shape[1])
            for gradient, winner, own in zip(d_logits, winners, outputs, strict=True):
                if len(own):  # a row can be both a span's and the text's
                    d_rows[winner, columns] += gradient
            passed.backward(d_rows)

        return logits, backprop

    def initial_logits(
        self, queries: Sequence[Query], *, max_chars: int | None = None
    ) -> np.ndarray:
        """The logits of texts before training began.

        queries (Sequence[Query]), max_chars (Optional[int]): As in `begin`.
        RETURNS (ndarray): (n_outputs, n_labels at that time), float32.
        RAISES (SettingsError): All layers are trained: no copy was kept.
        """
        if self.initial is None:
            raise SettingsError(Errors.E070)
        decoder, values = self.classifier.decoder, dict(self.initial)
        head = values["score.weight"]
        # Rows of categories that were added since are computed, and left out.
        values["score.weight"] = torch.cat(
            [head, decoder.score.weight.detach()[len(head) :]]
        )
        passed, outputs = self._pass(queries, max_chars)
        with swapped(decoder, values):
            rows = passed.logits(keep_graph=False)
        return _maximum(rows, outputs)[0][:, : len(head)]

    @contextmanager
    def zone(self) -> Iterator[None]:
        """A block after which the features that were kept in it are forgotten."""
        cache = self.classifier.rows.cache
        with nullcontext() if cache is None else cache.zone():
            yield

    def forget(self) -> None:
        """Forget all features that were kept."""
        if self.classifier.rows.cache is not None:
            self.classifier.rows.cache.forget()

    def _pass(
        self, queries: Sequence[Query], max_chars: int | None
    ) -> tuple[Pass, list[np.ndarray]]:
        """What the trained part is to read, and of which of its rows each output is
        the maximum."""
        leave_parents_threads()
        classifier, cache = self.classifier, self.classifier.rows.cache
        decoder, device = classifier.decoder, classifier.decoder.device
        plans = [
            TextPlan.of(query, classifier.cut(query.text, max_chars))
            for query in queries
        ]
        sizes = [sum(map(len, plan.pieces)) for plan in plans]
        starts = np.cumsum([0, *sizes])
        outputs = [
            start + own
            for start, plan in zip(starts[:-1], plans, strict=True)
            for own in output_rows(plan)
        ]
        if cache is not None:
            features = self._features(cache, plans, max_chars)

            def read(batch: Sequence[int]) -> Tensor:
                return decoder.score(torch.from_numpy(features[batch]).to(device))

            ones = [1] * len(features)
            return Pass(decoder, ones, ones, read, self.budget), outputs
        windows = [ids for plan in plans for ids in plan.cut.ids]
        rows = [tokens for plan in plans for tokens in plan.tokens]

        def run(batch: Sequence[int]) -> Tensor:
            own = [rows[i] for i in batch]
            return decoder(pack([windows[i] for i in batch], rows=own, device=device))

        lengths, counts = [len(ids) for ids in windows], [len(own) for own in rows]
        return Pass(decoder, lengths, counts, run, self.budget), outputs

    def _features(
        self, cache: FeatureCache, plans: Sequence[TextPlan], max_chars: int | None
    ) -> np.ndarray:
        """What the head reads of all rows, (n_rows, hidden_size). The decoder runs once
        for each query, as long as there is room for its rows."""
        classifier, store = self.classifier, cache.texts
        own = {plan.query: plan for plan in plans}
        keys = {query: (query, max_chars, classifier.settings) for query in own}
        found = {query: store.get(key) for query, key in keys.items()}
        missing = [query for query, rows in found.items() if rows is None]
        fresh = iter(
            classifier.rows.features(
                [ids for query in missing for ids in own[query].cut.ids],
                [tokens for query in missing for tokens in own[query].tokens],
            )
        )
        size = classifier.decoder.config.hidden_size
        for query in missing:
            rows = [next(fresh) for _ in own[query].cut.windows]
            kept = np.concatenate([np.zeros((0, size), dtype=np.float32), *rows])
            text_bytes = len(query.text.encode("utf8", "replace"))
            store.put(keys[query], kept, key_bytes=text_bytes + 16 * len(query.spans))
            found[query] = kept
        return np.concatenate([cast(np.ndarray, found[plan.query]) for plan in plans])


def _maximum(
    rows: np.ndarray, outputs: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """rows (ndarray): Logits of all rows, (n_rows, n_labels).
    outputs (Sequence[ndarray]): The rows of each text or span.
    RETURNS (Tuple[ndarray, ndarray]): For each output and category the maximum over
        its rows, and the row that has it."""
    logits = np.zeros((len(outputs), rows.shape[1]), dtype=np.float32)
    winners = np.zeros(logits.shape, dtype=np.int64)
    for i, own in enumerate(outputs):
        if len(own):
            winners[i] = own[rows[own].argmax(axis=0)]
            logits[i] = rows[own].max(axis=0)
    return logits, winners
