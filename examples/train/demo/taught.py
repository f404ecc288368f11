"""Write texts with the teacher's soft labels to a .spacy file.

python -m demo.taught FOLDER OUT
"""

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import spacy
from spacy.tokens import DocBin

from demo.corpus import create_taught_texts
from demo.data import HELD_OUT

# As in configs/demo.cfg.
SETTINGS = {
    "strength": 1.0,
    "mixtures": 15,
    "crops": 8,
    "trust": 0.3,
    "trust_safe": 0.7,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the evaluation files")
    parser.add_argument("out", type=Path, help=".spacy file")
    parser.add_argument("--texts", type=int, default=60_000, help="number of texts")
    parser.add_argument("--seed", type=int, default=1, help="random seed")
    args = parser.parse_args(arguments)
    nlp = spacy.blank("xx")
    read = create_taught_texts(
        str(args.data), without=[HELD_OUT], seed=args.seed, **SETTINGS
    )
    texts = DocBin()
    for example in islice(read(nlp), args.texts):
        texts.add(example.reference)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    texts.to_disk(args.out)


if __name__ == "__main__":
    main()
