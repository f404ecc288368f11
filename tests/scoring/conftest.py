"""Fixtures that run `score_file` with a tiny checkpoint."""

from dataclasses import replace

import pytest
from support.runs import write_texts

from spacy_duoguard.scoring.pipelines import GuardOptions
from spacy_duoguard.scoring.record import BATCH
from spacy_duoguard.scoring.run import ScoreRequest, open_source, score_file


@pytest.fixture
def start(qwen2_folder):
    """A function that starts a run. RETURNS a generator of its counts."""

    def start(source, output, *, model=qwen2_folder, text_key="text", **changes):
        flags = {
            key: changes.pop(key, False) for key in ("resume", "overwrite", "strict")
        }
        options = GuardOptions(str(model), device="cpu", precision="float32")
        options = replace(options, **changes)
        opened = open_source(str(source), text_key=text_key)
        return score_file(ScoreRequest(opened, str(output), options, **flags))

    return start


@pytest.fixture
def run(start):
    def run(*arguments, **options):
        return list(start(*arguments, **options))

    return run


@pytest.fixture
def source(tmp_path):
    return write_texts(tmp_path / "in.jsonl", 2 * BATCH + 44)


@pytest.fixture
def stopped(start, source, tmp_path):
    """The output of a run that was stopped after 256 of 300 records."""
    steps = start(source, tmp_path / "out.jsonl")
    for _ in range(3):
        next(steps)
    steps.close()
    return tmp_path / "out.jsonl"


@pytest.fixture
def small_parts(monkeypatch):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    module = "spacy_duoguard.scoring.parquet_writer"
    monkeypatch.setattr(f"{module}.PART", 2 * BATCH)
