"""Write texts for the third part of the training, with the soft labels of a teacher
that has also seen the sentences of safe rows.

python -m demo.sentences FOLDER OUT
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import spacy
import srsly

from demo.corpus import agree
from demo.data import HELD_OUT, TRAINED_ON, Mixer, Row, View, make_views, read_rows
from demo.taught import SETTINGS
from demo.teacher import Regressions

# Characters of a sentence, as in examples/benchmarks/find_sentence.py.
LENGTHS = range(20, 200)
ROW, PART, SENTENCE, MIXTURE = KINDS = ("row", "part", "sentence", "mixture")
_N_TEXTS = 8192  # labelled at once


@dataclass(frozen=True)
class Taught:
    """A text with the probabilities of the categories."""

    text: str
    kind: str  # one of `KINDS`
    target: np.ndarray  # (12,) float32


def split_safe_rows(rows: Sequence[Row]) -> list[Row]:
    """rows (Sequence[Row]): The training rows.
    RETURNS (List[Row]): The sentences of the safe ones. All of them are safe."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("sentencizer")
    sentences = []
    for row in rows:
        if row.unsafe:
            continue
        texts = (" ".join(sent.text.split()) for sent in nlp(row.text).sents)
        chosen = {text: None for text in texts if len(text) in LENGTHS}
        sentences += [replace(row, text=text) for text in chosen if text != row.text]
    return sentences


def teach(
    folder: Path, *, without: Sequence[int], n_mixtures: int, seed: int
) -> Iterator[Taught]:
    """folder (Path): The folder with the evaluation files.
    without (Sequence[int]): Parts of the files to leave out.
    n_mixtures (int): The number of random mixtures of the training rows.
    seed (int): The random seed.
    YIELDS (Taught): The training rows, parts of the long ones, the sentences of the
        safe ones, and the mixtures. These have the mean of two teachers' labels: one
        that was also fitted on the sentences, and one that wasn't."""
    rows = [
        row
        for file in TRAINED_ON
        for row in read_rows(folder, file)
        if row.part not in without
    ]
    sentences = split_safe_rows(rows)
    everything = [*rows, *sentences]
    teacher, of_rows = (
        Regressions(chosen, strength=SETTINGS["strength"], log_ratio=True)
        for chosen in (everything, rows)
    )
    rng = np.random.default_rng(seed)
    views = make_views(rows, int(SETTINGS["crops"]), rng)
    kinds = [ROW] * len(rows) + [PART] * (len(views) - len(rows))
    kinds += [SENTENCE] * len(sentences)
    views += [View(len(rows) + i, row.text) for i, row in enumerate(sentences)]
    labels = agree(teacher.label_unseen(views))
    for view, kind, soft in zip(views, kinds, labels, strict=True):
        row = everything[view.row]
        trust = SETTINGS["trust" if row.unsafe else "trust_safe"]
        target = trust * row.gold + (1 - trust) * soft if row.known else soft
        yield Taught(view.text, kind, target)
    mixer = Mixer(rows, rng)
    for start in range(0, n_mixtures, _N_TEXTS):
        texts = mixer.draw(min(_N_TEXTS, n_mixtures - start))
        targets = [agree(of.label(texts)) for of in (teacher, of_rows)]
        for text, target in zip(texts, np.mean(targets, axis=0), strict=True):
            yield Taught(text, MIXTURE, target)


def read_taught(path: Path) -> list[Taught]:
    """path (Path): The file that `main` wrote.
    RETURNS (List[Taught]): The texts."""
    return [
        Taught(record["text"], record["kind"], np.array(record["target"], np.float32))
        for record in srsly.read_jsonl(path)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("data", type=Path, help="folder with the evaluation files")
    add("out", type=Path, help=".jsonl file")
    add("--texts", type=int, default=60_000, help="number of mixtures")
    add("--without", type=int, nargs="*", default=[HELD_OUT], help="parts to leave out")
    add("--seed", type=int, default=2, help="random seed")
    args = parser.parse_args(arguments)
    taught = teach(
        args.data, without=args.without, n_mixtures=args.texts, seed=args.seed
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    srsly.write_jsonl(
        args.out,
        (
            {
                "text": of.text,
                "kind": of.kind,
                "target": np.round(of.target, 4).tolist(),
            }
            for of in taught
        ),
    )


if __name__ == "__main__":
    main()
