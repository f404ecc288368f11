"""`download`: a folder that loads without a network, and a record of what it holds."""

import json
import os
from hashlib import sha256

import numpy as np
import pytest
import spacy
from spacy.cli._util import app
from support.checkpoints import QWEN2, shard, write_checkpoint
from support.hub import Hub
from typer.testing import CliRunner

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.errors import CheckpointError

TEXTS = ["How to kill a python process?", "a", "été"]


@pytest.fixture
def folders(tmp_path):
    """A model without a tokenizer, as DuoGuard is published, and the tokenizer."""
    model = write_checkpoint(tmp_path / "model", QWEN2)
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    (model / "tokenizer.json").rename(tokenizer / "tokenizer.json")
    (model / "LICENSE").write_text("terms")
    (model / "pytorch_model.bin").write_bytes(b"not wanted")
    return model, tokenizer


def run(*arguments):
    spacy.registry.cli.get_all()
    result = CliRunner().invoke(app, ["duoguard", "download", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


@pytest.mark.parametrize("shards", [1, 2])
def test_it_loads_with_the_hub_gone(folders, tmp_path, shards):
    model, tokenizer = folders
    if shards > 1:
        shard(model, shards)
    target = tmp_path / "new" / "guard"
    with Hub() as hub, hub.client(tmp_path / "home"):
        commit = hub.add("DuoGuard/DuoGuard-0.5B", model)
        tokenizer_commit = hub.add("Qwen/Qwen2.5-0.5B", tokenizer)
        code, output = run("DuoGuard/DuoGuard-0.5B", target)
        assert code == 0, output
        asked = {path.rsplit("/", 1)[1] for _, path in hub.requests}
        assert "pytorch_model.bin" not in asked
        hub.stop()
        loaded = Classifier.from_pretrained(str(target), precision="float32")
        scores = loaded.score(TEXTS)
    record = json.loads((target / "download.json").read_text())
    assert record["model"] == "DuoGuard/DuoGuard-0.5B"
    assert (record["commit"], record["tokenizer_commit"]) == (commit, tokenizer_commit)
    assert record["tokenizer"] == "Qwen/Qwen2.5-0.5B"
    expected = {path.name for path in model.iterdir()} - {"pytorch_model.bin"}
    assert set(record["files"]) == expected | {"tokenizer.json"}
    for name, file in record["files"].items():
        content = (target / name).read_bytes()
        assert file == {"size": len(content), "sha256": sha256(content).hexdigest()}
        assert file["sha256"] in output
        source = tokenizer if name == "tokenizer.json" else model
        assert content == (source / name).read_bytes()
    assert {path.name for path in target.iterdir()} == {
        *record["files"],
        "download.json",
        "duoguard.json",
        "manifest.json",
    }
    assert loaded.provenance["commit"] == commit
    assert loaded.provenance["tokenizer_commit"] == tokenizer_commit
    (model / "tokenizer.json").write_bytes((tokenizer / "tokenizer.json").read_bytes())
    direct = Classifier.from_pretrained(str(model), precision="float32")
    assert np.array_equal(scores, direct.score(TEXTS))
    weights = next(target.glob("model*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError, match="E102"):
        Classifier.from_pretrained(str(target), precision="float32")


def test_a_revision_and_a_tokenizer_of_ones_own(folders, tmp_path):
    model, tokenizer = folders
    target = tmp_path / "guard"
    with Hub() as hub, hub.client(tmp_path / "home"):
        old = hub.add("me/guard", model, branch="v1")
        (model / "config.json").write_text("{}")
        hub.add("me/guard", model)
        hub.add("me/words", tokenizer)
        arguments = ("me/guard", target, "--tokenizer", "me/words")
        code, output = run(*arguments)  # of the main branch, which is damaged
        assert code == 1
        assert "E01" in output
        assert not target.exists()
        code, output = run(*arguments, "--revision", "v1")
        assert code == 0, output
        assert old in output
    assert not list(tmp_path.glob(".guard*"))


def test_what_cannot_be_had_leaves_nothing(folders, tmp_path):
    model, _ = folders
    target = tmp_path / "guard"
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("precious")
    with Hub() as hub, hub.client(tmp_path / "home"):
        hub.add("me/guard", model)  # without a tokenizer
        hub.add("me/gated", model)
        hub.gate("me/gated")
        for code, arguments in {
            "E017": ("me/guard", target),
            "E020": ("no name", target),
            "E030": ("me/gated", target),
            "E031": ("me/missing", target),
            "E032": ("me/guard", target, "--revision", "v9"),
            "E147": ("demo", target),
            "E148": ("me/guard", tmp_path / "taken"),
        }.items():
            exit_code, output = run(*arguments)
            assert exit_code == 1
            assert code in output
            assert "Traceback" not in output
            assert not target.exists()
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["file"]


@pytest.fixture
def published(folders, tmp_path):
    """A hub with DuoGuard and its tokenizer."""
    model, tokenizer = folders
    with Hub() as hub, hub.client(tmp_path / "home"):
        hub.add("DuoGuard/DuoGuard-0.5B", model)
        hub.add("Qwen/Qwen2.5-0.5B", tokenizer)
        yield hub


@pytest.mark.parametrize("name", [".", "../empty", "/absolute", "link"])
def test_an_empty_folder_is_filled(published, tmp_path, monkeypatch, name):
    """Also the current one, which stays the same folder for the shell."""
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "link").symlink_to(empty)
    inode = empty.stat().st_ino
    monkeypatch.chdir(tmp_path if name == "link" else empty)
    code, output = run("DuoGuard/DuoGuard-0.5B", empty if name == "/absolute" else name)
    assert code == 0, output
    assert empty.stat().st_ino == inode
    assert {"config.json", "manifest.json", "download.json"} < {
        path.name for path in empty.iterdir()
    }
    assert (tmp_path / "link").is_symlink()
    assert not list(empty.glob(".*"))
    assert not list(tmp_path.glob(".*"))
    Classifier.from_pretrained(str(empty), precision="float32")


def test_an_empty_folder_stays_empty_if_the_model_cannot_be_used(folders, tmp_path):
    model, tokenizer = folders
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-4:] = b"\xff\xff\xff\xff"  # not a number
    (model / "model.safetensors").write_bytes(data)
    (tmp_path / "empty").mkdir()
    with Hub() as hub, hub.client(tmp_path / "home"):
        hub.add("DuoGuard/DuoGuard-0.5B", model)
        hub.add("Qwen/Qwen2.5-0.5B", tokenizer)
        code, output = run("DuoGuard/DuoGuard-0.5B", tmp_path / "empty")
    assert code == 1
    assert "E016" in output
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_download_that_was_killed_can_be_repeated(published, tmp_path):
    (tmp_path / "empty" / ".duoguard-writing").mkdir(parents=True)
    code, output = run("DuoGuard/DuoGuard-0.5B", tmp_path / "empty")
    assert code == 0, output


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (".", "E148"),  # it holds a file
        ("/", "E148"),
        ("file", "E148"),
        ("pipe", "E148"),
        ("file/guard", "E139"),
        ("circle", "E148"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_before_the_download(
    published, tmp_path, monkeypatch, name, expected
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "file").touch()
    os.mkfifo(here / "pipe")
    (here / "circle").symlink_to("circle")
    code, output = run("DuoGuard/DuoGuard-0.5B", name)
    assert code == 1
    assert expected in output
    assert published.requests == []


def test_a_failed_download_does_not_advise_to_set_a_name(published, tmp_path):
    published.gate("DuoGuard/DuoGuard-0.5B")
    code, output = run("DuoGuard/DuoGuard-0.5B", tmp_path / "guard")
    assert code == 1
    assert "E030" in output
    assert "set name" not in output
    assert "try again" in output
    published.stop()
    code, output = run("me/guard", tmp_path / "guard")
    assert code == 1
    assert "E033" in output
    assert "HF_HUB_OFFLINE" in output
    assert "set name" not in output
    assert "try again" in output


def test_a_file_of_the_cache_that_is_a_pipe_is_not_waited_for(published, tmp_path):
    code, output = run("DuoGuard/DuoGuard-0.5B", tmp_path / "guard")
    assert code == 0, output
    for path in (tmp_path / "home").rglob("LICENSE"):
        path.unlink()
        os.mkfifo(path)
    published.stop()
    code, output = run("DuoGuard/DuoGuard-0.5B", tmp_path / "other")
    assert code == 1
    assert "E108" in output
