"""Fixtures of the training project."""

import importlib
import json
import random
import sys

import pytest
import torch
from support.paths import ROOT

PROJECT = ROOT / "examples" / "train"
SCRIPTS = ("demo", "sample", "decisions", "compare", "corrections")


@pytest.fixture
def load(monkeypatch):
    """Imports a module of the project, as its commands do."""
    monkeypatch.syspath_prepend(PROJECT)
    monkeypatch.syspath_prepend(PROJECT / "scripts")
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name.split(".")[0] in SCRIPTS:
            del sys.modules[name]


@pytest.fixture(scope="session")
def evaluation_files(tmp_path_factory):
    """Made-up rows in the form of the evaluation files: harmless words in the place of
    unsafe ones."""
    folder, rng = tmp_path_factory.mktemp("data"), random.Random(0)
    filler = [
        "the",
        "dog",
        "walks",
        "home",
        "and",
        "reads",
        "a",
        "long",
        "book",
        "by",
        "the",
        "sea",
        "today",
    ]

    def text(*words):
        drawn = rng.choices(filler, k=rng.randint(12, 25))
        for word in words:
            drawn.insert(rng.randrange(len(drawn)), word)
        return " ".join(drawn)

    for language in ("En", "Fr", "Es"):
        openai, rtp, toxic = [], [], []
        for i in range(60):
            kind = i % 3  # 0: safe, 1: Hate, 2: Sexual content
            words = ([], ["grrr"], ["ooh"])[kind]
            moderation = {f"C{n + 1}(x)": False for n in range(12)}
            if kind:
                moderation[f"C{9 if kind == 1 else 11}(x)"] = True
            openai.append(
                {
                    "prompt": text(*words),
                    "moderation_flag": int(kind > 0),
                    "parsed_result": {"MODERATION_RESULT": moderation},
                }
            )
            rtp.append({"prompt": text(*words), "class": int(kind > 0)})
            toxic.append({"prompt": text(*words), "moderation_flag": int(kind > 0)})
        (folder / language).mkdir()
        for name, rows in (
            ("openai", openai),
            ("rtp_lx_prompt", rtp),
            ("toxic_chat", toxic),
        ):
            path = folder / language / f"{name}.json"
            path.write_text(json.dumps(rows), encoding="utf8")
    return folder


@pytest.fixture
def small(load, evaluation_files, tmp_path):
    """A checkpoint with random weights, which flags some texts."""
    data, start = load("demo.data"), load("demo.start")
    rows = data.read_rows(evaluation_files, "openai")
    tokenizer = data.train_tokenizer((row.text for row in rows), n_tokens=300)
    torch.manual_seed(0)
    sizes = {"width": 16, "inner": 16, "layers": 1, "heads": 2, "kv_heads": 1}
    decoder = start.make_decoder(tokenizer.get_vocab_size(), **sizes)
    for parameter in decoder.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    folder = tmp_path / "small"
    write = load("demo.checkpoint").write_checkpoint
    write(decoder, tokenizer.to_str(), folder, dtype=torch.float32)
    return folder


@pytest.fixture
def watched(load, monkeypatch):
    """The items of each step of a training."""
    items = []
    training = load("demo.learn_noise").NoiseTraining
    draw = training._draw

    def watch(self):
        items.append(drawn := draw(self))
        return drawn

    monkeypatch.setattr(training, "_draw", watch)
    return items
