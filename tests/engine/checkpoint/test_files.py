"""Files are whole or as they were."""

import os

import pytest

from spacy_duoguard.engine.checkpoint import files
from spacy_duoguard.engine.checkpoint.files import write_aside


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with write_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
        assert aside.parent == path.parent
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o444])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, permissions):
    path = tmp_path / "file"
    path.touch()
    path.chmod(permissions)
    with write_aside(path) as aside:
        aside.write_text("new")
        assert aside.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o777 == permissions
    assert path.read_text() == "new"


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
