"""What the third part of the training learns from: texts alone, and documents in which
an unsafe sentence stands among safe ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from demo.sentences import KINDS, LENGTHS, MIXTURE, ROW, SENTENCE, Taught
from spacy_duoguard.disguises.suite import TO_LEARN, select
from spacy_duoguard.engine.prefix_scores import Query

# Of sentences in documents: the highest probability of safe ones, and the lowest of
# unsafe ones.
SAFE, UNSAFE = 0.3, 0.5
N_SAFE = range(3, 16)
_MOST_CHARS = 1500  # nearly always fits into a window


@dataclass(frozen=True)
class Item:
    """A query to learn from."""

    query: Query
    targets: np.ndarray  # (1 + n_spans, 12) float32, NaN where open
    unsafe: int | None = None  # index of the one unsafe span


class Drawer:
    """Draws items, seeded."""

    def __init__(
        self,
        taught: Sequence[Taught],
        *,
        shares: Sequence[float],
        disguised: float,
        seed: int,
    ) -> None:
        """taught (Sequence[Taught]): The texts.
        shares (Sequence[float]): The shares of each kind among texts alone, in the
            order of `KINDS`.
        disguised (float): The share of texts alone to disguise, in the ways that no
            inverse undoes exactly.
        seed (int): The random seed."""
        self.rng = np.random.default_rng(seed)
        self.disguised = disguised
        self.disguises = select(TO_LEARN)
        self.texts = [[of for of in taught if of.kind == kind] for kind in KINDS]
        weights = np.array(shares) * [bool(texts) for texts in self.texts]
        self.shares = weights / weights.sum()
        short = [of for of in taught if len(" ".join(of.text.split())) in LENGTHS]
        self.safe, self.unsafe = (
            [_of_kinds(chosen, kinds), _of_kinds(chosen, (MIXTURE,))]
            for chosen, kinds in (
                ([of for of in short if of.target.max() < SAFE], (ROW, SENTENCE)),
                ([of for of in short if of.target.max() > UNSAFE], (ROW,)),
            )
        )

    def draw_text(self) -> Item:
        """RETURNS (Item): A text, perhaps disguised."""
        texts = self.texts[self.rng.choice(len(KINDS), p=self.shares)]
        of = texts[self.rng.integers(len(texts))]
        text = of.text
        if self.rng.random() < self.disguised:
            disguise = self.disguises[self.rng.integers(len(self.disguises))]
            text = disguise.apply(text)
        return Item(Query(text), of.target[None])

    def draw_document(self) -> Item:
        """RETURNS (Item): Safe sentences, most often with an unsafe one among them. The
        text up to the end of a sentence has the most that one of its sentences has."""
        parts = [
            self._draw_sentence(self.safe, 0.6) for _ in range(self.rng.choice(N_SAFE))
        ]
        index = None
        if self.rng.random() < 0.85:
            index = int(self.rng.integers(len(parts) + 1))
            parts.insert(index, self._draw_sentence(self.unsafe, 0.3))
        texts = [" ".join(of.text.split()) for of in parts]
        ends = np.cumsum([len(text) + 1 for text in texts]) - 1
        n_parts = max(1, int((ends <= _MOST_CHARS).sum()))
        spans = tuple(
            (int(end) - len(text), int(end))
            for text, end in zip(texts[:n_parts], ends[:n_parts], strict=True)
        )
        query = Query(" ".join(texts[:n_parts]), spans)
        targets = np.stack([of.target for of in parts[:n_parts]])
        # The text ends where its last sentence does.
        open_ = np.full_like(targets[:1], np.nan)
        targets = np.concatenate([open_, np.maximum.accumulate(targets)])
        known = index is not None and index < n_parts and n_parts > 1
        return Item(query, targets, index if known else None)

    def _draw_sentence(self, pools: Sequence[Sequence[Taught]], share: float) -> Taught:
        """From the training rows with this share, else a mixture."""
        rows, mixtures = pools
        pool = rows if rows and self.rng.random() < share else mixtures or rows
        return pool[self.rng.integers(len(pool))]


def _of_kinds(texts: Sequence[Taught], kinds: Sequence[str]) -> list[Taught]:
    return [of for of in texts if of.kind in kinds]
