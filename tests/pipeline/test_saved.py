"""Commands check the folder of a pipeline before spaCy reads it."""

import os
import threading

import pytest
from spacy.util import load_config

from spacy_duoguard.calibration.run import find_component, score_corpus
from spacy_duoguard.engine.checkpoint.files import check_regular_files
from spacy_duoguard.errors import CheckpointError, SettingsError
from spacy_duoguard.pipeline.saved import load_saved
from spacy_duoguard.scoring.pipelines import GuardOptions, load_guard

needs_pipes = pytest.mark.skipif(os.name == "nt", reason="needs pipes")

FILES = ["meta.json", "config.cfg", "tokenizer", "vocab/strings.json", "vocab/new"]


@pytest.fixture
def saved(make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path / "pipeline")
    return tmp_path / "pipeline"


def within_seconds(call):
    """The error of a call, which must not wait for a pipe."""
    caught = []

    def run():
        try:
            call()
        except Exception as e:
            caught.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits"
    return caught[0] if caught else None


@needs_pipes
@pytest.mark.parametrize("name", FILES)
def test_a_pipe_in_place_of_a_file_of_spacy_is_refused(saved, name):
    (saved / name).unlink(missing_ok=True)
    os.mkfifo(saved / name)
    calls = [lambda: load_saved(saved), lambda: find_component(saved, None)]
    if name != "config.cfg":  # without it, the folder is no pipeline
        calls[1] = lambda: load_guard(GuardOptions(model=str(saved)))
    for call in calls:
        error = within_seconds(call)
        assert isinstance(error, CheckpointError), error
        assert "E108" in str(error)
        assert name.rpartition("/")[2] in str(error)


@needs_pipes
def test_a_pipe_in_place_of_labelled_texts_is_refused(saved, tmp_path):
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev" / "a.spacy")
    error = within_seconds(lambda: score_corpus(saved, "duoguard", tmp_path / "dev"))
    assert "E108" in str(error)


@needs_pipes
def test_a_link_that_leads_back_up_is_no_loop(saved):
    (saved / "vocab" / "up").symlink_to(saved)
    check_regular_files(saved)
    load_saved(saved)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.cfg", b"\xff"),
        ("config.cfg", b"[nlp"),
        ("config.cfg", b"[components]\n\n[components.duoguard]\nfactory = 1\n"),
        ("meta.json", b"{"),
        ("meta.json", b"[]"),
        ("tokenizer", b"\xc1"),
        ("vocab/strings.json", b"{"),
        ("vocab/vectors", b"x"),
        ("vocab/lookups.bin", b"\xc1"),
    ],
)
def test_a_damaged_file_of_spacy_is_a_coded_error(saved, name, content):
    (saved / name).write_bytes(content)
    with pytest.raises(SettingsError, match="E086"):
        load_saved(saved)


@pytest.mark.parametrize(
    "content", [b"[components]\nduoguard = 3\n", b"components = 3"]
)
def test_a_block_that_is_no_component_is_a_coded_error(saved, content):
    (saved / "config.cfg").write_bytes(content)
    with pytest.raises(SettingsError, match=r"E08[26]"):
        find_component(saved, None)


def test_an_error_of_the_component_keeps_its_code(saved):
    (saved / "duoguard" / "model" / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(CheckpointError, match="E102"):
        load_saved(saved)


@pytest.mark.parametrize("name", ["no_such_package", "missing/folder"])
def test_a_name_that_is_no_pipeline_is_a_coded_error(name):
    with pytest.raises(SettingsError, match="E086"):
        load_saved(name)


def test_settings_are_overridden(saved):
    nlp = load_saved(saved, {"components.duoguard.threshold": 0.2})
    assert nlp.get_pipe("duoguard").cfg["threshold"] == 0.2
    assert (
        load_config(saved / "config.cfg")["components"]["duoguard"]["threshold"] == 0.5
    )
