"""Corpus readers for `configs/demo.cfg`. spaCy imports them with `--code`."""

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

_N_TEXTS = 4096  # labelled at once


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
    """Read an endless stream of texts with soft labels. Each training row, or part of
    one, comes with a number of mixtures, which only the teacher labels.

    path (str): The folder with the evaluation files.
    without (List[int]): Parts of the files to leave out.
    strength (float): The inverse of the teacher's regularization.
    mixtures (int): The number of mixtures per row.
    crops (int): The number of crops to draw from each long row.
    trust (float): The weight of an unsafe row's gold labels against the teacher's.
    trust_safe (float): The same for safe rows, where every crop is safe too.
    seed (int): The random seed.
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
            n_views = _N_TEXTS // (mixtures + 1)
            drawn = [pairs[i] for i in rng.integers(len(pairs), size=n_views)]
            texts = mixer.draw(_N_TEXTS - n_views)
            mixed = zip(texts, agree(teacher.label(texts)), strict=True)
            batch = [*drawn, *mixed]
            for i in rng.permutation(len(batch)):
                text, target = batch[i]
                yield make_example(nlp, text, target)

    return read


@spacy.registry.readers("demo.labelled_texts.v1")
def create_labelled_texts(path: Path, only: list[int]) -> Corpus:
    """Read the rows with gold labels for all categories.

    path (str): The folder with the evaluation files.
    only (List[int]): The parts of the files to read.
    RETURNS (Corpus): The reader.
    """

    def read(nlp: Language) -> Iterator[Example]:
        for row in read_rows(Path(path), OPENAI):
            if row.part in only:
                yield make_example(nlp, row.text, row.gold)

    return read


@spacy.registry.readers("demo.composed_texts.v1")
def create_composed_texts(corpus: Corpus, spans_key: str) -> Corpus:
    """Read composed docs, but single texts without the gold of spans: it would repeat
    their labels as 0 or 1, beside the teacher's probabilities.

    corpus (Corpus): The reader of composed docs.
    spans_key (str): The group of `doc.spans` with the gold of the spans.
    RETURNS (Corpus): The reader.
    """

    def read(nlp: Language) -> Iterator[Example]:
        for example in corpus(nlp):
            if len(list(example.reference.sents)) == 1:
                example.reference.spans.pop(spans_key, None)
            yield example

    return read


def agree(labels: np.ndarray) -> np.ndarray:
    """Scale the categories so that their maximum is `unsafe`, as in the decoder. The
    regressions are independent, and the one for `unsafe` has seen more rows. So it sets
    the scale, and the others only set the proportions.

    labels (ndarray): (n_texts, 13), probabilities of the categories and of `unsafe`.
    RETURNS (ndarray): (n_texts, 12), probabilities of the categories.
    """
    categories, unsafe = labels[:, :UNSAFE_COLUMN], labels[:, UNSAFE_COLUMN:]
    likeliest = np.maximum(categories.max(axis=1, keepdims=True), 1e-9)
    return categories * (unsafe / likeliest)


def make_example(nlp: Language, text: str, target: Sequence[float]) -> Example:
    """nlp (Language): The pipeline to make docs with.
    text (str): The text of the doc.
    target (Sequence[float]): The probabilities of the categories.
    RETURNS (Example): The example with gold labels."""
    reference = nlp.make_doc(text)
    reference.cats = dict(zip(CATEGORIES, map(float, target), strict=True))
    return Example(nlp.make_doc(text), reference)
