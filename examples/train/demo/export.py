"""Write the trained demo checkpoint for the package, with its card.

python -m demo.export TRAINED FOLDER OUT
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import spacy
import torch

from demo.card import write_card
from demo.checkpoint import mix_weights, write_checkpoint
from demo.data import HELD_OUT, TRAINED_ON, read_rows
from demo.figures import (
    measure_categories,
    measure_top_category,
    measure_unsafe,
)
from demo.held_out import measure_in_disguise, measure_localisation, measure_noise
from demo.teacher import Regressions
from spacy_duoguard import Classifier
from spacy_duoguard.engine.checkpoint.weights import WEIGHTS


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path, help="pipeline or checkpoint")
    parser.add_argument("data", type=Path, help="folder with the evaluation files")
    parser.add_argument("out", type=Path, help="output folder")
    parser.add_argument(
        "--parts", type=int, default=1, help="parts of the training: 1, 2 or 3"
    )
    parser.add_argument(
        "--noise", action="store_true", help="also trained by demo.learn_noise"
    )
    parser.add_argument(
        "--other", type=Path, help="of another run: the mean of both is taken"
    )
    parser.add_argument("--start", help="checkpoint that the training continued from")
    parser.add_argument(
        "--share", type=float, default=0.5, help="with --start: of the trained weights"
    )
    args = parser.parse_args(arguments)
    trained = mean_of(args.trained, args.other, start=args.start, share=args.share)
    write_checkpoint(
        trained.decoder,
        trained.tokenizer.data,
        args.out,
        dtype=torch.bfloat16,
    )
    # Measure the stored weights.
    classifier = Classifier.from_pretrained(str(args.out), precision="float32")
    rows = [
        row
        for file in TRAINED_ON
        for row in read_rows(args.data, file)
        if row.part != HELD_OUT
    ]
    scorers = {
        "demo": classifier.score,
        "TF-IDF": Regressions(rows, strength=4.0, log_ratio=False).label,
        "teacher": Regressions(rows, strength=1.0, log_ratio=True).label,
    }
    positives = np.sum([row.gold for row in rows], axis=0).astype(int).tolist()
    write_card(
        args.out,
        classifier,
        positives,
        measure_unsafe(args.data, scorers),
        measure_categories(args.data, scorers),
        measure_top_category(args.data, classifier.score),
        measure_in_disguise(args.data, classifier),
        measure_localisation(args.data, classifier),
        parts=args.parts,
        noise=measure_noise(args.data, classifier) if args.noise else None,
    )


def mean_of(
    trained: str | Path,
    other: str | Path | None = None,
    *,
    start: str | None = None,
    share: float = 1.0,
) -> Classifier:
    """trained (str | Path): A pipeline or a checkpoint.
    other (Optional[str | Path]): Another one, trained in the same way.
    start (Optional[str]): The checkpoint that their training continued from.
    share (float): Their share in the mean with it.
    RETURNS (Classifier): With the mean of the weights."""
    classifier = _load(Path(trained))
    if other:
        mix_weights(classifier.decoder, _load(Path(other)).decoder, 0.5)
    if start:
        before = Classifier.from_pretrained(start, precision="float32")
        mix_weights(classifier.decoder, before.decoder, share)
    return classifier


def _load(folder: Path) -> Classifier:
    """A checkpoint, or that of a trained pipeline."""
    if (folder / WEIGHTS).exists():
        return Classifier.from_pretrained(str(folder), precision="float32")
    return spacy.load(folder).get_pipe("duoguard").classifier


if __name__ == "__main__":
    main()
