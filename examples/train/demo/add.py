"""Add what a training has changed in one checkpoint to another one.

python -m demo.add CHECKPOINT START TRAINED OUT
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from demo.checkpoint import add_change, write_checkpoint
from spacy_duoguard import Classifier


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("checkpoint", help="checkpoint to add to")
    add("start", help="checkpoint that the training started from")
    add("trained", help="checkpoint that it has written")
    add("out", type=Path, help="output folder")
    add("--share", type=float, default=0.5, help="share of the change to add")
    args = parser.parse_args(arguments)
    classifier, start, trained = (
        Classifier.from_pretrained(name, precision="float32", device="cpu")
        for name in (args.checkpoint, args.start, args.trained)
    )
    add_change(classifier.decoder, start.decoder, trained.decoder, args.share)
    write_checkpoint(
        classifier.decoder, classifier.tokenizer.data, args.out, dtype=torch.float32
    )


if __name__ == "__main__":
    main()
