"""Add nearly the same number to all logits of a checkpoint, which moves its scores for
safe and unsafe texts alike and keeps their order.

python -m demo.shift FOLDER CHECKPOINT OUT
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from demo.checkpoint import write_checkpoint
from demo.data import TRAINED_ON, read_rows
from demo.learn_noise import WITHOUT
from demo.noised import NoisedTexts
from spacy_duoguard import Classifier
from spacy_duoguard.engine.network.packing import pack

_MOST_TOKENS = 512
_N_AT_ONCE = 100
_HELD = 1e-6  # keeps the weights small


def shift(classifier: Classifier, texts: Sequence[str], by: float) -> np.ndarray:
    """Change the weights of the twelve outputs, which have no bias.

    classifier (Classifier): The classifier. It's changed.
    texts (Sequence[str]): What the change is fitted on.
    by (float): What to add to the logits.
    RETURNS (ndarray): What is added to those of each text, (n_texts,)."""
    hidden = _read_hidden(classifier, texts)
    n, width = hidden.shape
    square = hidden.T @ hidden + _HELD * n * np.eye(width)
    direction = by * np.linalg.solve(square, hidden.sum(axis=0))
    with torch.no_grad():
        classifier.decoder.score.weight += torch.from_numpy(direction).float()
    return hidden @ direction


def _read_hidden(classifier: Classifier, texts: Sequence[str]) -> np.ndarray:
    """RETURNS (ndarray): What the outputs read, (n_texts, width) float64, the longest
    text first."""
    encoded = [np.asarray(classifier.tokenizer.encode(text).ids) for text in texts]
    ids = [of[:_MOST_TOKENS] for of in encoded if len(of)]
    ids.sort(key=lambda of: -len(of))
    hidden: list[np.ndarray] = []
    hook = classifier.decoder.score.register_forward_pre_hook(
        lambda layer, inputs: hidden.append(inputs[0].double().numpy().copy())
    )
    with torch.no_grad():
        for start in range(0, len(ids), _N_AT_ONCE):
            classifier.decoder(pack(ids[start : start + _N_AT_ONCE]))
    hook.remove()
    return np.concatenate(hidden)


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("data", type=Path, help="folder with the evaluation files")
    add("checkpoint", help="checkpoint to change")
    add("out", type=Path, help="output folder")
    add("--by", type=float, default=0.1, help="what to add to the logits")
    add("--draws", type=int, default=60, help="steps of texts, of 100 each")
    args = parser.parse_args(arguments)
    rows = [
        row
        for file in TRAINED_ON
        for row in read_rows(args.data, file)
        if row.part not in WITHOUT
    ]
    drawn = NoisedTexts(rows, seed=99, mixed=0.5, listed=0.2)
    texts = [pair.changed for i in range(args.draws) for pair in drawn.draw(i, 50, 50)]
    classifier = Classifier.from_pretrained(
        args.checkpoint, precision="float32", device="cpu"
    )
    added = shift(classifier, texts, args.by)
    print(f"Added {added.mean():.4f}, give or take {added.std():.4f}")
    write_checkpoint(
        classifier.decoder, classifier.tokenizer.data, args.out, dtype=torch.float32
    )


if __name__ == "__main__":
    main()
