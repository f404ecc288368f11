"""Folders that change at once, links that lead out of them, manifests."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest
import spacy
from support.checkpoints import TEXTS

from spacy_duoguard.engine.checkpoint.atomic_folder import (
    is_interrupted,
    locate,
    replace_folder,
    restore_folder,
    staged,
)
from spacy_duoguard.engine.checkpoint.manifest import MANIFEST, read_manifest
from spacy_duoguard.errors import CheckpointError

links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")


def write(folder, **files):
    with staged(folder) as aside:
        for name, text in files.items():
            (aside / name).write_text(text)


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_all_files_change_and_others_stay(tmp_path):
    folder = tmp_path / "new" / "folder"
    write(folder, a="1", b="2")
    (folder / "notes").write_text("mine")
    (folder / "more").mkdir()
    write(folder, a="3", b="4")
    files = contents(folder)
    assert set(read_manifest(folder / MANIFEST)["files"]) == {"a", "b"}
    assert (files["a"], files["b"], files["notes"]) == ("3", "4", "mine")
    assert {path.name for path in folder.iterdir()} == {*files, "more"}


def test_a_failure_leaves_all_files_of_before(tmp_path):
    write(tmp_path, a="1", b="2")
    before = contents(tmp_path)

    def fail():
        with staged(tmp_path) as aside:
            (aside / "a").write_text("3")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert contents(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == 3


def test_some_files_can_change_alone(tmp_path):
    write(tmp_path, a="1", b="2")
    with staged(tmp_path, keep=True) as aside:
        (aside / "a").write_text("3")
    assert set(read_manifest(tmp_path / MANIFEST)["files"]) == {"a", "b"}
    files = contents(tmp_path)
    assert (files["a"], files["b"]) == ("3", "2")


def test_after_a_save_that_was_cut_off_each_file_is_found(tmp_path, monkeypatch):
    write(tmp_path, a="1", b="2")
    replace = os.replace

    def dying(source, target):
        if target.name == "b":
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, a="3", b="4")
    assert is_interrupted(tmp_path)
    assert (tmp_path / "b").read_text() == "2"
    assert [locate(tmp_path, name).read_text() for name in "ab"] == ["3", "4"]
    assert locate(tmp_path, MANIFEST).parent != tmp_path
    write(tmp_path, a="5", b="6")
    assert not is_interrupted(tmp_path)
    assert [locate(tmp_path, name).read_text() for name in "ab"] == ["5", "6"]


# Folders as a whole

KILLED = """
import os, shutil, sys
from pathlib import Path
from spacy_duoguard.engine.checkpoint.atomic_folder import (
    is_interrupted,
    locate,
    replace_folder,
    restore_folder,
    staged,
)

steps = 0

def step(call):
    def counted(*arguments):
        global steps
        steps += 1
        if steps == int(sys.argv[2]):
            os._exit(9)
        call(*arguments)
    return counted

os.mkdir, os.fsync = step(os.mkdir), step(os.fsync)
os.rename, shutil.rmtree = step(os.rename), step(shutil.rmtree)
with replace_folder(Path(sys.argv[1])) as aside:
    (aside / "a").write_text("new")
    (aside / "b").write_text("new")
"""


def replace(folder, text):
    with replace_folder(folder) as aside:
        assert not list(aside.iterdir())
        (aside / "a").write_text(text)


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "more" / "folder"
    for text in ("1", "2"):
        replace(folder, text)
        assert contents(folder) == {"a": text}
        (folder / "notes").write_text("mine")
    folder.joinpath("notes").unlink()
    assert list(folder.parent.iterdir()) == [folder]


def test_a_replacement_that_is_killed_leaves_the_old_or_the_new_folder(tmp_path):
    folder = tmp_path / "folder"
    seen = []
    for step in range(1, 99):
        for path in tmp_path.iterdir():
            shutil.rmtree(path)
        replace(folder, "old")
        command = [sys.executable, "-c", KILLED, str(folder), str(step)]
        status = subprocess.run(command).returncode
        missing = not folder.exists()
        restore_folder(folder)
        versions = [{"a": "old"}, {"a": "new", "b": "new"}]
        seen.append((missing, versions.index(contents(folder))))
        if status == 0:
            break
        assert status == 9
        replace(folder, "newer")
        assert contents(folder) == {"a": "newer"}
        assert list(tmp_path.iterdir()) == [folder]
    # Old, old but hidden for a moment, new.
    assert sorted(set(seen), key=seen.index) == [(False, 0), (True, 0), (False, 1)]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_replacement_that_fails_leaves_the_old_folder(tmp_path, monkeypatch, failing):
    folder = tmp_path / "folder"
    replace(folder, "old")
    rename, calls = os.rename, []

    def fail_once(source, target):
        calls.append(target)
        if len(calls) == failing:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_once)
    with suppress(KeyboardInterrupt):
        replace(folder, "new")
    assert len(calls) >= failing
    assert contents(folder) == {"a": "old"}
    assert list(tmp_path.iterdir()) == [folder]


@links
def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("of somebody else")
    (tmp_path / "folder").symlink_to(tmp_path / "elsewhere")
    replace(tmp_path / "folder", "new")
    assert contents(tmp_path / "folder") == {"a": "new"}
    assert contents(tmp_path / "elsewhere") == {"file": "of somebody else"}


# Links


@links
@pytest.mark.parametrize(
    "name", ["cfg", "manifest.json", "model", "model/config.json", ".duoguard-staged"]
)
def test_a_saved_pipeline_with_a_link_is_refused(make_nlp, tmp_path, name):
    make_nlp().to_disk(tmp_path / "nlp")
    path, target = tmp_path / "nlp" / "duoguard" / name, tmp_path / "elsewhere"
    if path.exists():
        path.rename(target)
    else:
        target.mkdir()
    path.symlink_to(target)
    with pytest.raises(CheckpointError, match=r"E103.*is a link"):
        spacy.load(tmp_path / "nlp")


@links
def test_a_link_to_the_whole_pipeline_is_followed(make_nlp, tmp_path):
    nlp = make_nlp()
    nlp.to_disk(tmp_path / "one")
    expected = [doc.cats for doc in nlp.pipe(TEXTS)]
    (tmp_path / "link").symlink_to(tmp_path / "one")
    for _ in range(2):
        again = spacy.load(tmp_path / "link")
        assert [doc.cats for doc in again.pipe(TEXTS)] == expected
        again.to_disk(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()


@links
@pytest.mark.parametrize("name", ["model", "model/config.json", "cfg"])
def test_a_save_never_writes_through_a_link(make_nlp, tmp_path, name):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    folder, target = tmp_path / "duoguard", tmp_path / "elsewhere"
    component.to_disk(folder)
    (folder / name).rename(target)
    (folder / name).symlink_to(target)
    files = [target] if target.is_file() else sorted(target.iterdir())
    for file in files:
        file.write_bytes(b"of somebody else")
    component.to_disk(folder)
    assert all(file.read_bytes() == b"of somebody else" for file in files)
    assert len(files) == len([target] if target.is_file() else list(target.iterdir()))
    component.from_disk(folder)
    assert not (folder / name).is_symlink()
