"""Parity on the full architecture: 494,043,520 parameters, random weights.

pytest -m slow -s tests/engine/test_full_size.py     (about 15 minutes, 8 GB of memory)

It needs the tokenizer of Qwen2.5 and evaluation texts, which the package does not
hold: it looks for them in a folder `shared` beside the clone.
"""

import json
import random
import runpy
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.checkpoints import random_tensors
from support.paths import BENCHMARKS, SHARED

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.engine.network.native.build import load_library
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.evaluation.reference import reference_scores

TOKENIZER = SHARED / "tokenizer" / "qwen2.5" / "tokenizer.json"
DATA = SHARED / "data" / "duoguard-eval"
FILES = ("openai", "toxic_chat", "XSafety", "rtp_lx_prompt")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (TOKENIZER.is_file() and DATA.is_dir()),
        reason="the Qwen2.5 tokenizer and the evaluation files are not at hand",
    ),
]

# Full architecture, as the benchmarks make it.
CONFIG = runpy.run_path(str(BENCHMARKS / "checkpoint.py"))["FULL"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stored in bfloat16, as a release is: then both precisions start from the same
    numbers."""
    folder = tmp_path_factory.mktemp("full")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf8")
    (folder / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    tensors = random_tensors(DecoderConfig.from_dict(CONFIG))
    # Matrices of deviation 0.02, as transformers initializes them, and a head that
    # gives logits of deviation 3: the range in which a trained head decides.
    scales = {name: 1 if "norm" in name else 1 / 15 for name in tensors}
    scales["score.weight"] = 1 / 3
    small = {
        name: (tensor * scales[name]).to(torch.bfloat16)
        for name, tensor in tensors.items()
    }
    save_file(small, folder / "model.safetensors")
    return folder


def real_texts(classifier, count):
    """Texts of one window, drawn from four files in three languages."""
    texts = []
    for language in ("En", "Fr", "Es"):
        for name in FILES:
            path = DATA / language / f"{name}.json"
            texts += [row["prompt"] for row in json.loads(path.read_text("utf8"))]
    random.Random(0).shuffle(texts)
    lengths = ((text, len(classifier.tokenizer.encode(text).ids)) for text in texts)
    fitting = (text for text, length in lengths if 1 <= length <= 512)
    return [next(fitting) for _ in range(count)]


def load(folder, precision, kernels="torch"):
    return Classifier.from_pretrained(
        str(folder), precision=precision, device="cpu", kernels=kernels
    )


def test_parity_with_the_reference(folder):
    exact = load(folder, "float32")
    parameters = sum(p.numel() for p in exact.decoder.parameters())
    assert parameters == 494_043_520
    texts = real_texts(exact, 500)
    expected = reference_scores(exact, texts)
    assert expected.std(axis=0).min() > 0.01  # the scores do tell texts apart
    float32 = abs(exact.score(texts) - expected)
    theirs = abs(reference_scores(exact, texts, dtype=torch.bfloat16) - expected)
    del exact
    ours = abs(load(folder, "bfloat16").score(texts) - expected)
    figures = {
        "texts": len(texts),
        "float32_max": float(float32.max()),
        "bfloat16_mean": float(ours.mean()),
        "bfloat16_max": float(ours.max()),
        "reference_bfloat16_mean": float(theirs.mean()),
        "reference_bfloat16_max": float(theirs.max()),
        "ratio": float(ours.mean() / theirs.mean()),
    }
    print(json.dumps(figures))
    assert float32.max() <= 1e-5
    assert ours.mean() <= 1.25 * theirs.mean()


def test_parity_of_the_native_kernels(folder):
    try:
        load_library()
    except SettingsError as e:
        pytest.skip(str(e))
    exact = load(folder, "float32")
    texts = real_texts(exact, 100)
    expected = reference_scores(exact, texts)
    theirs = abs(reference_scores(exact, texts, dtype=torch.bfloat16) - expected)
    del exact
    native = {
        precision: abs(load(folder, precision, "native").score(texts) - expected)
        for precision in ("float32", "bfloat16", "int8")
    }
    figures = {name: float(drift.mean()) for name, drift in native.items()}
    print(json.dumps({**figures, "reference_bfloat16": float(theirs.mean())}))
    assert native["float32"].max() <= 1e-5
    assert native["bfloat16"].mean() <= 1.25 * theirs.mean()
    assert native["int8"].mean() <= 0.025


def test_bfloat16_hardly_depends_on_batch_mates(folder):
    classifier = load(folder, "bfloat16")
    texts = real_texts(classifier, 60)
    alone = np.concatenate([classifier.score([text]) for text in texts])
    difference = abs(classifier.score(texts) - alone).max()
    print(json.dumps({"batch_mates_max": float(difference)}))
    assert difference <= 3e-2


def test_later_epochs_of_head_only_training(folder):
    script = BENCHMARKS / "head_only.py"
    command = [sys.executable, str(script), "--model", str(folder), "--texts", "96"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(run.stdout.splitlines()[-1])
    print(json.dumps(figures))
    assert figures["parameters"] == 494_043_520
    assert figures["ratio"] >= 50
