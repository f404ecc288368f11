"""Warnings are shown once, with the user's line."""

import subprocess
import sys
import warnings

import pytest
import spacy
from support.checkpoints import QWEN2, write_checkpoint

from spacy_duoguard import Classifier
from spacy_duoguard.engine.user_warnings import warn_once


def run(tmp_path, script, *arguments):
    """Run a script. RETURNS what it wrote to standard error."""
    path = tmp_path / "users_script.py"
    path.write_text(script, encoding="utf8")
    command = [sys.executable, str(path), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stderr


DEMO = """
import spacy
from spacy_duoguard import Classifier
from spacy_duoguard.engine import user_warnings

def make():
    user_warnings._shown.clear()  # as in another process
    nlp = spacy.blank("en")
    nlp.add_pipe("duoguard", config={"model": {"name": "demo", "device": "cpu"}})
    return nlp

def load_again(nlp):
    nlp.to_disk("nlp")
    spacy.load("nlp")("a dog")
    Classifier.from_pretrained("demo", device="cpu")

"""
FIRST = [
    "nlp('a dog')",
    "list(nlp.pipe(['a dog']))",
    "Classifier.from_pretrained('demo')",
    "nlp.initialize()",
]


def test_the_demo_warns_once_and_shows_the_users_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = "\n".join(f"nlp = make()\n{line}\nload_again(nlp)" for line in FIRST)
    error = run(tmp_path, DEMO + calls)
    assert error.count("W001") == len(FIRST)
    line = DEMO.count("\n") + 2
    for first in FIRST:
        assert f"users_script.py:{line}: UserWarning: [W001]" in error
        assert f"  {first}\n" in error
        line += 3
    assert "warnings.warn" not in error


def test_many_workers_warn_once_about_their_threads(tmp_path):
    folder = write_checkpoint(tmp_path / "model", QWEN2)
    script = """
import multiprocessing, sys
import spacy, torch

multiprocessing.set_start_method("fork")
torch.set_num_threads(2)
nlp = spacy.blank("en")
model = {"name": sys.argv[1], "precision": "float32", "device": "cpu"}
nlp.add_pipe("duoguard", config={"model": model})
nlp("The dog sleeps.")
for _ in range(2):
    docs = list(nlp.pipe(["a dog"] * 40, n_process=4, batch_size=5))
    assert len(docs) == 40
"""
    error = run(tmp_path, script, folder)
    assert error.count("[W002]") == 1
    assert "'spawn'" in error  # the remedy
    assert "users_script.py:12: UserWarning: [W002]" in error


def test_a_warning_that_is_an_error_stays_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(UserWarning, match="again"):
                warn_once("again")
    with pytest.warns(UserWarning, match="again") as caught:
        warn_once("again")
    warn_once("again")  # or the test would fail
    assert caught[0].filename == __file__


def test_loading_again_does_not_warn_again():
    with pytest.warns(UserWarning, match="W001") as caught:
        Classifier.from_pretrained("demo", device="cpu")
    assert caught[0].filename == __file__
    Classifier.from_pretrained("demo", device="cpu")
    nlp = spacy.blank("en")
    nlp.add_pipe("duoguard", config={"model": {"name": "demo"}})
    nlp("a dog")
