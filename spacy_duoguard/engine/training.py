"""Texts → logits with a way back: training a classifier's decoder, or its top."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor

from ..errors import Errors, SettingsError
from .budget import Budget
from .classifier import Classifier
from .features import FeatureCache
from .packing import pack
from .passes import Pass
from .threads import leave_parents_threads
from .trainable import prepare_training, swapped, trained_parameters

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
            classifier.cache = FeatureCache(decoder)

    def begin(
        self, texts: Sequence[str], *, max_chars: int | None = None
    ) -> tuple[np.ndarray, Backprop]:
        """Logits of texts, and a way to teach them.

        texts (Sequence[str]): The texts.
        max_chars (Optional[int]): As in `Classifier.analyze`.
        RETURNS (Tuple[ndarray, Callable]): Logits, (n_texts, n_labels), float32: for
            each category the maximum over the windows, 0.0 for a text without pieces.
            And a function that takes the gradient of the loss with respect to them and
            adds to the gradients of the parameters.
        RAISES (ScoringError): A logit is not finite, or the memory of the device does
            not hold one window.
        """
        passed, counts = self._pass(texts, max_chars)
        rows = passed.logits()
        logits, winners = _maximum(rows, counts)

        def backprop(d_logits: np.ndarray) -> None:
            d_rows = np.zeros_like(rows)
            columns = np.arange(rows.shape[1])
            for i in np.flatnonzero(counts):
                d_rows[winners[i], columns] = d_logits[i]
            passed.backward(d_rows)

        return logits, backprop

    def initial_logits(
        self, texts: Sequence[str], *, max_chars: int | None = None
    ) -> np.ndarray:
        """The logits of texts before training began.

        texts (Sequence[str]): The texts.
        max_chars (Optional[int]): As in `Classifier.analyze`.
        RETURNS (ndarray): (n_texts, n_labels at that time), float32.
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
        passed, counts = self._pass(texts, max_chars)
        with swapped(decoder, values):
            rows = passed.logits(keep_graph=False)
        return _maximum(rows, counts)[0][:, : len(head)]

    @contextmanager
    def zone(self) -> Iterator[None]:
        """A block after which the features that were kept in it are forgotten."""
        cache = self.classifier.cache
        with nullcontext() if cache is None else cache.zone():
            yield

    def forget(self) -> None:
        """Forget all features that were kept."""
        if self.classifier.cache is not None:
            self.classifier.cache.forget()

    def _pass(
        self, texts: Sequence[str], max_chars: int | None
    ) -> tuple[Pass, np.ndarray]:
        """What the trained part is to read, and how many windows each text has."""
        leave_parents_threads()
        decoder, cache = self.classifier.decoder, self.classifier.cache
        device = decoder.device
        if cache is not None:
            found = self._features(cache, texts, max_chars)
            counts = np.array([len(rows) for rows in found])
            features = np.concatenate(found)

            def read(batch: Sequence[int]) -> Tensor:
                return decoder.score(torch.from_numpy(features[batch]).to(device))

            return Pass(decoder, [1] * len(features), read, self.budget), counts
        cuts = [self.classifier.cut(text, max_chars).ids for text in texts]
        windows = [ids for cut in cuts for ids in cut]

        def run(batch: Sequence[int]) -> Tensor:
            return decoder(pack([windows[i] for i in batch], device=device))

        lengths = [len(ids) for ids in windows]
        counts = np.array([len(cut) for cut in cuts])
        return Pass(decoder, lengths, run, self.budget), counts

    def _features(
        self, cache: FeatureCache, texts: Sequence[str], max_chars: int | None
    ) -> list[np.ndarray]:
        """For each text what the head reads of its windows, (n_windows, hidden_size).
        The decoder runs once for each text, as long as there is room for its row."""
        classifier, store = self.classifier, cache.texts
        keys = {text: (text, max_chars, classifier.settings) for text in texts}
        found: dict[str, np.ndarray] = {}
        for text, key in keys.items():
            rows = store.get(key)
            if rows is not None:
                found[text] = rows
        missing = [text for text in keys if text not in found]
        cuts = [classifier.cut(text, max_chars).ids for text in missing]
        fresh = classifier.features([ids for cut in cuts for ids in cut])
        ends = np.cumsum([len(cut) for cut in cuts])
        for text, cut, end in zip(missing, cuts, ends, strict=True):
            found[text] = fresh[end - len(cut) : end].copy()
            size = len(text.encode("utf8", "replace"))
            store.put(keys[text], found[text], key_bytes=size)
        return [found[text] for text in texts]


def _maximum(rows: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """rows (ndarray): Logits of windows, (n_windows, n_labels), text after text.
    counts (ndarray): How many windows each text has.
    RETURNS (Tuple[ndarray, ndarray]): For each text and category the maximum over its
        windows, and the window that has it."""
    logits = np.zeros((len(counts), rows.shape[1]), dtype=np.float32)
    winners = np.zeros(logits.shape, dtype=np.int64)
    ends = np.cumsum(counts)
    for i in np.flatnonzero(counts):
        start = ends[i] - counts[i]
        winners[i] = start + rows[start : ends[i]].argmax(axis=0)
        logits[i] = rows[start : ends[i]].max(axis=0)
    return logits, winners
