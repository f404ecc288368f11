"""A resumed run of `score` produces the output of an uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from support.runs import contents, parts, results_of, write_texts

from spacy_duoguard.engine.verdict import not_scored
from spacy_duoguard.errors import ScoringError
from spacy_duoguard.scoring.batches import make_batches
from spacy_duoguard.scoring.record import BATCH, PART
from spacy_duoguard.scoring.results import make_result
from spacy_duoguard.scoring.run import open_source, read_records
from spacy_duoguard.scoring.run_state import Output
from spacy_duoguard.scoring.scorer import RecordScorer


def test_batches_begin_at_fixed_positions(source):
    records = list(read_records(open_source(str(source))))
    whole = list(make_batches(records))
    assert [len(batch) for batch in whole] == [BATCH, BATCH, 44]
    assert list(make_batches(records[BATCH:], before=BATCH)) == whole[1:]


@pytest.mark.parametrize("n_batches", range(4))
@pytest.mark.parametrize("torn", [0, 1, 500, 40_000])
def test_an_interrupted_run_is_completed_byte_identically(
    start, run, source, tmp_path, n_batches, torn
):
    run(source, tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    out = tmp_path / "out.jsonl"
    steps = start(source, out)
    for _ in range(n_batches + 1):
        next(steps)
    steps.close()
    with out.open("ab") as handle:  # written, but the state was not saved
        handle.write(whole[out.stat().st_size :][:torn])
    first, *_ = run(source, out, resume=True)
    assert out.read_bytes() == whole
    # The last full batch is scored again, and what follows it.
    assert first.done == max(0, min(n_batches, 2) - 1) * BATCH


def test_resume_without_an_output_starts_a_run(run, source, tmp_path):
    run(source, tmp_path / "whole.jsonl")
    run(source, tmp_path / "new.jsonl", resume=True)
    new = (tmp_path / "new.jsonl").read_bytes()
    assert new == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
@pytest.mark.parametrize("more", [0, 1, 84, BATCH, 3 * BATCH + 1])
def test_a_grown_input_is_continued(run, source, tmp_path, small_parts, name, more):
    out, fresh = tmp_path / name, tmp_path / f"fresh-{name}"
    run(source, out)
    grown = write_texts(tmp_path / "in.jsonl", 2 * BATCH + 44 + more)
    run(grown, out, resume=True)
    run(grown, fresh)
    assert contents(out) == contents(fresh)


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.parquet"])
@pytest.mark.parametrize("fails", [0, 1])
def test_an_error_that_passes_does_not_keep_a_run_from_being_resumed(
    start, run, source, tmp_path, small_parts, monkeypatch, name, fails
):
    """It happens in the first run, or while the resumed one verifies its last batch."""
    whole, out = tmp_path / f"whole-{name}", tmp_path / name
    run(source, whole)
    score = RecordScorer.score

    def fail(self, records):
        results = score(self, records)
        for i, record in enumerate(records):
            if record.number == BATCH + 9:
                failed = not_scored(self.labels, "broken")
                results[i] = make_result(record, failed, None, self.columns)
        return results

    with monkeypatch.context() as patch:
        patch.setattr(RecordScorer, "score", fail if fails == 0 else score)
        steps = start(source, out)
        for _ in range(3):
            next(steps)
        steps.close()
        patch.setattr(RecordScorer, "score", fail if fails == 1 else score)
        run(source, out, resume=True)
    expected, got = results_of(whole), results_of(out)
    differ = [i for i in range(len(got)) if got[i] != expected[i]]
    assert len(got) == len(expected)
    assert differ == ([BATCH + 8] if fails == 0 else [])
    assert all(got[i]["status"] == "error" for i in differ)


def test_incomplete_parquet_parts_are_written_again(start, run, tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    import pyarrow.parquet as pq

    source = write_texts(tmp_path / "in.jsonl", PART + BATCH + 7)
    folder = tmp_path / "whole.parquet"
    run(source, folder)
    whole = parts(folder)
    assert list(whole) == ["part-00000.parquet", "part-00001.parquet"]
    rows = pq.read_table(folder).to_pylist()
    assert [row["id"] for row in rows[:5]] == list(range(5))
    assert len(rows) == PART + BATCH + 7
    assert rows[5]["error"] == "no field 'text'"
    assert rows[5]["cats"]["unsafe"] == 1.0
    lines = tmp_path / "lines.jsonl"
    run(source, lines)
    first = json.loads(lines.read_bytes().splitlines()[0])
    for key in ("cats", "flags", "status", "sentences"):
        assert rows[0][key] == first[key]
    steps = start(source, folder, overwrite=True)
    while next(steps).done < PART:
        pass
    steps.close()
    assert list(parts(folder)) == ["part-00000.parquet"]
    # Written, but the state was not saved.
    (folder / ".part-00001.parquet.part").write_bytes(b"torn")
    (folder / "part-00001.parquet").write_bytes(whole["part-00001.parquet"])
    for done in (PART - BATCH, PART + BATCH + 7):
        steps = run(source, folder, resume=True)
        assert steps[0].done == done
        assert parts(folder) == whole
        assert not list(folder.glob(".part*"))


def write_odd(path, count, odd):
    """Write texts, of which one can't be scored."""
    texts = [None if i == odd else f"text {i}" for i in range(count)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


NAMES = ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.parquet"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("odd", [2, 140, 290])
def test_a_strict_run_changes_nothing_of_a_finished_one(run, tmp_path, name, odd):
    if not name.endswith(("jsonl", "gz")):
        pytest.importorskip("pyarrow", reason="Parquet and zstd need pyarrow")
    source, out = write_odd(tmp_path / "in.jsonl", 300, odd), tmp_path / name
    run(source, out)
    expected = contents(out)
    state = Output(out, out.is_dir()).state
    known = state.read_bytes()
    (counts,) = run(source, out, resume=True, strict=True)
    assert (counts.done, counts.failed_before) == (300, True)
    assert contents(out) == expected
    assert state.read_bytes() == known
    write_odd(source, 310, odd)  # it has grown
    with pytest.raises(ValueError, match="E351"):
        run(source, out, resume=True, strict=True)
    assert contents(out) == expected
    assert state.read_bytes() == known
    run(source, out, resume=True)
    assert len(results_of(out)) == 310


def test_a_part_of_records_that_are_gone_is_removed(start, run, tmp_path, small_parts):
    """The input of a run grows, the run is killed, and the input shrinks again."""
    source, out = write_odd(tmp_path / "in.jsonl", 300, 400), tmp_path / "out.parquet"
    run(source, out)
    write_odd(source, 400, 400)
    steps = start(source, out, resume=True)
    next(steps)
    steps.close()
    write_odd(source, 2 * BATCH, 400)
    run(source, out, resume=True)
    run(source, tmp_path / "fresh.parquet")
    assert contents(out) == contents(tmp_path / "fresh.parquet")
    run(source, out, resume=True)


@pytest.mark.parametrize("name", NAMES)
def test_results_stay_when_a_strict_run_meets_a_broken_record(run, tmp_path, name):
    if not name.endswith(("jsonl", "gz")):
        pytest.importorskip("pyarrow", reason="Parquet and zstd need pyarrow")
    source, out = write_odd(tmp_path / "in.jsonl", 200, 300), tmp_path / name
    run(source, out)
    expected = results_of(out)
    write_odd(source, 201, 200)
    for _ in range(2):
        with pytest.raises(ScoringError, match="E137"):
            run(source, out, resume=True, strict=True)
        assert results_of(out) == expected
    run(source, out, resume=True)
    run(source, fresh := tmp_path / f"fresh-{name}")
    assert contents(out) == contents(fresh)


@pytest.mark.parametrize("name", NAMES)
def test_an_error_now_changes_nothing_of_a_finished_run(
    run, source, tmp_path, monkeypatch, name
):
    if not name.endswith(("jsonl", "gz")):
        pytest.importorskip("pyarrow", reason="Parquet and zstd need pyarrow")
    out = tmp_path / name
    run(source, out)
    expected = contents(out)

    def fail(self, records):
        verdict = not_scored(self.labels, "broken")
        return [make_result(record, verdict, None, self.columns) for record in records]

    monkeypatch.setattr(RecordScorer, "score", fail)
    run(source, out, resume=True)
    assert contents(out) == expected


def command(source, output, *options):
    base = [sys.executable, "-m", "spacy", "duoguard", "score"]
    common = ["--model", "demo", "--device", "cpu", "--sentences", "isolated"]
    return [*base, str(source), str(output), *common, *options]


def interrupt(arguments, kind, after):
    """Send a signal to a command. RETURNS its exit code and last line."""
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Processes started in the background of a shell ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    after()
    process.send_signal(kind)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors.strip().split("\n")[-1]


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_ctrl_c_explains_how_to_continue(tmp_path):
    source = write_texts(tmp_path / "in.jsonl", 300 * BATCH)
    out = tmp_path / "out.jsonl"

    def until_it_writes():
        while not out.exists() or not out.stat().st_size:
            time.sleep(0.01)

    code, message = interrupt(command(source, out), signal.SIGINT, until_it_writes)
    assert code == 130
    assert "--resume" in message
    n_lines = out.read_bytes().count(b"\n")
    assert 0 < n_lines < 300 * BATCH
    assert n_lines % BATCH == 0


# Imports once and forks for each run, because a fresh start takes seconds.
DRIVER = """
import os, random, signal, sys, time
import spacy, torch
from typer.main import get_command
from spacy_duoguard.cli import duoguard_cli
import spacy_duoguard.scoring.parquet_writer as parquet_writer
import spacy_duoguard.scoring.run
import spacy_duoguard.scoring.run_state as run_state

parquet_writer.PART = 256
run_state.INTERVAL = 0.02
torch.set_num_threads(1)
spacy.blank("xx")
source, out, whole, model, kills, interrupts = sys.argv[1:]
options = ["--model", model, "--device", "cpu", "--sentences", "isolated", "--resume"]

def start(path):
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        get_command(duoguard_cli).main(["score", source, path, *options])
    except SystemExit as e:
        os._exit(e.code)
    except KeyboardInterrupt:  # before the command began
        os._exit(130)
    finally:
        os._exit(99)

def size_of(file):
    try:
        return os.path.getsize(file)
    except FileNotFoundError:  # a resumed run has just removed it
        return 0

def size(path=out):
    if os.path.isdir(path):
        names = [name for name in os.listdir(path) if name.startswith("part-")]
        return sum(size_of(os.path.join(path, name)) for name in names)
    return size_of(path)

def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

assert wait(start(whole)) == 3
step = size(whole) / int(kills)
generator = random.Random(0)
for i in range(int(kills)):
    wanted = size() + generator.uniform(0, 0.9) * step
    pid = start(out)
    while i % 5 != 4 and size() <= wanted:
        time.sleep(0.001)
    time.sleep(generator.uniform(0, 0.02))
    os.kill(pid, signal.SIGINT if i < int(interrupts) else signal.SIGKILL)
    print(wait(pid), size(), flush=True)
print(wait(start(out)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
@pytest.mark.parametrize(
    ("suffix", "kills"),
    [
        ("jsonl", 3),
        ("parquet", 3),
        *(
            pytest.param(suffix, 22, marks=pytest.mark.slow)
            for suffix in ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")
        ),
    ],
)
def test_a_run_killed_at_random_points_is_completed(
    qwen2_folder, tmp_path, suffix, kills
):
    """Two of the kills are Ctrl-C, the others SIGKILL."""
    interrupts = 2
    if suffix in ("jsonl.zst", "parquet"):
        pytest.importorskip("pyarrow", reason="Parquet and zstd need pyarrow")
    source = write_texts(tmp_path / "in.jsonl", 5 * kills * BATCH)
    whole, out = tmp_path / f"whole.{suffix}", tmp_path / f"out.{suffix}"
    arguments = [source, out, whole, qwen2_folder, kills, interrupts]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *interrupted, last = done.stdout.split("\n")[:-1]
    codes = [int(line.split()[0]) for line in interrupted]
    assert codes == [130] * interrupts + [-signal.SIGKILL] * (kills - interrupts)
    sizes = [int(line.split()[1]) for line in interrupted]
    assert len(set(sizes)) > kills / 2
    assert sizes[-1] < sum(map(len, contents(whole).values()))
    assert last == "3", done.stderr
    assert contents(out) == contents(whole)
