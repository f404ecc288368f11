"""Saves of several threads to one folder."""

import threading

import pytest

from spacy_duoguard.engine.checkpoint.atomic_folder import staged
from spacy_duoguard.engine.checkpoint.folder_lock import locked
from spacy_duoguard.engine.checkpoint.manifest import read_checked, read_manifest
from spacy_duoguard.errors import CheckpointError

NAMES = ("cfg", "vocab", "weights")


def _save(folder, content, errors):
    try:
        for _ in range(5):
            with staged(folder) as aside:
                for name in NAMES:
                    (aside / name).write_bytes(content)
    except BaseException as e:
        errors.append(e)


def test_saves_to_one_folder_wait_for_each_other(tmp_path):
    errors, folder = [], tmp_path / "saved"
    threads = [
        threading.Thread(target=_save, args=(folder, bytes([i]) * 1000, errors))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    manifest = read_manifest(folder / "manifest.json")
    found = {read_checked(manifest, name, folder / name, source="it") for name in NAMES}
    assert len(found) == 1
    names = [path.name for path in folder.iterdir()]
    assert sorted(names) == sorted([*NAMES, "manifest.json"])
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_folder_that_stays_locked_is_refused(tmp_path):
    with locked(tmp_path), pytest.raises(CheckpointError, match="E215"):
        locked(tmp_path, max_wait=0.05).__enter__()
    with locked(tmp_path, max_wait=0.0):
        pass
