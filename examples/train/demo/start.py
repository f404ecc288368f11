"""Create the initial demo checkpoint: a tokenizer, random weights, and word vectors
counted in the training rows.

    python -m demo.start FOLDER OUT
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from demo.checkpoint import write_checkpoint
from demo.data import HELD_OUT, N_TOKENS, TRAINED_ON, read_rows, train_tokenizer
from demo.embedding import count_embedding
from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.engine.network.decoder import Decoder
from spacy_duoguard.taxonomy import CATEGORIES


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the evaluation files")
    parser.add_argument("out", type=Path, help="output folder")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    parser.add_argument("--tokens", type=int, default=N_TOKENS, help="vocabulary size")
    args = parser.parse_args(arguments)
    torch.manual_seed(args.seed)
    rows = [
        row
        for file in TRAINED_ON
        for row in read_rows(args.data, file)
        if row.part != HELD_OUT
    ]
    tokenizer = train_tokenizer((row.text for row in rows), n_tokens=args.tokens)
    decoder = make_decoder(tokenizer.get_vocab_size())
    vectors = count_embedding(
        rows,
        [np.array(tokenizer.encode(row.text).ids) for row in rows],
        n_tokens=tokenizer.get_vocab_size(with_added_tokens=False),
        size=decoder.config.hidden_size,
        scale=0.05,
        seed=args.seed,
    )
    decoder.embedding.weight.data[: len(vectors)] = torch.from_numpy(vectors)
    write_checkpoint(decoder, tokenizer.to_str(), args.out, dtype=torch.float32)


def make_decoder(
    vocab_size: int,
    *,
    width: int = 128,
    inner: int = 256,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    window: int = 512,
) -> Decoder:
    """vocab_size (int): The number of tokens, including added ones.
    width (int): The width of the residual stream (`hidden_size`).
    inner (int): The width of the feed-forward layers.
    layers (int): The number of layers.
    heads (int): The number of query heads.
    kv_heads (int): The number of key and value heads.
    window (int): The maximum number of tokens.
    RETURNS (Decoder): The decoder with random weights."""
    config = DecoderConfig(
        model_type="qwen2",
        num_labels=len(CATEGORIES),
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=width // heads,
        rms_norm_eps=1e-6,
        max_position_embeddings=window,
        rope_theta=10000.0,
        qkv_bias=True,
        pad_token_id=vocab_size - 1,
    )
    decoder = Decoder(config)
    into_stream = 0.02 / math.sqrt(2 * layers)
    for name, parameter in decoder.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.dim() > 1:
            residual = "o_proj" in name or "down_proj" in name
            nn.init.normal_(parameter, std=into_stream if residual else 0.02)
    return decoder


if __name__ == "__main__":
    main()
