"""Tiny checkpoints, built in code: nothing is stored or downloaded."""

import json
from copy import copy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    normalizers,
    pre_tokenizers,
    processors,
)
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from spacy_duoguard.engine.checkpoint.manifest import MANIFEST, add_manifest
from spacy_duoguard.engine.checkpoint.tensor_names import checkpoint_tensors
from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.engine.text.tokenizer import TextTokenizer
from spacy_duoguard.taxonomy import CATEGORIES

# The 22 added tokens of Qwen2.5; the last eight are not "special".
ADDED_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
]

# The pattern that Qwen2.5 splits text with before merging.
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+"
    r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    "How to kill a python process? Send it a signal and wait for it.",
    "Le renard brun saute par-dessus le chien paresseux en été, là-bas.",
    "El zorro marrón salta sobre el perro perezoso, ¿no es así?",
]

TEXTS = [
    "How to kill a python process?",
    "a",
    " ",
    "The dog sleeps.",
    "The quick brown fox jumps over the lazy dog, " * 4,
    "été là-bas \u0301 e\u0301",
    "日本語 العربية 🙂",
    "x" * 50,
    "line\n\nbreaks\t and  spaces ",
]

QWEN2: dict[str, Any] = {
    "architectures": ["Qwen2ForSequenceClassification"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "id2label": {str(i): name for i, name in enumerate(CATEGORIES)},
    "label2id": {name: i for i, name in enumerate(CATEGORIES)},
    "torch_dtype": "float32",
}

LLAMA: dict[str, Any] = {
    **{key: value for key, value in QWEN2.items() if key != "use_sliding_window"},
    "architectures": ["LlamaForSequenceClassification"],
    "model_type": "llama",
    "head_dim": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        # Short enough that the scaling affects the texts of the tests.
        "original_max_position_embeddings": 64,
    },
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
}


def make_tokenizer(*, added: list[str] | None = None, bos: bool = False) -> Tokenizer:
    """Make a byte-level BPE tokenizer like that of Qwen2.5. With `bos`, its
    post-processor puts a token before every text, like that of Llama 3."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = BpeTrainer(
        vocab_size=320,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokens = ADDED_TOKENS if added is None else added
    tokenizer.add_tokens(
        [
            AddedToken(token, special=i < 14, normalized=False)
            for i, token in enumerate(tokens)
        ]
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if bos:
        token = tokens[0]
        template = processors.TemplateProcessing(
            single=f"{token} $A", special_tokens=[(token, tokenizer.token_to_id(token))]
        )
        tokenizer.post_processor = processors.Sequence(
            [processors.ByteLevel(trim_offsets=False), template]
        )
    return tokenizer


def without_tiktoken(tokenizer: TextTokenizer) -> TextTokenizer:
    """The same tokenizer, but that all texts are left to `tokenizers`."""
    other = copy(tokenizer)
    other._pairs = None
    return other


def random_tensors(config: DecoderConfig, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights large enough for attention and positions to affect the scores."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, target in checkpoint_tensors(config).items():
        values = torch.randn(target.shape, generator=generator)
        norm = "norm" in name
        tensors[name] = 1.0 + 0.1 * values if norm else 0.3 * values
    return tensors


def write_checkpoint(
    folder: Path,
    base: dict[str, Any],
    *,
    tokenizer: Tokenizer | None = None,
    seed: int = 0,
    **changes: Any,
) -> Path:
    """Write a checkpoint with the files of `transformers`. A change to `...` removes a
    key of the config."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer or make_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    data = {**base, "vocab_size": tokenizer.get_vocab_size() + 10, **changes}
    data = {key: value for key, value in data.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(data), encoding="utf8")
    tensors = random_tensors(DecoderConfig.from_dict(data), seed=seed)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def shard(folder: Path, n: int) -> dict[str, Any]:
    """Split the weights of a checkpoint into files with an index, as transformers does.
    RETURNS the index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {}
    for i in range(n):
        name = f"model-{i + 1:05}-of-{n:05}.safetensors"
        tensors_of_file = {key: tensors[key] for key in list(tensors)[i::n]}
        save_file(tensors_of_file, folder / name, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(tensors_of_file, name))
    return write_index(folder, {"metadata": {}, "weight_map": weight_map})


def write_index(folder: Path, index: dict[str, Any]) -> dict[str, Any]:
    """Write the index of a sharded checkpoint, and return it."""
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index), encoding="utf8")
    return index


def reseal(folder: Path) -> None:
    """Make the manifests of a saved component match its files again, as anyone who
    changes them on purpose could."""
    for sealed in (folder / "model", folder):
        if sealed.is_dir():
            entries = json.loads((sealed / MANIFEST).read_text(encoding="utf8"))
            del entries["files"], entries["sha256"]
            add_manifest(sealed, **entries)
