"""A cache of the head's inputs, while only the head is trained."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from .fork_lock import ForkLock
from .network.decoder import Decoder
from .network.tensor_versions import TensorVersions

# For each of the two stores: about 150,000 texts of one window at hidden size 896.
MAX_BYTES = 2**29


class FeatureStore:
    """Float arrays by key. Once it's full, it takes nothing more: a training set that
    is a little too large, shuffled each epoch, would evict everything before it's
    needed again."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._rows: dict[Hashable, tuple[np.ndarray, int]] = {}
        self._lock = ForkLock()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: Hashable) -> np.ndarray | None:
        entry = self._rows.get(key)
        return None if entry is None else entry[0]

    def put(self, key: Hashable, rows: np.ndarray, *, key_bytes: int) -> None:
        """key (Hashable): Exactly what was computed.
        rows (ndarray): The features. The store takes ownership of them.
        key_bytes (int): The size of the key."""
        size = rows.nbytes + key_bytes
        with self._lock.plain:
            if key not in self._rows and self.n_bytes + size <= self.max_bytes:
                self._rows[key] = rows, size
                self.n_bytes += size

    def truncate(self, length: int) -> None:
        """length (int): How many of the oldest entries to keep."""
        with self._lock.plain:
            while len(self._rows) > length:
                self.n_bytes -= self._rows.popitem()[1][1]


class FeatureCache:
    """The features of texts that are trained on, and of whole packed batches that are
    scored.

    A batch is kept as a whole, since the last bits of a text's scores depend on its
    batch: a cached score is bit-identical to a computed one, such as that of the same
    model saved and loaded.

    Entries are valid while the frozen weights don't change. Each use checks whether one
    was moved or written to; torch counts all writes but those through `.data`.
    """

    def __init__(self, decoder: Decoder, *, max_bytes: int = MAX_BYTES) -> None:
        """decoder (Decoder): The decoder of which only the head is trained.
        max_bytes (int): The limit of each of the two stores."""
        self._decoder = decoder
        self._texts = FeatureStore(max_bytes)
        self._batches = FeatureStore(max_bytes)
        self._versions = TensorVersions(self._frozen())

    @property
    def texts(self) -> FeatureStore:
        """By query and limits: (n_scored, hidden_size)."""
        self._check()
        return self._texts

    @property
    def batches(self) -> FeatureStore:
        """By the ids and positions of a packed batch: (n_scored, hidden_size)."""
        self._check()
        return self._batches

    @contextmanager
    def zone(self) -> Iterator[None]:
        """At the end of the block, forget what was added in it."""
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
        if not self._versions.match(self._frozen()):
            self.forget()
            self._versions = TensorVersions(self._frozen())

    def _frozen(self) -> list[Tensor]:
        head = self._decoder.score.weight
        return [p for p in self._decoder.parameters() if p is not head]
