"""Write a checkpoint with DuoGuard-0.5B's architecture and random weights in bfloat16.

The speed of a forward pass doesn't depend on the values of the weights.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import save_file

import spacy_duoguard
from spacy_duoguard.engine.checkpoint.tensor_names import checkpoint_tensors
from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.taxonomy import CATEGORIES

# The config.json of Qwen2.5-0.5B with DuoGuard's head: 494,043,520 parameters.
FULL = {
    "architectures": ["Qwen2ForSequenceClassification"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
    "id2label": {str(i): name for i, name in enumerate(CATEGORIES)},
}

# Small enough to try out the scripts.
TINY = {
    **FULL,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 8192,
}


def make_checkpoint(
    folder: Path,
    *,
    tokenizer: Path | None,
    tiny: bool,
    changes: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Write a checkpoint that this package and `transformers` can load.

    folder (Path): The output folder.
    tokenizer (Optional[Path]): A tokenizer.json, None for the demo checkpoint's.
    tiny (bool): Two small layers instead of the full architecture.
    changes (Mapping[str, int]): Other values for its config.json.
    """
    source = tokenizer or Path(spacy_duoguard.__file__).parent / "demo/tokenizer.json"
    config = {**(TINY if tiny else FULL), **changes}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_bytes(source.read_bytes())
    pad = json.loads(source.read_text("utf8"))["added_tokens"][0]
    # Only needed by other systems, like tokenizer_config.json.
    config["pad_token_id"] = pad["id"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": pad["content"],
        "padding_side": "right",
        "model_max_length": 512,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf8")
    draw = torch.Generator().manual_seed(0)
    tensors = {}
    for name, target in checkpoint_tensors(DecoderConfig.from_dict(config)).items():
        noise = torch.randn(target.shape, generator=draw) * 0.02
        tensors[name] = (1 + noise if "norm" in name else noise).to(torch.bfloat16)
    tensors["score.weight"] *= (
        10  # logits with a deviation of 3, as from a trained head
    )
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
