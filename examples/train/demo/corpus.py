"""Corpus readers for `configs/demo.cfg`, which spaCy imports by `--code`."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import spacy
from spacy.language import Language
from spacy.training import Example

from demo.data import OPENAI, TRAINED_ON, Mixer, Row, make_views, read_rows
from demo.teacher import UNSAFE_COLUMN, Regressions
from spacy_duoguard.taxonomy import CATEGORIES

Corpus = Callable[[Language], Iterator[Example]]

_ROUND = 4096  # texts that are labelled at a time


@spacy.registry.readers("demo.taught_texts.v1")
def create_taught_texts(
    path: str,
    without: list[int],
    strength: float,
    mixtures: int,
    crops: int,
    trust: float,
    trust_safe: float,
    seed: int,
) -> Corpus:
    """Texts without end, with soft labels: for each training row, or a part of it, a
    number of mixtures, which only the teacher has an opinion of.

    path (str): The evaluation files.
    without (List[int]): Parts of the files that nothing is learnt from.
    strength (float): Of the teacher: the inverse of its regularization.
    mixtures (int): For each row.
    crops (int): Parts of each long row to choose from.
    trust (float): Weight of the gold labels of unsafe rows, beside the teacher's.
    trust_safe (float): The same for safe rows, whose every part is safe.
    seed (int): Of all that is drawn.
    RETURNS (Corpus): The reader.
    """

    @cache
    def prepare() -> tuple[list[Row], Regressions, list[tuple[str, np.ndarray]]]:
        rows = [
            row
            for file in TRAINED_ON
            for row in read_rows(Path(path), file)
            if row.part not in without
        ]
        teacher = Regressions(rows, strength=strength, log_ratio=True)
        views = make_views(rows, crops, np.random.default_rng(seed))
        labels = agree(teacher.label_unseen(views))
        pairs = []
        for view, soft in zip(views, labels, strict=True):
            row = rows[view.row]
            weight = trust if row.unsafe else trust_safe
            target = weight * row.gold + (1 - weight) * soft if row.known else soft
            pairs.append((view.text, target))
        return rows, teacher, pairs

    def read(nlp: Language) -> Iterator[Example]:
        rows, teacher, pairs = prepare()
        rng = np.random.default_rng(seed)
        mixer = Mixer(rows, rng)
        while True:
            own = [
                pairs[i]
                for i in rng.integers(len(pairs), size=_ROUND // (mixtures + 1))
            ]
            texts = mixer.draw(_ROUND - len(own))
            mixed = zip(texts, agree(teacher.label(texts)), strict=True)
            batch = [*own, *mixed]
            for i in rng.permutation(len(batch)):
                text, target = batch[i]
                yield make_example(nlp, text, target)

    return read


@spacy.registry.readers("demo.labelled_texts.v1")
def create_labelled_texts(path: Path, only: list[int]) -> Corpus:
    """The rows whose categories people have labelled.

    path (str): The evaluation files.
    only (List[int]): Parts of the files.
    RETURNS (Corpus): The reader.
    """

    def read(nlp: Language) -> Iterator[Example]:
        for row in read_rows(Path(path), OPENAI):
            if row.part in only:
                yield make_example(nlp, row.text, row.gold)

    return read


def agree(labels: np.ndarray) -> np.ndarray:
    """Scale the categories so that their maximum is `unsafe`, as it is the decoder's.
    The regressions do not know of each other: that of `unsafe` has seen more rows. It
    says how much, and the categories say which.

    labels (ndarray): (n_texts, 13), probabilities of the categories and `unsafe`.
    RETURNS (ndarray): (n_texts, 12), of the categories.
    """
    categories, unsafe = labels[:, :UNSAFE_COLUMN], labels[:, UNSAFE_COLUMN:]
    likeliest = np.maximum(categories.max(axis=1, keepdims=True), 1e-9)
    return categories * (unsafe / likeliest)


def make_example(nlp: Language, text: str, target: Sequence[float]) -> Example:
    """nlp (Language): Makes docs.
    text (str): Of the doc.
    target (Sequence[float]): Of the categories.
    RETURNS (Example): With gold labels."""
    reference = nlp.make_doc(text)
    reference.cats = dict(zip(CATEGORIES, map(float, target), strict=True))
    return Example(nlp.make_doc(text), reference)
