"""Training and serving the generator: over files here, with TRL in the slow tests."""

import json
import os
import subprocess
import sys

import pytest
import srsly
from support.duels import make_settings
from support.paths import ROOT

from spacy_duoguard.duel.generator_training import (
    make_dpo_config,
    read_dpo_text,
    to_yaml,
    train_generator,
)
from spacy_duoguard.duel.private_files import write_lines
from spacy_duoguard.errors import DuelError, SettingsError

PAIR = {
    "prompt": [{"role": "user", "content": "German unsafe : Ana saw the crow"}],
    "chosen": [{"role": "assistant", "content": "Ana sah crane im Markt"}],
    "rejected": [{"role": "assistant", "content": "Ana sah crow im Markt"}],
}

# Stands for the Python of the other environment: writes what TRL and the merge would.
STUB = f"""#!{sys.executable}
import json, pathlib, sys
import srsly
if sys.argv[1] == "-m":
    assert sys.argv[2:5] == ["trl.cli.main", "dpo", "--config"]
    config = srsly.read_yaml(sys.argv[5])
    if config["beta"] == 0.5:
        sys.exit("no memory")
    pathlib.Path(config["output_dir"], "adapter").write_text(json.dumps(config))
else:
    model, adapter, output = map(pathlib.Path, sys.argv[2:])
    (output / "weights").write_text((adapter / "adapter").read_text())
"""


@pytest.fixture
def settings(tmp_path):
    python = tmp_path / "python"
    python.write_text(STUB)
    python.chmod(0o700)
    return make_settings(tmp_path, generator={"python": str(python)})


def train(folder, settings):
    return train_generator("a-model", folder, settings.generator, settings.rounds)


def test_a_config_for_trl_holds_ours_and_where_things_are(tmp_path):
    config = make_dpo_config(
        read_dpo_text(None),
        model="a-model",
        pairs=tmp_path / "pairs.jsonl",
        output=tmp_path / "adapter",
        seed=3,
    )
    assert config["use_peft"] is True
    assert config["model_name_or_path"] == "a-model"
    assert config["datasets"] == [
        {
            "path": "json",
            "data_files": str(tmp_path / "pairs.jsonl"),
            "split": "train",
        }
    ]
    assert (config["output_dir"], config["seed"]) == (str(tmp_path / "adapter"), 3)


def test_the_config_reads_the_same_in_both_versions_of_yaml():
    """TRL reads YAML 1.1, where an unquoted `no` is false and 5e-06 a string."""
    yaml = pytest.importorskip("yaml", reason="it reads YAML 1.1")
    config = srsly.yaml_loads(read_dpo_text(None)) | {"a": "yes", "b": 1e-7, "c": None}
    assert config["save_strategy"] == "no"
    text = to_yaml({**config, "d": [{"path": "ü: x"}], "e": 2.5e-3, "f": True})
    assert yaml.safe_load(text) == srsly.yaml_loads(text)
    assert yaml.safe_load(text)["learning_rate"] == 5e-6
    assert yaml.safe_load(text)["save_strategy"] == "no"


def test_a_config_of_your_own_is_checked(tmp_path):
    path = tmp_path / "dpo.yml"
    for content in ("- 1", "a: ["):
        path.write_text(content)
        with pytest.raises(SettingsError, match="E302"):
            read_dpo_text(str(path))
    with pytest.raises(SettingsError, match="E302"):
        read_dpo_text(str(tmp_path / "none.yml"))


def test_the_trained_generator_is_in_a_private_folder(tmp_path, settings):
    write_lines(tmp_path / "pairs.jsonl", [PAIR, PAIR])
    (tmp_path / "generator-adapter").mkdir()
    (tmp_path / "generator-adapter" / "of a run that was killed").touch()
    assert train(tmp_path, settings) == {"trained": True, "pairs": 2}
    generator = tmp_path / "generator"
    assert generator.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in generator.iterdir()] == ["weights"]
    trained_with = json.loads((generator / "weights").read_text())
    assert trained_with == srsly.read_yaml(tmp_path / "dpo.yml")
    left = {path.name for path in tmp_path.iterdir()}
    assert not left & {"generator-adapter", "generator-merged"}


def test_without_pairs_there_is_nothing_to_train(tmp_path, settings):
    write_lines(tmp_path / "pairs.jsonl", [])
    assert train(tmp_path, settings) == {"trained": False, "pairs": 0}
    assert not (tmp_path / "generator").exists()


def test_a_training_that_fails_names_its_log(tmp_path, settings):
    write_lines(tmp_path / "pairs.jsonl", [PAIR])
    (tmp_path / "own.yml").write_text("beta: 0.5")
    generator = {"python": settings.generator.python, "dpo": str(tmp_path / "own.yml")}
    failing = make_settings(tmp_path, generator=generator)
    with pytest.raises(DuelError, match=r"E297.*trl dpo.*dpo\.log"):
        train(tmp_path, failing)
    assert "no memory" in (tmp_path / "dpo.log").read_text()
    assert not (tmp_path / "generator").exists()


@pytest.mark.slow
def test_trl_takes_our_pairs_and_config_as_they_are(tmp_path):
    """With a tiny model of the example, and `transformers serve` over the result."""
    python = os.environ.get("DUEL_GENERATOR_PYTHON")
    if python is None:
        pytest.skip("set DUEL_GENERATOR_PYTHON to a Python with transformers 5 and trl")
    pytest.importorskip("openai", reason="needs the extra duel")
    from support.duels import Watcher

    from spacy_duoguard.duel.asking import Question, ask_all
    from spacy_duoguard.duel.generator_server import serving

    model = tmp_path / "model"
    rewrite = {"prompt": PAIR["prompt"][0]["content"], "answer": "Ana sah crow"}
    write_lines(tmp_path / "rewrites.jsonl", [rewrite] * 64)
    script = ROOT / "examples/duel/scripts/make_generator.py"
    command = [python, script, tmp_path / "rewrites.jsonl", model]
    subprocess.run([*map(str, command)], check=True)
    write_lines(tmp_path / "pairs.jsonl", [PAIR] * 8)
    config = srsly.yaml_loads(read_dpo_text(None)) | {"use_cpu": True, "bf16": False}
    srsly.write_yaml(tmp_path / "own.yml", config)
    changes = {"python": python, "dpo": str(tmp_path / "own.yml"), "endpoint": None}
    changes |= {"path": str(model), "model": str(tmp_path / "generator")}
    settings = make_settings(tmp_path, generator={**changes, "max_tokens": 16})
    result = train_generator(str(model), tmp_path, settings.generator, settings.rounds)
    assert result == {"trained": True, "pairs": 8}
    with serving(settings.generator, tmp_path) as endpoint:
        answers = ask_all(
            [Question("1", PAIR["prompt"])],
            tmp_path / "journal.jsonl",
            endpoint,
            section="generator",
            seed=0,
            watcher=Watcher(),
        )
    assert [answer.kind for answer in answers] == ["text"]
