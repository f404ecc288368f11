"""`calibrate` never replaces what it reads, and refuses before it scores anything."""

import shutil

import pytest
import spacy
from spacy.cli._util import app
from spacy.tokens import DocBin
from typer.testing import CliRunner


@pytest.fixture
def folder(make_nlp, tmp_path, monkeypatch):
    nlp = make_nlp()
    (tmp_path / "around").mkdir()
    nlp.to_disk(tmp_path / "around" / "pipe")
    docs = [nlp.make_doc(f"text {i}") for i in range(4)]
    for i, doc in enumerate(docs):
        doc.cats = {"Hate": float(i % 2)}
    (tmp_path / "data").mkdir()
    DocBin(docs=docs).to_disk(tmp_path / "data" / "dev.spacy")
    (tmp_path / "code.py").touch()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "config.cfg").touch()  # as that of a training project
    shutil.copytree(tmp_path / "around" / "pipe", tmp_path / "old")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def calibrate(*arguments, dev="data/dev.spacy"):
    spacy.registry.cli.get_all()
    command = ["duoguard", "calibrate", "around/pipe", dev, "--best-f", "-c", "code.py"]
    result = CliRunner().invoke(app, [*command, *arguments])
    return result.exit_code, result.output


def contents(folder):
    """All files but the bytecode of `code.py`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if path.suffix != ".pyc"}


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("around", "E227"),
        ("around/pipe", "E227"),
        ("around/pipe/sub", "E227"),
        (".", "E227"),
        ("data", "E227"),
        ("code.py", "E228"),
        ("foreign", "E229"),
    ],
)
def test_output(folder, output, code):
    before = contents(folder)
    status, message = calibrate("-o", output, "--force", "--no-plot")
    assert (status, code in message) == (1, True), message
    assert contents(folder) == before


@pytest.mark.parametrize("dev", ["data/dev.spacy", "data"])
@pytest.mark.parametrize(
    "plot",
    ["data/dev.spacy", "around/pipe/config.cfg", "around/pipe/x.png", "code.py"],
)
def test_plot(folder, plot, dev):
    before = contents(folder)
    status, message = calibrate("--plot", plot, dev=dev)
    assert (status, "E227" in message) == (1, True), message
    assert contents(folder) == before


def test_plot_inside_the_output(folder):
    before = contents(folder)
    arguments = ("-o", "new", "--plot", "new/config.cfg")
    status, message = calibrate(*arguments)
    assert (status, "E227" in message) == (1, True), message
    assert contents(folder) == before


def test_errors_of_the_system_are_coded(folder):
    status, message = calibrate("-o", "code.py/new", "--no-plot")
    assert (status, "E230" in message, "Errno" in message) == (1, True, False), message
    assert "code.py/new" in message.replace("\n", "")


def test_an_older_pipeline_is_replaced(folder):
    (folder / "old" / "config.txt").touch()
    status, message = calibrate("-o", "old", "--force", "--no-plot")
    assert status == 0, message
    assert not (folder / "old" / "config.txt").exists()
    assert spacy.load("old").get_pipe("duoguard").cfg["thresholds"]
