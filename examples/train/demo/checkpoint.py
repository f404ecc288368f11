"""Write a checkpoint that `transformers` can load too."""

import json
from pathlib import Path

import torch

from spacy_duoguard.engine.checkpoint.bundle import CONFIG, TOKENIZER
from spacy_duoguard.engine.checkpoint.weights import WEIGHTS, write_weights
from spacy_duoguard.engine.network.decoder import Decoder
from spacy_duoguard.taxonomy import CATEGORIES


def write_checkpoint(
    decoder: Decoder, tokenizer: str, folder: Path, *, dtype: torch.dtype
) -> None:
    """decoder (Decoder): The decoder.
    tokenizer (str): The content of `tokenizer.json`.
    folder (Path): The folder for the three files.
    dtype (torch.dtype): The dtype to store the weights in."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = Decoder(decoder.config)
    stored.load_state_dict(decoder.state_dict())
    write_weights(stored.to(dtype), folder / WEIGHTS)
    config = decoder.config.to_dict(CATEGORIES)
    names = {torch.bfloat16: "bfloat16", torch.float32: "float32"}
    config |= {"torch_dtype": names[dtype], "use_sliding_window": False}
    text = json.dumps(config, indent=2) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf8")
    (folder / TOKENIZER).write_text(tokenizer.strip() + "\n", encoding="utf8")


def mix_weights(decoder: Decoder, start: Decoder, share: float) -> None:
    """Keep a part of what a decoder has been before its training was continued: it
    loses less of what the new texts don't show (Wortsman et al. 2022).

    decoder (Decoder): The trained decoder. It's changed.
    start (Decoder): The decoder that the training started from.
    share (float): The share of the trained weights in the mean, in [0, 1]."""
    trained, before = decoder.state_dict(), start.state_dict()
    mean = {
        name: before[name] + share * (value - before[name])
        for name, value in trained.items()
    }
    decoder.load_state_dict(mean)


def add_change(
    decoder: Decoder, start: Decoder, trained: Decoder, share: float
) -> None:
    """Add what a training has changed in other weights: trainings of the same weights
    that teach different things roughly add up (Ilharco et al. 2023).

    decoder (Decoder): The decoder. It's changed.
    start (Decoder): What the other training started from.
    trained (Decoder): What it has made of it.
    share (float): The share of the change."""
    before, after = start.state_dict(), trained.state_dict()
    total = {
        name: value + share * (after[name] - before[name])
        for name, value in decoder.state_dict().items()
    }
    decoder.load_state_dict(total)
