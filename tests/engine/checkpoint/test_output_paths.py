"""Outputs are refused where they could destroy an input, or anything but a file."""

import os
from pathlib import Path

import pytest

from spacy_duoguard.engine.checkpoint.output_paths import check_output
from spacy_duoguard.errors import SettingsError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "file").write_text("content")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("output", "read"),
    [
        ("data/deep/file", "data/deep/file"),
        ("data/../data/deep/file", "data/deep/file"),
        ("data/deep/new", "data"),
        ("data/new/newer", "data/deep/.."),
    ],
)
def test_a_file_that_is_an_input_or_inside_one(folder, output, read):
    with pytest.raises(SettingsError, match="E227"):
        check_output(folder.parent / output, [folder.parent / read])


@pytest.mark.parametrize("output", [".", "data", "data/deep", "data/deep/../../data"])
def test_a_folder_around_an_input(folder, output):
    path = folder / "deep" / "file"
    with pytest.raises(SettingsError, match="E227"):
        check_output(folder.parent / output, [path], is_folder=True)


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_hyphen_is_no_file(folder, is_folder):
    with pytest.raises(SettingsError, match="E348"):
        check_output(Path("-"), [], is_folder=is_folder)
    with pytest.raises(SettingsError, match="E348"):
        check_output(Path("-", "train.spacy"), [])
    check_output(folder / "-", [], is_folder=is_folder)


def test_links_make_no_difference(folder):
    (folder.parent / "link").symlink_to("data", target_is_directory=True)
    os.link(folder / "deep" / "file", folder.parent / "hard")
    for output in ("link/deep/file", "link/deep/new", "hard"):
        inputs = [folder / "deep" / "file", folder / "deep"]
        with pytest.raises(SettingsError, match="E227"):
            check_output(folder.parent / output, inputs)
    with pytest.raises(SettingsError, match="E227"):
        check_output(folder.parent / "new", [folder.parent / "new"])


@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "link", "dangling", "other"])
def test_only_files_and_folders_are_replaced(folder, kind, is_folder):
    output = folder / "output"
    if kind == "pipe":
        os.mkfifo(output)
    elif kind == "other":
        output.touch() if is_folder else output.mkdir()
    else:
        output.symlink_to("deep" if kind == "link" else "nowhere")
    with pytest.raises(SettingsError, match="E228"):
        check_output(output, [], is_folder=is_folder)
    assert os.path.lexists(output)


def test_anything_else_is_allowed(folder):
    inputs = [folder / "deep", folder / "missing"]
    for output in ("data/other", "data/deeper", "new/file"):
        check_output(folder.parent / output, inputs)
    check_output(folder / "deep" / "file", [folder / "other"])
    check_output(folder, [folder.parent / "other"], is_folder=True)
