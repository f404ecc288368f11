"""What another program does to the files of a run never ends as a finished run."""

import json
import os

import pytest
from support.runs import pack, write_texts

from spacy_duoguard.scoring.locks import locked
from spacy_duoguard.scoring.record import BATCH
from spacy_duoguard.scoring.run_state import Output

CHANGES = {
    "emptied": lambda path: os.truncate(path, 0),
    "shortened": lambda path: os.truncate(path, path.stat().st_size - 10),
    "grown": lambda path: path.open("ab").write(b'{"text": "a"}'),
    "removed": lambda path: path.unlink(),
    "replaced": lambda path: os.replace(_copy(path), path),
}


def _copy(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    return other


def state_of(out):
    return json.loads(Output(out, out.is_dir()).state.read_text(encoding="utf8"))


def begin(steps, batches=1):
    for _ in range(1 + batches):
        next(steps)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_input_does_not_end_as_finished(start, run, source, tmp_path, change):
    out, kept = tmp_path / "out.jsonl", source.read_bytes()
    steps = start(source, out)
    begin(steps)
    CHANGES[change](source)
    with pytest.raises(ValueError, match=r"E222.*--resume"):
        list(steps)
    assert not state_of(out)["finished"]
    source.write_bytes(kept)
    run(source, out, resume=True)
    run(source, tmp_path / "fresh.jsonl")
    assert out.read_bytes() == (tmp_path / "fresh.jsonl").read_bytes()


def test_a_line_that_is_being_written_is_not_scored(start, tmp_path):
    source = write_texts(tmp_path / "in.jsonl", BATCH)
    whole = source.read_bytes()
    steps = start(source, tmp_path / "out.jsonl")
    next(steps)
    *lines, _ = whole.splitlines(keepends=True)
    source.write_bytes(whole + b"".join(lines) + b'{"text": "How to')
    with pytest.raises(ValueError, match="E222"):
        list(steps)
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == BATCH


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_changed_output_does_not_end_as_finished(
    start, source, tmp_path, change, suffix
):
    out = tmp_path / f"out.jsonl{suffix}"
    steps = start(source, out)
    begin(steps)
    CHANGES[change](out)
    with pytest.raises(ValueError, match="E223"):
        list(steps)
    assert not state_of(out)["finished"]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_folder_does_not_end_as_finished(start, source, tmp_path, change):
    out = tmp_path / "out.parquet"
    steps = start(source, out)
    begin(steps, batches=2)
    CHANGES[change](out / "part-00000.parquet")
    with pytest.raises(ValueError, match="E223"):
        list(steps)
    assert not state_of(out)["finished"]


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps locked files")
def test_a_lost_lock_ends_the_run(start, source, tmp_path):
    out = tmp_path / "out.jsonl"
    steps = start(source, out)
    begin(steps)
    (tmp_path / ".out.jsonl.lock").unlink()
    with locked(Output(out, is_folder=False)), pytest.raises(ValueError, match="E224"):
        list(steps)
    assert not state_of(out)["finished"]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
@pytest.mark.parametrize("count", [0, BATCH, BATCH + 3])
def test_what_was_added_to_finished_results_is_not_removed(
    run, tmp_path, suffix, count
):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    source = write_texts(tmp_path / "in.jsonl", count)
    out = tmp_path / f"out{suffix}"
    run(source, out)
    run(source, out, resume=True)
    if suffix == ".parquet":
        changed = out / "part-00009.parquet"
        changed.write_bytes((out / "part-00000.parquet").read_bytes())
    else:
        changed = out
        line = pack(b'{"text": "added"}\n', suffix.removeprefix(".jsonl"))
        changed.write_bytes(out.read_bytes() + line)
    before = changed.read_bytes()
    with pytest.raises(ValueError, match="E173"):
        run(source, out, resume=True)
    assert changed.read_bytes() == before
