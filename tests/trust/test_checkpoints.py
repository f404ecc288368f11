"""The trust table, as far as files go: rows 15 and 22 to 27."""

import contextlib
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from safetensors.torch import load_file, save_file
from spacy.tokens import Doc, DocBin
from support.checkpoints import QWEN2, TEXTS, random_tensors, write_checkpoint

from spacy_duoguard.engine.checkpoint.weights import stored_tensors
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.errors import CheckpointError, DuoGuardError

WEIGHTS = "model.safetensors"


def load(folder):
    return Classifier.from_pretrained(str(folder), precision="float32", device="cpu")


def scores(nlp):
    return [doc.cats for doc in nlp.pipe(TEXTS)]


def rewrite(folder, **changes):
    """Replace tensors of a checkpoint; `...` takes one out."""
    tensors = {**load_file(folder / WEIGHTS), **changes}
    kept = {name: value for name, value in tensors.items() if value is not ...}
    save_file(kept, folder / WEIGHTS)
    return folder


# 15: a NaN weight; a 1e38 weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e38, -1e38])
def test_row_15_weights_of_no_working_model_are_refused(checkpoint, dtype, value):
    """In any dtype, also the last of a tensor, and from bytes as well as from files."""
    folder = checkpoint()
    for name in ("model.embed_tokens.weight", "model.layers.2.mlp.up_proj.weight"):
        tensor = load_file(folder / WEIGHTS)[name].clone()
        tensor[-1, -1] = value  # an infinity in float16
        rewrite(folder, **{name: tensor.to(dtype)})
        with pytest.raises(CheckpointError, match=f"E016.*'{name}'"):
            load(folder)
        rewrite(folder, **{name: random(name)})
    load(folder)


def random(name):
    from support.checkpoints import make_tokenizer

    from spacy_duoguard.engine.network.config import DecoderConfig

    size = make_tokenizer().get_vocab_size() + 10
    return random_tensors(DecoderConfig.from_dict({**QWEN2, "vocab_size": size}))[name]


# 22: bytes, disk, pickle, DocBin


def test_row_22_every_way_of_saving_gives_equal_tensors_and_scores(make_nlp, tmp_path):
    nlp = make_nlp(sents=True)
    expected = scores(nlp)
    nlp.to_disk(tmp_path)
    others = [
        spacy.load(tmp_path),
        make_nlp(sents=True).from_bytes(nlp.to_bytes()),
        pickle.loads(pickle.dumps(nlp)),
    ]
    own = stored_tensors(nlp.get_pipe("duoguard").classifier.decoder)
    for other in others:
        theirs = stored_tensors(other.get_pipe("duoguard").classifier.decoder)
        assert all(torch.equal(own[name], theirs[name]) for name in own)
        assert scores(other) == expected
    docs = list(nlp.pipe(TEXTS))
    data = DocBin(docs=docs, store_user_data=True).to_bytes()
    for doc, again in zip(
        docs, DocBin().from_bytes(data).get_docs(nlp.vocab), strict=True
    ):
        assert again._.duoguard_flags == doc._.duoguard_flags
        assert again._.duoguard_windows == doc._.duoguard_windows
        assert again._.duoguard_status == doc._.duoguard_status
        whole = Doc(nlp.vocab).from_bytes(doc.to_bytes())
        assert whole.cats == doc.cats
        assert [s._.duoguard_cats for s in whole.sents] == [
            s._.duoguard_cats for s in doc.sents
        ]


# 23: a config in the 4.x form and in the 5.x form


def test_row_23_both_forms_of_a_config_give_the_same_scores(checkpoint):
    old = load(checkpoint()).score(TEXTS)
    rope = {"rope_theta": QWEN2["rope_theta"], "rope_type": "default"}
    folder = checkpoint(rope_theta=..., rope_parameters=rope)
    assert "rope_theta" not in json.loads((folder / "config.json").read_text())
    assert np.array_equal(load(folder).score(TEXTS), old)


# 24: files truncated or with one byte flipped; a save that is killed


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved component, its vocabulary too, and its scores."""
    folder = tmp_path_factory.mktemp("saved")
    name = str(write_checkpoint(folder / "checkpoint", QWEN2))
    nlp = spacy.blank("en")
    model = {"name": name, "precision": "float32", "device": "cpu"}
    component = nlp.add_pipe("duoguard", config={"model": model})
    component.to_disk(folder / "duoguard")
    return folder / "duoguard", component


DAMAGED = r"E018|E102"
FILES = [
    "cfg",
    "manifest.json",
    "model/config.json",
    "model/duoguard.json",
    "model/manifest.json",
    "model/model.safetensors",
    "model/tokenizer.json",
    "vocab",
]


def test_row_24_these_are_all_files(saved):
    folder, _ = saved
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(folder).as_posix() for path in found) == FILES


def damaged(saved, tmp_path, name, change):
    """A copy of the saved component with one file changed."""
    copy = tmp_path / "copy"
    shutil.copytree(saved[0], copy)
    data = bytearray((copy / name).read_bytes())
    change(data)
    (copy / name).write_bytes(data)
    return copy


def flip(at):
    def change(data):
        data[int(at * (len(data) - 1))] ^= 1

    return change


@pytest.mark.parametrize("at", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("name", FILES)
def test_row_24_a_flipped_bit_is_found(saved, tmp_path, name, at):
    copy = damaged(saved, tmp_path, name, flip(at))
    expected = saved[1].classifier.score(TEXTS)
    with pytest.raises(CheckpointError, match=DAMAGED):
        saved[1].from_disk(copy)
    assert np.array_equal(saved[1].classifier.score(TEXTS), expected)


def test_row_24_every_byte_of_a_manifest_counts(saved, tmp_path):
    for name in ("manifest.json", "model/manifest.json"):
        size = (saved[0] / name).stat().st_size
        for i in range(0, size, 7):
            copy = damaged(saved, tmp_path, name, flip(i / (size - 1)))
            with pytest.raises(CheckpointError, match=DAMAGED):
                saved[1].from_disk(copy)
            shutil.rmtree(copy)


@pytest.mark.parametrize("left", [0, 1, 0.5, -1])
@pytest.mark.parametrize("name", FILES)
def test_row_24_a_truncated_file_is_found(saved, tmp_path, name, left):
    def cut(data):
        del data[int(len(data) * left) if isinstance(left, float) else left :]

    with pytest.raises(CheckpointError, match=DAMAGED):
        saved[1].from_disk(damaged(saved, tmp_path, name, cut))


@pytest.mark.parametrize("name", FILES)
def test_row_24_a_missing_file_is_found(saved, tmp_path, name):
    copy = damaged(saved, tmp_path, name, lambda data: None)
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=DAMAGED):
        saved[1].from_disk(copy)


@pytest.mark.parametrize("at", [0.0, 0.01, 0.3, 0.5, 0.9, 1.0])
def test_row_24_bytes_with_a_flipped_bit_are_refused(saved, at):
    component = saved[1]
    data = bytearray(component.to_bytes())
    expected = component.classifier.score(TEXTS)
    flip(at)(data)
    with pytest.raises(DuoGuardError):
        component.from_bytes(bytes(data))
    assert np.array_equal(component.classifier.score(TEXTS), expected)


KILLED = """
import os, signal, sys
from pathlib import Path
import spacy

folder, survived = Path(sys.argv[1]), int(sys.argv[2])
nlp = spacy.load(folder)
component = nlp.get_pipe("duoguard")
component.add_label("Spam")
component.cfg["thresholds"] = {"Spam": 0.25}
calls = 0

def count(function):
    def counted(*args, **kwargs):
        global calls
        if calls == survived:
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return function(*args, **kwargs)
    return counted

for name in ("rename", "replace", "fsync", "mkdir"):
    setattr(os, name, count(getattr(os, name)))
Path.write_bytes = count(Path.write_bytes)
component.to_disk(folder / "duoguard", exclude=["vocab"])
print(calls)
"""


@pytest.fixture
def versions(make_nlp, tmp_path):
    """A saved pipeline; its scores and settings, and those of a save to come."""
    nlp = make_nlp()
    nlp.to_disk(tmp_path / "nlp")
    return tmp_path / "nlp"


def state(component, folder):
    """Labels and thresholds of a saved component, which the two versions differ in."""
    component.from_disk(folder, exclude=["vocab"])
    return len(component.labels), component.cfg["thresholds"]


OLD, NEW = (12, {}), (13, {"Spam": 0.25})


class Killed(BaseException):
    pass


def test_row_24_a_save_killed_at_any_point_leaves_one_version(
    versions, tmp_path, monkeypatch
):
    """Each step that writes to the disk is the last one once; what it leaves loads, and
    the next save puts it in order."""
    component = spacy.load(versions).get_pipe("duoguard")
    component.add_label("Spam")
    component.cfg["thresholds"] = {"Spam": 0.25}
    reader = spacy.load(versions).get_pipe("duoguard")
    found = []
    for survived in range(200):
        folder = tmp_path / f"copy{survived}"
        shutil.copytree(versions / "duoguard", folder)
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            done = killed_after(patch, survived)
            component.to_disk(folder, exclude=["vocab"])
            break
        found.append(state(reader, folder))
        component.to_disk(folder, exclude=["vocab"])
        assert state(reader, folder) == NEW
        names = {path.name for path in folder.iterdir()}
        assert names == {"cfg", "manifest.json", "model"}
    assert len(done) == len(found) == survived
    switch = found.index(NEW)
    assert found == [OLD] * switch + [NEW] * (len(found) - switch)
    assert switch > 20
    assert len(found) - switch > 10


def killed_after(patch, survived):
    """Let so many steps happen, and then nothing at all: neither cleaning up."""
    done = []

    def step(function):
        def counted(*args, **kwargs):
            if len(done) >= survived:
                raise Killed
            done.append(function.__name__)
            return function(*args, **kwargs)

        return counted

    for name in ("rename", "replace", "fsync", "mkdir", "unlink", "rmdir"):
        patch.setattr(os, name, step(getattr(os, name)))
    patch.setattr(Path, "write_bytes", step(Path.write_bytes))
    return done


@pytest.mark.slow  # a process for each: a minute
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_row_24_a_process_that_is_killed_while_it_saves(versions, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(KILLED), encoding="utf8")
    reader = spacy.load(versions).get_pipe("duoguard")
    found = []
    for survived in range(0, 200, 4):
        folder = tmp_path / f"copy{survived}"
        shutil.copytree(versions, folder)
        command = [sys.executable, str(script), str(folder), str(survived)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        found.append(state(reader, folder / "duoguard"))
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL, run.stderr
    switch = found.index(NEW)
    assert found == [OLD] * switch + [NEW] * (len(found) - switch)
    assert 0 < switch < len(found) - 1


# 25: keys that make others run code


def test_row_25_code_of_a_config_is_never_looked_for(checkpoint, monkeypatch):
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


# 26: files that lead elsewhere, and heads that are none


def test_row_26_a_template_name_writes_nothing_outside(checkpoint, tmp_path):
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


def test_row_26_a_lone_bin_is_refused(checkpoint):
    folder = checkpoint()
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"E017.*safetensors only: convert"):
        load(folder)


@pytest.mark.parametrize(
    "head", [..., torch.zeros(7, 32), torch.zeros(13, 32)], ids=["none", "7", "13"]
)
def test_row_26_another_head_is_refused(checkpoint, head):
    folder = rewrite(checkpoint(), **{"score.weight": head})
    with pytest.raises(CheckpointError, match=r"E015.*score\.weight"):
        load(folder)


# 27: no sockets


def test_row_27_a_saved_pipeline_loads_without_sockets(make_nlp, tmp_path, monkeypatch):
    nlp = make_nlp()
    nlp.to_disk(tmp_path)
    expected = scores(nlp)

    def blocked(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", blocked)
    monkeypatch.setattr(socket, "create_connection", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    assert scores(spacy.load(tmp_path)) == expected
