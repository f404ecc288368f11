"""The file of the review page: what it is made of, and what it may replace."""

import json
import os
import stat
import sys

import pytest
import spacy
from spacy.cli._util import app
from typer.testing import CliRunner

from spacy_duoguard.errors import ResultsError, SettingsError
from spacy_duoguard.review.page import write_page
from spacy_duoguard.taxonomy import CATEGORIES

CATS = dict.fromkeys((*CATEGORIES, "unsafe"), 0.1)
RECORD = {"text": "A text.", "cats": CATS, "flags": [], "status": "ok"}
NOTICE = '<p class="notice failed" role="alert">These results are incomplete: '


def report(*arguments):
    spacy.registry.cli.get_all()
    result = CliRunner().invoke(app, ["duoguard", "report", *map(str, arguments)])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(RECORD) + "\n")
    return path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("kind", ["pipe", "link", "dangling"])
def test_nothing_but_a_file_is_replaced(results, tmp_path, kind):
    page, target = tmp_path / "page.html", tmp_path / "target.html"
    if kind == "pipe":
        os.mkfifo(page)
    else:
        page.symlink_to(target)
    if kind == "link":
        target.write_text("old")
    before = page.lstat()
    with pytest.raises(SettingsError, match="E228"):
        write_page(results, page)
    assert page.lstat() == before
    assert target.exists() == (kind == "link")


@pytest.mark.parametrize("name", ["results.jsonl.run.json", ".results.jsonl.lock"])
def test_what_resuming_needs_is_not_replaced(results, name):
    other = results.with_name(name)
    other.touch()
    with pytest.raises(SettingsError, match="E227"):
        write_page(results, other)


def test_a_page_keeps_its_permissions(results, tmp_path):
    page = tmp_path / "page.html"
    page.touch()
    for permissions in (0o600, 0o640, 0o444):
        page.chmod(permissions)
        write_page(results, page)
        assert mode(page) == permissions


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o644])
def test_a_new_page_is_as_private_as_the_results(results, tmp_path, permissions):
    before = os.umask(0o022)
    try:
        results.chmod(permissions)
        write_page(results, tmp_path / "page.html")
    finally:
        os.umask(before)
    assert mode(tmp_path / "page.html") == permissions


def test_a_pipe_among_the_results_is_refused(tmp_path, results):
    folder = tmp_path / "folder"
    folder.mkdir()
    results.rename(folder / "b.jsonl")
    os.mkfifo(folder / "a.jsonl")
    with pytest.raises(SettingsError, match=r"E139.*regular file"):
        write_page(folder, tmp_path / "page.html")


@pytest.mark.filterwarnings("default:.*W019")
@pytest.mark.parametrize(
    ("state", "says"),
    [
        ('{"finished": false}', "interrupted or is still going on"),
        ("{}", "interrupted or is still going on"),
        ("{torn", "results.jsonl.run.json is damaged"),
    ],
)
def test_incomplete_results_are_reported(results, tmp_path, state, says):
    (tmp_path / "results.jsonl.run.json").write_text(state)
    code, output = report(results, tmp_path / "page.html")
    assert (code, "W019" in output, says in output) == (0, True, True), output
    assert NOTICE in (page := (tmp_path / "page.html").read_text())
    assert says in page


def test_complete_results_have_no_notice(results, tmp_path):
    for state in (None, '{"finished": true}'):
        if state is not None:
            (tmp_path / "results.jsonl.run.json").write_text(state)
        code, output = report(results, tmp_path / "page.html")
        assert (code, "W019" in output) == (0, False), output
        assert NOTICE not in (tmp_path / "page.html").read_text()


def test_an_interrupted_folder_is_reported(results, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    results.rename(folder / "part.jsonl")
    (folder / ".run.json").write_text('{"finished": false}')
    with pytest.warns(UserWarning, match="W019"):
        write_page(folder, tmp_path / "page.html")


@pytest.mark.parametrize(
    "content",
    ["Just a text.\nAnother one.\n", '{"text": "not scored"}\n', "[1]\n", "{torn\n"],
)
def test_a_file_without_results_is_refused(tmp_path, content):
    path = tmp_path / "texts.txt"
    path.write_text(content)
    with pytest.raises(ResultsError, match="E231"):
        write_page(path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_errors_of_the_system_are_coded(results, tmp_path):
    page = tmp_path / "missing" / "page.html"
    code, output = report(results, page)
    assert (code, "E230" in output, "Errno" in output) == (1, True, False), output
    assert "missing" in output
    assert "No such file or directory" in output


def test_texts_that_were_not_scored_are_not_shown_beside_the_scores(results, tmp_path):
    state = results.with_name(f"{results.name}.run.json")
    state.write_text('{"finished": true, "known": {"--text-key": "body"}}')
    with pytest.raises(SettingsError, match=r"E324.*'body', not of those in 'text'"):
        write_page(results, tmp_path / "page.html")
    state.write_text('{"finished": true, "known": {"--text-key": "text"}}')
    write_page(results, tmp_path / "page.html")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux")
def test_a_name_that_is_not_utf_8(results, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9.jsonl")
    results.rename(odd)
    write_page(odd, tmp_path / "page.html")
    assert "caf\ufffd.jsonl" in (tmp_path / "page.html").read_text(encoding="utf8")
