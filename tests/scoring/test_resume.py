"""A resumed run of `score` produces the output of an uninterrupted one."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from spacy_duoguard.scoring.pipelines import GuardOptions
from spacy_duoguard.scoring.record import BATCH, PART, make_batches
from spacy_duoguard.scoring.run import (
    ScoreRequest,
    open_source,
    read_records,
    score_file,
)

WORDS = ["the", "dog", "kills", "a", "python", "process", "lazily", "en", "été"]


def write_texts(path, count, *, seed=0):
    """Write texts of mixed lengths, some of them broken."""
    generator = random.Random(seed)
    lines = []
    for i in range(count):
        text = " ".join(generator.choices(WORDS, k=generator.randint(0, 12)))
        lines.append(json.dumps({"id": i} if i % 97 == 5 else {"id": i, "text": text}))
    path.write_text("\n".join(lines) + "\n", encoding="utf8")
    return path


@pytest.fixture
def run(qwen2_folder):
    def run(source, output, **changes):
        options = GuardOptions(
            model=str(qwen2_folder), device="cpu", precision="float32"
        )
        request = ScoreRequest(
            open_source(str(source)), str(output), options, **changes
        )
        return list(score_file(request))

    return run


@pytest.fixture
def source(tmp_path):
    return write_texts(tmp_path / "in.jsonl", 2 * BATCH + 44)


def test_batches_begin_at_fixed_positions(source):
    records = list(read_records(open_source(str(source))))
    whole = list(make_batches(records))
    assert [len(batch) for batch in whole] == [BATCH, BATCH, 44]
    assert list(make_batches(records, start=BATCH)) == whole[1:]


def test_a_file_truncated_anywhere_is_completed_byte_identically(run, source, tmp_path):
    run(source, tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    generator = random.Random(0)
    sizes = [0, 1, ends[0], ends[BATCH - 1], ends[BATCH] + 3, ends[-1] - 1, len(whole)]
    for size in sizes + [generator.randrange(len(whole)) for _ in range(3)]:
        (tmp_path / "torn.jsonl").write_bytes(whole[:size])
        steps = run(source, tmp_path / "torn.jsonl", resume=True)
        assert (tmp_path / "torn.jsonl").read_bytes() == whole
        # At most one batch is scored again.
        complete = whole[:size].count(b"\n")
        assert complete - BATCH <= steps[0].done <= complete


def test_resume_without_an_output_starts_a_run(run, source, tmp_path):
    run(source, tmp_path / "whole.jsonl")
    run(source, tmp_path / "new.jsonl", resume=True)
    new = (tmp_path / "new.jsonl").read_bytes()
    assert new == (tmp_path / "whole.jsonl").read_bytes()


def test_resume_with_another_input_is_refused(run, source, tmp_path):
    out = tmp_path / "out.jsonl"
    run(source, out)
    before = out.read_bytes()
    other = write_texts(tmp_path / "other.jsonl", 2 * BATCH + 44, seed=1)
    with pytest.raises(ValueError, match="E131"):
        run(other, out, resume=True)
    shorter = write_texts(tmp_path / "shorter.jsonl", 2 * BATCH)
    with pytest.raises(ValueError, match="E132"):
        run(shorter, out, resume=True)
    assert out.read_bytes() == before


def parts(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_incomplete_parquet_parts_are_written_again(run, qwen2_folder, tmp_path):
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
    for damage in (_drop_last, _tear_last, _leave_aside, lambda folder: None):
        damage(folder)
        steps = run(source, folder, resume=True)
        assert steps[0].done == PART - BATCH
        assert parts(folder) == whole


def _drop_last(folder):
    (folder / "part-00001.parquet").unlink()


def _tear_last(folder):
    path = folder / "part-00001.parquet"
    path.write_bytes(path.read_bytes()[:100])


def _leave_aside(folder):
    (folder / ".part-00001.parquet.part").write_bytes(b"torn")
    _drop_last(folder)


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
    source = write_texts(tmp_path / "in.jsonl", 60 * BATCH)
    out = tmp_path / "out.jsonl"

    def until_it_writes():
        while not out.exists() or not out.stat().st_size:
            time.sleep(0.01)

    code, message = interrupt(command(source, out), signal.SIGINT, until_it_writes)
    assert code == 130
    assert "--resume" in message
    n_lines = out.read_bytes().count(b"\n")
    assert 0 < n_lines < 60 * BATCH
    assert n_lines % BATCH == 0


# Imports once and forks for each run, because a fresh start takes seconds.
DRIVER = """
import os, random, signal, sys, time
import spacy, torch
from typer.main import get_command
from spacy_duoguard.cli import duoguard_cli
import spacy_duoguard.scoring.run

torch.set_num_threads(1)
spacy.blank("xx")
source, out, whole, model, kills = sys.argv[1:]
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

def size():
    return os.path.getsize(out) if os.path.exists(out) else 0

def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

assert wait(start(whole)) == 3
step = os.path.getsize(whole) / int(kills)
generator = random.Random(0)
for i in range(int(kills)):
    wanted = size() + generator.uniform(0, 0.9) * step
    pid = start(out)
    while i % 5 != 4 and size() <= wanted:
        time.sleep(0.001)
    time.sleep(generator.uniform(0, 0.02))
    os.kill(pid, signal.SIGKILL if i % 2 else signal.SIGINT)
    print(wait(pid), size(), flush=True)
print(wait(start(out)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_killed_at_random_points_is_completed(qwen2_folder, tmp_path, kills):
    source = write_texts(tmp_path / "in.jsonl", 10 * kills * BATCH)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    arguments = [source, out, whole, qwen2_folder, kills]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *interrupted, last = done.stdout.split("\n")[:-1]
    codes = [int(line.split()[0]) for line in interrupted]
    assert set(codes) == {-signal.SIGKILL, 130}
    sizes = [int(line.split()[1]) for line in interrupted]
    assert len(set(sizes)) > kills / 2
    assert sizes[-1] < whole.stat().st_size
    assert last == "3"
    assert out.read_bytes() == whole.read_bytes()
