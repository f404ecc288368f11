"""What the head reads of texts, kept while the decoder below it stands still."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from .network.decoder import Decoder
from .network.tensor_versions import Versions

# Of each of the two stores: the features of about 150,000 texts of one window at
# width 896.
MAX_BYTES = 2**29


class FeatureStore:
    """Float arrays by key. What comes when it is full is not kept: a training set that
    is a little too large, run through in another order each epoch, would push out
    everything before it is asked for again."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._rows: dict[Hashable, tuple[np.ndarray, int]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: Hashable) -> np.ndarray | None:
        found = self._rows.get(key)
        return None if found is None else found[0]

    def put(self, key: Hashable, rows: np.ndarray, *, key_bytes: int) -> None:
        """key (Hashable): Exactly what was computed.
        rows (ndarray): The features; the store owns them from now on.
        key_bytes (int): What the key takes."""
        size = rows.nbytes + key_bytes
        with self._lock:
            if key not in self._rows and self.n_bytes + size <= self.max_bytes:
                self._rows[key] = rows, size
                self.n_bytes += size

    def truncate(self, length: int) -> None:
        """length (int): How many of the oldest entries to keep."""
        with self._lock:
            while len(self._rows) > length:
                self.n_bytes -= self._rows.popitem()[1][1]


class FeatureCache:
    """Features of the texts that are trained on, and of whole packed batches that are
    scored.

    A batch is kept as a whole, since the scores of a text depend on its batch mates in
    the last bits: a score that comes from here equals, bit for bit, what would have
    been computed, as by the same model after it was saved and loaded.

    The entries hold while the frozen weights do. Each use looks whether one of them
    was moved or written to, which torch counts (writes through `.data` it does not).
    """

    def __init__(self, decoder: Decoder, *, max_bytes: int = MAX_BYTES) -> None:
        """decoder (Decoder): Whose head alone is trained.
        max_bytes (int): The most that each of the two stores takes."""
        self._decoder = decoder
        self._texts = FeatureStore(max_bytes)
        self._batches = FeatureStore(max_bytes)
        self._versions = Versions(self._frozen())

    @property
    def texts(self) -> FeatureStore:
        """By text and limit: (n_windows, hidden_size)."""
        self._check()
        return self._texts

    @property
    def batches(self) -> FeatureStore:
        """By the ids of the sequences of a packed batch: (n_sequences, hidden_size)."""
        self._check()
        return self._batches

    @contextmanager
    def zone(self) -> Iterator[None]:
        """A block after which what it added is forgotten."""
        stores = (self._texts, self._batches)
        lengths = [len(store) for store in stores]
        try:
            yield
        finally:
            for store, length in zip(stores, lengths, strict=True):
                store.truncate(length)

    def forget(self) -> None:
        """Forget everything."""
        self._texts.truncate(0)
        self._batches.truncate(0)

    def _check(self) -> None:
        if not self._versions.hold(self._frozen()):
            self.forget()
            self._versions = Versions(self._frozen())

    def _frozen(self) -> list[Tensor]:
        head = self._decoder.score.weight
        return [p for p in self._decoder.parameters() if p is not head]
