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
