"""`examples/duel`: its files fit together. The whole project takes the environment of a
generator."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import srsly
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from support.paths import ROOT

from spacy_duoguard.duel.generator_training import read_dpo_text
from spacy_duoguard.duel.guard_training import read_train_config
from spacy_duoguard.duel.prompts import read_prompts
from spacy_duoguard.duel.seeds import read_seeds
from spacy_duoguard.duel.settings import read_settings

PROJECT = ROOT / "examples" / "duel"


@pytest.fixture(scope="module")
def sample():
    spec = importlib.util.spec_from_file_location(
        "duel_sample", PROJECT / "scripts" / "sample.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_configs_are_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training" / "generator").mkdir(parents=True)
    overrides = {"generator.python": "python3", "rounds.n": 3}
    settings = read_settings(PROJECT / "configs" / "duel.cfg", overrides)
    assert (settings.generator.python, settings.rounds.n) == ("python3", 3)
    monkeypatch.chdir(PROJECT)
    read_prompts(settings.generator.prompts)
    read_dpo_text(settings.generator.dpo)
    config = read_train_config(settings.guard.train)
    assert config["components"]["duoguard"]["model"]["trainable_layers"] is None


def test_the_sample_is_balanced_and_the_same_for_a_seed(sample, tmp_path):
    for name in ("a", "b"):
        sample.main([str(tmp_path / name), str(tmp_path / name), "--seed", "1"])
    for file in ("seeds.jsonl", "dev.jsonl", "rewrites.jsonl"):
        one, two = (tmp_path / name / file for name in ("a", "b"))
        assert one.read_bytes() == two.read_bytes()
    seeds = read_seeds(tmp_path / "a" / "seeds.jsonl")
    dev = read_seeds(tmp_path / "a" / "dev.jsonl")
    assert sum(seed.unsafe for seed in seeds) == 40 == len(seeds) / 2
    assert sum(seed.unsafe for seed in dev) == 75 == len(dev) / 2
    docs = DocBin().from_disk(tmp_path / "a" / "seeds.spacy").get_docs(Vocab())
    assert [doc.cats["unsafe"] for doc in docs] == [seed.unsafe for seed in seeds]


def test_the_generator_learns_the_prompts_that_it_is_asked(sample, tmp_path):
    sample.main([str(tmp_path), str(tmp_path)])
    prompts = read_prompts(str(PROJECT / "configs" / "prompts.yml"))
    learned = list(srsly.read_jsonl(tmp_path / "rewrites.jsonl"))
    seed = next(s for s in read_seeds(tmp_path / "seeds.jsonl") if s.unsafe)
    (message,) = prompts.for_generator(seed, "German", unsafe=True)
    start = message["content"].partition(seed.text)[0]
    assert message["role"] == "user"
    assert any(rewrite["prompt"].startswith(start) for rewrite in learned)


def test_texts_of_your_own_are_imitated(sample, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    lines = [
        {"text": f"text {i}", "cats": {"Hate": i % 2}, "unsafe": i % 2}
        for i in range(6)
    ]
    for name in ("seeds", "dev"):
        (own / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    sample.main([str(tmp_path / "a"), str(tmp_path / "a"), "--texts", str(own)])
    labels = {line["text"]: line["unsafe"] for line in lines}
    for rewrite in srsly.read_jsonl(tmp_path / "a" / "rewrites.jsonl"):
        head, text = rewrite["prompt"].split(" : ")
        assert labels[rewrite["answer"]] == labels[text] == ("unsafe" in head)


@pytest.mark.slow
def test_the_project_runs(tmp_path):
    python = os.environ.get("DUEL_GENERATOR_PYTHON")
    if python is None:
        pytest.skip("set DUEL_GENERATOR_PYTHON to a Python with transformers 5 and trl")
    import shutil

    shutil.copytree(PROJECT, tmp_path / "duel")
    command = [sys.executable, "-m", "spacy", "project", "run", "all"]
    command += [str(tmp_path / "duel"), "--vars.generator_python", python]
    subprocess.run(command, check=True)
    report = json.loads((tmp_path / "duel/training/duel/report.json").read_text())
    assert report["rounds"][0]["generator"]["trained"] is True
    first = report["rounds"][0]
    assert (
        first["measured"]["wrong after"]["all"]["wrong"]
        < (first["scored"]["wrong"]["before"]["all"]["wrong"])
    )
