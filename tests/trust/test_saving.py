"""Saved pipelines: they load as they were saved, without a network, or not at all."""

import contextlib
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
from spacy.tokens import Doc, DocBin
from support.checkpoints import QWEN2, TEXTS, write_checkpoint

from spacy_duoguard.engine.checkpoint.weights import stored_tensors
from spacy_duoguard.errors import CheckpointError, DuoGuardError


def scores(nlp):
    return [doc.cats for doc in nlp.pipe(TEXTS)]


def test_saved_copies_have_equal_tensors_and_scores(make_nlp, tmp_path):
    nlp = make_nlp(sents=True)
    expected = scores(nlp)
    nlp.to_disk(tmp_path)
    copies = [
        spacy.load(tmp_path),
        make_nlp(sents=True).from_bytes(nlp.to_bytes()),
        pickle.loads(pickle.dumps(nlp)),
    ]
    tensors = stored_tensors(nlp.get_pipe("duoguard").classifier.decoder)
    for copy in copies:
        copied = stored_tensors(copy.get_pipe("duoguard").classifier.decoder)
        assert all(torch.equal(tensors[name], copied[name]) for name in tensors)
        assert scores(copy) == expected


def test_results_survive_doc_bin_and_bytes(make_nlp):
    nlp = make_nlp(sents=True)
    docs = list(nlp.pipe(TEXTS))
    data = DocBin(docs=docs, store_user_data=True).to_bytes()
    loaded = DocBin().from_bytes(data).get_docs(nlp.vocab)
    for doc, copy in zip(docs, loaded, strict=True):
        assert copy._.duoguard_flags == doc._.duoguard_flags
        assert copy._.duoguard_windows == doc._.duoguard_windows
        assert copy._.duoguard_status == doc._.duoguard_status
        copy = Doc(nlp.vocab).from_bytes(doc.to_bytes())
        assert copy.cats == doc.cats
        spans = [sentence._.duoguard_cats for sentence in doc.sents]
        assert [sentence._.duoguard_cats for sentence in copy.sents] == spans


@pytest.mark.parametrize("weight", [1e7, -1e7, float("nan"), float("inf")])
def test_what_could_not_be_loaded_again_replaces_no_save(make_nlp, tmp_path, weight):
    """A training that diverged can give finite scores: 0.5 for every text."""
    nlp = make_nlp()
    expected = scores(nlp)
    nlp.to_disk(tmp_path)
    with torch.no_grad():
        nlp.get_pipe("duoguard").classifier.decoder.norm.weight[0] = weight
    for save in (lambda: nlp.to_disk(tmp_path), nlp.to_bytes):
        with pytest.raises(CheckpointError, match="E105"):
            save()
    assert scores(spacy.load(tmp_path)) == expected


def test_a_saved_pipeline_loads_without_sockets(make_nlp, tmp_path, monkeypatch):
    nlp = make_nlp()
    nlp.to_disk(tmp_path)
    expected = scores(nlp)

    def blocked(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", blocked)
    monkeypatch.setattr(socket, "create_connection", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    assert scores(spacy.load(tmp_path)) == expected


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved component: its folder and itself."""
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


def test_these_are_the_files_of_a_saved_component(saved):
    folder, _ = saved
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(folder).as_posix() for path in paths) == FILES


def damaged_copy(saved, tmp_path, name, change):
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
def test_a_flipped_bit_is_detected(saved, tmp_path, name, at):
    copy = damaged_copy(saved, tmp_path, name, flip(at))
    expected = saved[1].classifier.score(TEXTS)
    with pytest.raises(CheckpointError, match=DAMAGED):
        saved[1].from_disk(copy)
    assert np.array_equal(saved[1].classifier.score(TEXTS), expected)


def test_a_flipped_bit_anywhere_in_a_manifest_is_detected(saved, tmp_path):
    for name in ("manifest.json", "model/manifest.json"):
        size = (saved[0] / name).stat().st_size
        for i in range(0, size, 17):
            copy = damaged_copy(saved, tmp_path, name, flip(i / (size - 1)))
            with pytest.raises(CheckpointError, match=DAMAGED):
                saved[1].from_disk(copy)
            shutil.rmtree(copy)


@pytest.mark.parametrize("end", [0, 1, 0.5, -1])
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_detected(saved, tmp_path, name, end):
    def truncate(data):
        del data[int(len(data) * end) if isinstance(end, float) else end :]

    with pytest.raises(CheckpointError, match=DAMAGED):
        saved[1].from_disk(damaged_copy(saved, tmp_path, name, truncate))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_detected(saved, tmp_path, name):
    copy = damaged_copy(saved, tmp_path, name, lambda data: None)
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=DAMAGED):
        saved[1].from_disk(copy)


@pytest.mark.parametrize("at", [0.0, 0.01, 0.3, 0.5, 0.9, 1.0])
def test_bytes_with_a_flipped_bit_are_refused(saved, at):
    component = saved[1]
    data = bytearray(component.to_bytes())
    expected = component.classifier.score(TEXTS)
    flip(at)(data)
    with pytest.raises(DuoGuardError):
        component.from_bytes(bytes(data))
    assert np.array_equal(component.classifier.score(TEXTS), expected)


# A process that saves a pipeline and kills itself after some steps.
KILLED = """
import os, signal, sys
from pathlib import Path
import spacy

folder, n_steps = Path(sys.argv[1]), int(sys.argv[2])
nlp = spacy.load(folder)
component = nlp.get_pipe("duoguard")
component.add_label("Spam")
component.cfg["thresholds"] = {"Spam": 0.25}
calls = 0

def count(function):
    def counted(*args, **kwargs):
        global calls
        if calls == n_steps:
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
def pipeline_folder(make_nlp, tmp_path):
    """The folder of a saved pipeline."""
    nlp = make_nlp()
    nlp.to_disk(tmp_path / "nlp")
    return tmp_path / "nlp"


def state(component, folder):
    """The labels and thresholds of a saved component, which differ between versions."""
    component.from_disk(folder, exclude=["vocab"])
    return len(component.labels), component.cfg["thresholds"]


OLD, NEW = (12, {}), (13, {"Spam": 0.25})


class Killed(BaseException):
    pass


def test_a_save_killed_at_any_step_leaves_one_version(
    pipeline_folder, tmp_path, monkeypatch
):
    """Whatever step is the last, the folder can be loaded, and saved to again."""
    component = spacy.load(pipeline_folder).get_pipe("duoguard")
    component.add_label("Spam")
    component.cfg["thresholds"] = {"Spam": 0.25}
    reader = spacy.load(pipeline_folder).get_pipe("duoguard")
    states = []
    for n_steps in range(200):
        folder = tmp_path / f"copy{n_steps}"
        shutil.copytree(pipeline_folder / "duoguard", folder)
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            steps = kill_after(patch, n_steps)
            component.to_disk(folder, exclude=["vocab"])
            break
        states.append(state(reader, folder))
        component.to_disk(folder, exclude=["vocab"])
        assert state(reader, folder) == NEW
        names = {path.name for path in folder.iterdir()}
        assert names == {"cfg", "manifest.json", "model"}
    assert len(steps) == len(states) == n_steps
    switch = states.index(NEW)
    assert states == [OLD] * switch + [NEW] * (len(states) - switch)
    assert switch > 20
    assert len(states) - switch > 10


def kill_after(patch, n_steps):
    """Let `n_steps` writes to the disk happen and no more, not even to clean up.
    RETURNS a list of the steps done so far."""
    steps = []

    def step(function):
        def counted(*args, **kwargs):
            if len(steps) >= n_steps:
                raise Killed
            steps.append(function.__name__)
            return function(*args, **kwargs)

        return counted

    for name in ("rename", "replace", "fsync", "mkdir", "unlink", "rmdir"):
        patch.setattr(os, name, step(getattr(os, name)))
    patch.setattr(Path, "write_bytes", step(Path.write_bytes))
    return steps


@pytest.mark.slow  # starts many processes: a minute
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_process_killed_while_saving_leaves_one_version(pipeline_folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(KILLED), encoding="utf8")
    reader = spacy.load(pipeline_folder).get_pipe("duoguard")
    states = []
    for n_steps in range(0, 200, 4):
        folder = tmp_path / f"copy{n_steps}"
        shutil.copytree(pipeline_folder, folder)
        command = [sys.executable, str(script), str(folder), str(n_steps)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        states.append(state(reader, folder / "duoguard"))
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL, run.stderr
    switch = states.index(NEW)
    assert states == [OLD] * switch + [NEW] * (len(states) - switch)
    assert 0 < switch < len(states) - 1
