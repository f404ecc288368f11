"""Checkpoints that are damaged, hostile, or of another version of transformers."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.checkpoints import QWEN2, TEXTS

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.errors import CheckpointError

WEIGHTS = "model.safetensors"


def load(folder):
    return Classifier.from_pretrained(str(folder), precision="float32", device="cpu")


def rewrite(folder, **changes):
    """Replace tensors of a checkpoint; `...` removes one."""
    tensors = {**load_file(folder / WEIGHTS), **changes}
    kept = {name: value for name, value in tensors.items() if value is not ...}
    save_file(kept, folder / WEIGHTS)
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e38, -1e38])
def test_weights_of_no_working_model_are_refused(checkpoint, dtype, value):
    """In each dtype, even if it is the last value of a tensor."""
    folder = checkpoint()
    for name in ("model.embed_tokens.weight", "model.layers.2.mlp.up_proj.weight"):
        weight = load_file(folder / WEIGHTS)[name].clone()
        damaged = weight.clone()
        damaged[-1, -1] = value  # 1e38 becomes infinite in float16
        rewrite(folder, **{name: damaged.to(dtype)})
        with pytest.raises(CheckpointError, match=f"E016.*'{name}'"):
            load(folder)
        rewrite(folder, **{name: weight})
    load(folder)


def test_configs_of_transformers_4_and_5_give_the_same_scores(checkpoint):
    expected = load(checkpoint()).score(TEXTS)
    rope = {"rope_theta": QWEN2["rope_theta"], "rope_type": "default"}
    folder = checkpoint(rope_theta=..., rope_parameters=rope)
    assert "rope_theta" not in json.loads((folder / "config.json").read_text())
    assert np.array_equal(load(folder).score(TEXTS), expected)


def test_code_named_by_a_config_is_never_loaded(checkpoint, monkeypatch):
    calls = []

    class Kernels:
        def __getattr__(self, name):
            calls.append(name)
            raise AssertionError(name)

    monkeypatch.setitem(sys.modules, "kernels", Kernels())
    expected = load(checkpoint()).score(TEXTS)
    folder = checkpoint(
        _attn_implementation="owner/kernel",
        _attn_implementation_internal="owner/kernel:run",
        attn_implementation="owner/kernel",
        auto_map={"AutoModelForSequenceClassification": "modeling.Model"},
        trust_remote_code=True,
    )
    (folder / "modeling.py").write_text("raise SystemExit")
    assert np.array_equal(load(folder).score(TEXTS), expected)
    assert not calls
    assert "modeling" not in sys.modules


def test_a_template_name_writes_nothing_outside(checkpoint, tmp_path):
    folder = checkpoint()
    template = [{"name": "../../../x", "template": "{{ 1 }}"}]
    settings = {"chat_template": template, "tokenizer_class": "Qwen2Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "chat_templates").mkdir()
    (folder / "chat_templates" / "x.jinja").write_text("{{ 1 }}")
    target = tmp_path / "deep" / "er" / "saved"
    load(folder).to_disk(target)
    written = {path.name for path in target.rglob("*")}
    assert written == {
        "config.json",
        "duoguard.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "deep"}
    assert {path.name for path in (tmp_path / "deep").rglob("*")} == written | {
        "er",
        "saved",
    }


def test_a_lone_bin_is_refused(checkpoint):
    folder = checkpoint()
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"E017.*safetensors only: convert"):
        load(folder)


@pytest.mark.parametrize(
    "head", [..., torch.zeros(7, 32), torch.zeros(13, 32)], ids=["none", "7", "13"]
)
def test_a_missing_or_different_head_is_refused(checkpoint, head):
    folder = rewrite(checkpoint(), **{"score.weight": head})
    with pytest.raises(CheckpointError, match=r"E015.*score\.weight"):
        load(folder)
