"""Standard input and output that the shell has closed are refused with a code."""

import io
import sys

import pytest

from spacy_duoguard.cli.progress import is_watched
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.scoring.jsonl import StandardOutputWriter
from spacy_duoguard.scoring.run import open_source
from spacy_duoguard.scoring.text_files import guess_standard_input, open_bytes


def closed():
    stream = io.TextIOWrapper(io.BytesIO())
    stream.close()
    return stream


STREAMS = pytest.mark.parametrize("make", [lambda: None, closed], ids=["none", "shut"])


def read():
    with open_bytes("-") as handle:
        handle.read()


def open_output():
    StandardOutputWriter().open()


@STREAMS
@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("stdin", read),
        ("stdin", guess_standard_input),
        ("stdout", open_output),
        ("stdout", lambda: StandardOutputWriter().write([{"a": 1}])),
    ],
)
def test_a_closed_stream_is_named(monkeypatch, make, name, use):
    monkeypatch.setattr(sys, name, make())
    kind = "input" if name == "stdin" else "output"
    with pytest.raises(SettingsError, match=f"E335.*{kind} is closed"):
        use()


def test_an_open_one_is_used(monkeypatch):
    content = io.BufferedReader(io.BytesIO(b'{"text": "a"}\n'))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    assert guess_standard_input() == "jsonl"
    output = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", output)
    open_output()
    StandardOutputWriter().write([{"a": 1}])
    assert output.buffer.getvalue() == b'{"a": 1}\n'


@STREAMS
def test_nobody_watches_a_closed_one(monkeypatch, make):
    monkeypatch.setattr(sys, "stderr", make())
    assert not is_watched()


def test_standard_input_is_no_parquet():
    with pytest.raises(SettingsError, match=r"E139.*from files, not from standard"):
        open_source("-", form="parquet")
