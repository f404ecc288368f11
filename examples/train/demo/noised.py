"""What the part of the training on noise learns from: texts with noise in them or in
disguise, and the same kinds of texts as they are."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from demo.data import Mixer, Row
from demo.noise import add_noise
from spacy_duoguard import Classifier
from spacy_duoguard.disguises.suite import CIPHERS, SUITE, TO_LEARN
from spacy_duoguard.engine.text.views.functions import read_views

_MOST_CHARS = 150  # of a text to change, which can get several times as long
_TO_LEARN = [SUITE[name] for name in TO_LEARN]
_OTHERS = [
    disguise
    for name, disguise in SUITE.items()
    if name not in (*TO_LEARN, *CIPHERS) and disguise.view == "folded"
]


@dataclass(frozen=True)
class Pair:
    """A text and how it reads after a change."""

    text: str
    changed: str  # the same for texts that stay as they are


class NoisedTexts:
    """Draws pairs of texts, seeded."""

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        seed: int,
        mixed: float,
        listed: float,
        cropped: float = 0.0,
    ) -> None:
        """rows (Sequence[Row]): The training rows.
        seed (int): The random seed.
        mixed (float): The share of random mixtures; the rest are rows.
        listed (float): The share of changes from the suite of disguises; the rest are
            noise.
        cropped (float): The share of plain texts to shorten."""
        self.rows = rows
        self.seed = seed
        self.mixed = mixed
        self.listed = listed
        self.cropped = cropped
        self.mixer = Mixer(rows, np.random.default_rng(seed))

    def draw(self, step: int, n_plain: int, n_changed: int) -> list[Pair]:
        """step (int): The number of the step. What is drawn only depends on it and the
            seed, so that an interrupted training can go on.
        n_plain (int): The number of texts as they are.
        n_changed (int): The number of texts to change.
        RETURNS (List[Pair]): The pairs."""
        self.mixer.rng = np.random.default_rng([self.seed, step])
        rng = random.Random(f"{self.seed} {step}")
        pairs = []
        for i in range(n_plain + n_changed):
            text = self._draw_text(rng)
            if i < n_plain:
                if self.cropped and rng.random() < self.cropped:
                    text = _crop(text, rng, rng.randint(30, _MOST_CHARS))
                pairs.append(Pair(text, text))
                continue
            text = _crop(text, rng)
            pairs.append(Pair(text, self._change(text, rng)))
        return [pair for pair in pairs if pair.changed.strip()]

    def _draw_text(self, rng: random.Random) -> str:
        if rng.random() < self.mixed:
            return self.mixer.draw(1)[0]
        return rng.choice(self.rows).text

    def _change(self, text: str, rng: random.Random) -> str:
        if rng.random() >= self.listed:
            changed = add_noise(text, rng)
        else:
            listed = _TO_LEARN if rng.random() < 0.8 else _OTHERS
            changed = rng.choice(listed).apply(text)
            if rng.random() < 0.2:
                changed = add_noise(changed, rng)
        readings = [view.text for view in read_views(changed)]
        return rng.choice(readings) if readings and rng.random() < 0.6 else changed


@dataclass(frozen=True)
class Prompts:
    """Plain texts of one kind, with a teacher that knows it best."""

    texts: NoisedTexts
    teacher: Classifier
    count: int  # in a step

    def draw(self, step: int) -> tuple[list[Pair], np.ndarray]:
        """step (int): The number of the step, as for `NoisedTexts.draw`.
        RETURNS (Tuple[List[Pair], ndarray]): The texts, and what the teacher scores."""
        pairs = self.texts.draw(step, self.count, 0)
        return pairs, self.teacher.score([pair.text for pair in pairs])


def _crop(text: str, rng: random.Random, most: int = _MOST_CHARS) -> str:
    """A part of a long text, from word to word."""
    if len(text) <= most:
        return text
    start = rng.randrange(len(text) - most)
    words = text[start : start + most].split(" ")
    return " ".join(words[1:-1]) or text[:most]
