"""Make a tiny chat model that answers the prompts of configs/prompts.yml, from scratch.

    python scripts/make_generator.py assets/rewrites.jsonl training/generator

This runs in the environment with transformers 5, trl and peft. The result is a folder
that `transformers serve` and `trl dpo` take like that of any other model.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

SPECIAL = ["<pad>", "<end>", "<user>", "<assistant>"]
TEMPLATE = (
    "{% for message in messages %}{{ '<' + message['role'] + '>' }}"
    "{{ message['content'] }}{{ '<end>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
IGNORED = -100  # label of a token that isn't learned


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rewrites", type=Path, help="JSONL file: prompt and answer")
    parser.add_argument("output", type=Path, help="folder of the model")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.manual_seed(args.seed)
    lines = args.rewrites.read_text(encoding="utf8").split("\n")
    pairs = [json.loads(line) for line in lines if line]
    tokenizer = make_tokenizer(pairs)
    model = make_model(tokenizer)
    loss = train(model, tokenizer, pairs, epochs=args.epochs, seed=args.seed)
    model.save_pretrained(args.output)
    tokenizer.save_pretrained(args.output)
    parameters = sum(weight.numel() for weight in model.parameters())
    print(f"{args.output}: {parameters:,} parameters, last loss {loss:.2f}")


def make_tokenizer(pairs: Sequence[dict]) -> PreTrainedTokenizerFast:
    """pairs (Sequence[dict]): Prompts and answers.
    RETURNS (PreTrainedTokenizerFast): A byte-level BPE tokenizer with a chat template.
    """
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(
        (pair[name] for pair in pairs for name in ("prompt", "answer")), trainer
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<end>"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """tokenizer (PreTrainedTokenizerFast): The tokenizer.
    RETURNS (LlamaForCausalLM): A model with random weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=True,  # or a server ignores the temperature
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def encode(tokenizer: PreTrainedTokenizerFast, pair: dict) -> tuple[list, list]:
    """tokenizer (PreTrainedTokenizerFast): The tokenizer.
    pair (dict): A prompt and its answer.
    RETURNS (Tuple[list, list]): Token ids, and labels: only the answer is learned."""
    prompt = tokenizer.encode(f"<user>{pair['prompt']}<end><assistant>")
    answer = tokenizer.encode(f"{pair['answer']}<end>")
    return prompt + answer, [IGNORED] * len(prompt) + answer


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[dict],
    *,
    epochs: int,
    seed: int,
    batch_size: int = 32,
) -> float:
    """model (LlamaForCausalLM): The model to train.
    tokenizer (PreTrainedTokenizerFast): Its tokenizer.
    pairs (Sequence[dict]): Prompts and answers.
    epochs (int), seed (int), batch_size (int): How to train.
    RETURNS (float): The loss of the last batch."""
    rng, encoded = random.Random(seed), [encode(tokenizer, pair) for pair in pairs]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    steps = epochs * -(-len(pairs) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    loss = torch.tensor(0.0)
    for _ in range(epochs):
        rng.shuffle(encoded)
        for start in range(0, len(encoded), batch_size):
            batch = encoded[start : start + batch_size]
            ids = pad([ids for ids, _ in batch], tokenizer.pad_token_id)
            labels = pad([labels for _, labels in batch], IGNORED)
            mask = (ids != tokenizer.pad_token_id).long()
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return loss.item()


def pad(rows: Sequence[list], value: int) -> torch.Tensor:
    """rows (Sequence[list]): Lists of different lengths.
    value (int): What to fill them up with.
    RETURNS (Tensor): (n_rows, length of the longest)."""
    length = max(map(len, rows))
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


if __name__ == "__main__":
    main()
