"""Files are whole or as they were."""

import os

import pytest
import spacy
from conftest import TEXTS
from lessons import make_examples, trainable
from thinc.api import SGD

from spacy_duoguard.engine import files
from spacy_duoguard.engine.files import write_aside


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with write_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
        assert aside.parent == path.parent
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_file_of_before(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with write_aside(path) as aside:
            aside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_the_name(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda fd: (order.append("sync"), fsync(fd)))
    monkeypatch.setattr(
        files.os, "replace", lambda a, b: (order.append("replace"), replace(a, b))
    )
    with write_aside(tmp_path / "file") as aside:
        aside.write_text("x")
    assert order[:2] == ["sync", "replace"]


@pytest.mark.parametrize("survived", range(5))
def test_a_save_that_is_cut_off_leaves_whole_files(
    make_nlp, tmp_path, monkeypatch, survived
):
    nlp = trainable(make_nlp, 0)
    nlp.initialize(lambda: make_examples(nlp))
    nlp.update(make_examples(nlp), sgd=SGD(0.1))
    nlp.to_disk(tmp_path)
    before = [doc.cats for doc in nlp.pipe(TEXTS)]
    nlp.update(make_examples(nlp), sgd=SGD(0.1))
    replace, done = os.replace, []

    def dying(aside, path):
        if len(done) == survived:
            (path.parent / ".model.safetensors.part").write_bytes(b"half")
            raise KeyboardInterrupt
        done.append(path.name)
        replace(aside, path)

    monkeypatch.setattr(files.os, "replace", dying)
    component = nlp.get_pipe("duoguard")
    with pytest.raises(KeyboardInterrupt):
        component.to_disk(tmp_path / "duoguard", exclude=["vocab"])
    after = [doc.cats for doc in spacy.load(tmp_path).pipe(TEXTS)]
    assert (after == before) == ("model.safetensors" not in done)
    assert (after == [doc.cats for doc in nlp.pipe(TEXTS)]) == (after != before)
