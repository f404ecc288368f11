"""Draws from the texts that a teacher has labelled."""

from collections.abc import Sequence

import numpy as np

from demo.documents import Drawer
from demo.learn_documents import SHARES
from demo.sentences import Taught

TRUST = 0.65  # in the labels; the rest is what the teacher scores


class TaughtTexts:
    """Draws texts with the labels of `demo.sentences`, seeded."""

    def __init__(self, texts: Sequence[Taught], *, seed: int) -> None:
        """texts (Sequence[Taught]): The texts.
        seed (int): The random seed."""
        self.texts = texts
        self.seed = seed
        self._drawer: Drawer | None = None

    def draw(self, step: int, count: int) -> list[Taught]:
        """step (int): The number of the step, as for `NoisedTexts.draw`.
        count (int): The number of texts.
        RETURNS (List[Taught]): The texts."""
        rng = np.random.default_rng([77, self.seed, step])
        return [self.texts[i] for i in rng.integers(len(self.texts), size=count)]

    def draw_documents(self, step: int, count: int) -> list[str]:
        """step (int): The number of the step.
        count (int): The number of documents.
        RETURNS (List[str]): Safe sentences, most often with an unsafe one among them,
            as `demo.learn_documents` learns from."""
        if self._drawer is None:
            self._drawer = Drawer(
                self.texts, shares=SHARES, disguised=0.0, seed=self.seed
            )
        self._drawer.rng = np.random.default_rng([78, self.seed, step])
        return [self._drawer.draw_document().query.text for _ in range(count)]
