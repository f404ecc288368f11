"""A tiny model whose scores are known: it fires on a marker, wherever the marker stands
in a window, and its other scores differ from text to text.

Its reference is plain: the tokenizer's backend, windows as the documentation describes
them, and the model class of `transformers`, one window at a time.
"""

import json
from functools import cache, cached_property, lru_cache

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

from spacy_duoguard.engine.checkpoint.tensor_names import checkpoint_tensors
from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.engine.text.views.readings import readings
from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

from .checkpoints import QWEN2, write_checkpoint

MARKER = "7"  # always a token of its own
WINDOW, STRIDE = 16, 12
FIRES = CATEGORIES[8]

# Of the 32 hidden units: the one for "a marker", and one that never changes.
_SEEN, _CONSTANT = 0, 31
_TWIST = 3  # the rotary pair (3, 7), which hardly turns with the position


def marker_tensors(config, marker):
    """Every head looks for the marker. The value it finds there goes to `_SEEN`, which
    the MLP leaves alone. Random weights in the other units tell texts apart."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: 0.2 * torch.randn(rows.shape, generator=generator)
        for name, rows in checkpoint_tensors(config).items()
    }
    embeddings = tensors["model.embed_tokens.weight"]
    embeddings *= 5
    embeddings[:, _SEEN], embeddings[:, _CONSTANT] = 0.0, 2.0
    embeddings[marker, _SEEN] = 4.0
    for name, tensor in tensors.items():
        if "norm" in name:
            tensor.fill_(1.0)
        elif "q_proj" in name or "k_proj" in name or name.endswith("v_proj.bias"):
            tensor.zero_()
        elif "v_proj" in name or "gate_proj" in name or "up_proj" in name:
            tensor[:, _SEEN] = 0.0
        elif "down_proj.weight" in name or "o_proj.weight" in name:
            tensor[[_SEEN, _CONSTANT]] = 0.0
    layer = "model.layers.0.self_attn"
    tensors[f"{layer}.q_proj.bias"][_TWIST :: config.head_dim] = 9.0
    tensors[f"{layer}.k_proj.weight"][_TWIST :: config.head_dim, _SEEN] = 9.0
    tensors[f"{layer}.v_proj.weight"][0] = 0.0
    tensors[f"{layer}.v_proj.weight"][0, _SEEN] = 4.0
    tensors[f"{layer}.o_proj.weight"][:, 0] = 0.0
    tensors[f"{layer}.o_proj.weight"][_SEEN, 0] = 1.0
    head = tensors["score.weight"]
    head[:, [_SEEN, _CONSTANT]] = torch.tensor([0.0, -2.0])
    head[CATEGORIES.index(FIRES)] = 0.0
    head[CATEGORIES.index(FIRES), [_SEEN, _CONSTANT]] = torch.tensor([4.0, -2.0])
    return tensors


def write_marker_checkpoint(folder, *, tokenizer=None):
    """Write a checkpoint that fires on `MARKER`."""
    write_checkpoint(folder, QWEN2, tokenizer=tokenizer, num_hidden_layers=1)
    config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tensors = marker_tensors(
        DecoderConfig.from_dict(config), backend.token_to_id(MARKER)
    )
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


class Reference:
    """The true scores of texts."""

    def __init__(self, folder, *, prefix=(), max_windows=None, normalize=False):
        self.folder, self.prefix, self.max_windows = folder, prefix, max_windows
        self.normalize = normalize
        self.scores = lru_cache(maxsize=None)(self._scores)

    @cached_property
    def model(self):
        model = AutoModelForSequenceClassification.from_pretrained(self.folder)
        return model.float().eval()

    @cached_property
    def backend(self):
        path = self.folder / "tokenizer.json"
        data = json.loads(path.read_text(encoding="utf8"))
        return Tokenizer.from_str(json.dumps({**data, "added_tokens": []}))

    def cats(self, text, **limits):
        """The scores of a text, with the keys of `doc.cats`."""
        scores = self.scores(text, **limits).tolist()
        return {**dict(zip(CATEGORIES, scores, strict=True)), UNSAFE: max(scores)}

    def _scores(self, text, *, max_chars=None):
        views = [text]
        if self.normalize:
            views += [view.text for view in readings(text)]
        return np.max([self._score_view(view, max_chars) for view in views], axis=0)

    def _score_view(self, text, max_chars):
        kept, limit = [text], self.max_windows
        if max_chars is not None and len(text) > max_chars:
            half = max_chars // 2
            kept = [text[: max_chars - half], text[len(text) - half :]]
        windows = [window for part in kept for window in self._windows(part)]
        if limit is not None and len(windows) > limit:
            half = limit // 2
            windows = windows[: limit - half] + windows[len(windows) - half :]
        rows = [self._score_window(tuple(ids)) for ids in windows]
        return np.max(rows, axis=0) if rows else np.zeros(len(CATEGORIES), "f4")

    def _windows(self, text):
        ids = self.backend.encode(text, add_special_tokens=False).ids
        room = WINDOW - len(self.prefix)
        starts = range(0, max(len(ids) - room, 0) + STRIDE, STRIDE)
        return [[*self.prefix, *ids[start : start + room]] for start in starts if ids]

    @cache  # noqa: B019
    def _score_window(self, ids):
        with torch.inference_mode():
            logits = self.model(input_ids=torch.tensor([ids])).logits
        return logits[0].sigmoid().numpy()
