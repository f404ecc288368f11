"""`score` ends with a summary, and shows a progress bar on any terminal."""

import json
import os
import re
import subprocess
import sys

import pytest
import spacy
from spacy.cli._util import app
from support.runs import write_texts
from typer.testing import CliRunner

from spacy_duoguard.cli import progress
from spacy_duoguard.scoring import run as scoring_run
from spacy_duoguard.scoring.record import BATCH
from spacy_duoguard.scoring.results import Counts
from spacy_duoguard.scoring.run_state import Output
from spacy_duoguard.scoring.summary import summarize


@pytest.fixture
def score(qwen2_folder):
    """A function that runs the command. RETURNS its exit code and standard error."""
    spacy.registry.cli.get_all()

    def run(*arguments):
        common = ["--model", str(qwen2_folder), "--device", "cpu"]
        command = ["duoguard", "score", *common, *map(str, arguments)]
        result = CliRunner().invoke(app, command)
        return result.exit_code, result.stderr

    return run


def test_the_counts_are_those_of_the_results():
    results = [
        {"status": "ok", "flags": ["Hate", "Privacy"]},
        {"status": "truncated", "flags": ["Hate"]},
        {"status": "ok", "flags": []},
        {"status": "empty", "flags": []},
        {"status": "error", "flags": ["Hate", "Privacy"]},
    ]
    counts = Counts(done=10).add(results[:2]).add(results[2:])
    assert counts == Counts(15, 3, 1, 1, {"Hate": 2, "Privacy": 1})


FLAG = {"start": 0, "end": 1, "cats": {"Hate": 0.9}}
SAID = {"role": "user", "flags": [], "action": "allow"}
CONTEXT = {"role": "user", "flags": None, "action": None}


@pytest.mark.parametrize(
    ("result", "flagged", "reviewed"),
    [
        ({"sentences": [FLAG]}, 1, 0),
        ({"sentences": [{**FLAG, "action": "review"}], "action": "allow"}, 0, 1),
        ({"sentences": [{**FLAG, "action": "review"}], "action": "review"}, 0, 0),
        ({"sentences": [{**FLAG, "action": "block"}], "action": "review"}, 1, 0),
        ({"sentences": [FLAG], "flags": ["Hate"]}, 0, 0),
        ({"sentences": [FLAG], "status": "error"}, 0, 0),
        ({"turns": [SAID, {**SAID, "status": "error", "flags": ["Hate"]}]}, 1, 0),
        ({"turns": [CONTEXT, {**SAID, "action": "review"}], "action": "allow"}, 0, 1),
        ({"turns": [SAID, CONTEXT], "action": "allow"}, 0, 0),
        ({"turns": None}, 0, 0),
    ],
)
def test_texts_with_flags_only_in_a_part_are_counted(result, flagged, reviewed):
    result = {"status": "ok", "flags": [], "sentences": [], **result}
    counts = Counts().add([result])
    assert (counts.flagged_in_part, counts.reviewed_in_part) == (flagged, reviewed)
    lines = "".join(summarize(counts, output="-", seconds=0.0))
    where = "only in sentences or turns: 1 text"
    assert (f"Flagged {where}" in lines) == bool(flagged)
    assert (f"To review {where}" in lines) == bool(reviewed)


@pytest.mark.parametrize("status", ["fine", None, "ERROR", ""])
def test_a_status_that_nobody_knows_is_not_counted_as_scored(status):
    assert Counts().add([{"status": status, "flags": []}]).failed == 1


def test_its_lines():
    counts = Counts(
        1300, 250, 5, 3, {"Hate": 40, "Privacy": 1200, "Violent crimes": 40}
    )
    lines = summarize(
        counts,
        output="out.jsonl",
        seconds=10.0,
        earlier=256,
        failures=[f"Record {i}" for i in range(1, 6)],
        finished=False,
    )
    assert lines == [
        "Scored: 1,039 texts in 10.0 s, 104.4 per second, after 256 by an earlier run",
        "Flagged: 245 texts (Privacy 1,200, Hate 40, Violent crimes 40)",
        "Truncated: 3 texts, by max_chars or max_windows, so a part of them was not "
        "scored",
        "Not scored, and marked unsafe: 5 texts: Record 1, Record 2, Record 3 and 2 "
        "more; look for the status 'error'",
        "Results: out.jsonl",
        "The run is not complete. To continue, repeat it with --resume.",
    ]
    assert summarize(Counts(1), output="-", seconds=0.0) == [
        "Scored: 1 text in 0.0 s",
        "Flagged: 0 texts",
        "Results: standard output",
    ]
    assert (
        "--resume"
        not in summarize(Counts(), output="-", seconds=1.0, finished=False)[-1]
    )


def test_the_command_ends_with_it(score, tmp_path):
    source = write_texts(tmp_path / "in.jsonl", 150)  # two of them broken
    code, stderr = score(source, tmp_path / "out.jsonl", "--max-chars", 8)
    assert code == 3
    assert re.search(
        r"^Scored: 148 texts in [\d.]+ s, [\d,.]+ per second$", stderr, re.M
    )
    assert re.search(r"^Flagged: \d+ texts \(\w.* \d+\)$", stderr, re.M)
    assert re.search(r"^Truncated: \d+ texts", stderr, re.M)
    failed = "2 texts: Record 6 (line 6), Record 103 (line 103); look for"
    assert f"marked unsafe: {failed}" in stderr
    assert stderr.endswith(f"Results: {tmp_path / 'out.jsonl'}\n")


def test_a_strict_run_says_how_to_continue(score, tmp_path):
    source = write_texts(tmp_path / "in.jsonl", 20)
    code, stderr = score(source, tmp_path / "out.jsonl", "--strict")
    assert code == 1
    summary, hint, error = stderr.splitlines()[-3:]
    assert summary.startswith("Results: ")
    assert "repeat it with --resume" in hint
    assert "E137" in error


@pytest.mark.parametrize("n_before", [0, 9, BATCH + 9])
def test_a_strict_run_counts_what_its_results_hold(score, tmp_path, n_before):
    lines = [json.dumps({"text": f"Message {i}."}) for i in range(n_before)]
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join([*lines, '{"text": NaN}', '{"text": "x"}']), "utf8")
    code, stderr = score(source, output, "--strict")
    results = output.read_text("utf8").splitlines()
    assert (code, len(results)) == (1, n_before)
    assert f"Scored: {n_before} texts" in stderr
    n_flagged = sum(bool(json.loads(line)["flags"]) for line in results)
    shown = re.search(r"^Flagged: (\d+) text", stderr, re.M)
    assert n_flagged == (int(shown[1]) if shown else 0)


def test_an_interrupted_run_says_how_to_continue(score, tmp_path, monkeypatch):
    source = write_texts(tmp_path / "in.jsonl", 2 * BATCH + 1)
    make_batches = scoring_run.make_batches

    def interrupted(items, **options):
        yield next(make_batches(items, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(scoring_run, "make_batches", interrupted)
    code, stderr = score(source, tmp_path / "out.jsonl")
    assert code == 130
    assert f"Scored: {BATCH - 2} texts" in stderr
    assert stderr.splitlines()[-2] == f"Results: {tmp_path / 'out.jsonl'}"
    assert "with --resume" in stderr.splitlines()[-1]
    monkeypatch.undo()
    code, stderr = score(source, tmp_path / "out.jsonl", "--resume")
    assert code == 3
    assert "after " not in stderr.split("Flagged")[0]  # the last batch is scored again


def test_there_is_no_bar_without_a_terminal(score, tmp_path):
    source = write_texts(tmp_path / "in.jsonl", 3)
    _, stderr = score(source, tmp_path / "out.jsonl")
    assert "%|" not in stderr
    assert "\r" not in stderr


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize("size", [(0, 0), (24, 100)])
def test_a_bar_is_drawn_whatever_the_terminal_knows_of_its_size(size):
    """Terminals of `script` and of some CI systems have no width."""
    import fcntl
    import pty
    import struct
    import termios

    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    code = (
        "from tqdm import tqdm; import sys; from spacy_duoguard.cli import progress; "
        "bar = tqdm(total=4, file=sys.stderr, **progress.terminal_size()); "
        "bar.update(4); bar.close()"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stderr=writer)
    assert run.wait(timeout=60) == 0
    os.close(writer)
    drawn = os.read(reader, 10_000)
    os.close(reader)
    assert b"4/4" in drawn
    assert b"100%|" in drawn


def test_a_closed_pipe_is_no_reason_for_a_summary(monkeypatch, capsys):
    def broken(request, report):
        yield Counts(1)
        raise BrokenPipeError

    monkeypatch.setattr(scoring_run, "score_file", broken)
    request = scoring_run.ScoreRequest(None, "-", None)
    with pytest.raises(BrokenPipeError):
        progress.score_here(request)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_a_resumed_run_knows_of_records_that_were_not_scored_before(
    start, tmp_path, suffix
):
    """Those of a batch that isn't scored again."""
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    source = tmp_path / "in.jsonl"
    texts = [None, *["a"] * (3 * BATCH)]
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    out = tmp_path / f"out{suffix}"
    steps = start(source, out)
    for _ in range(4):
        next(steps)
    steps.close()
    for _ in range(2):  # then a run that has nothing left to do
        *_, counts = start(source, out, resume=True)
        assert counts.failed or counts.failed_before
        lines = summarize(counts, output=str(out), seconds=1.0)
        assert "Not scored" in "".join(lines)
    state = json.loads(Output(out, out.is_dir()).state.read_text("utf8"))
    assert state["failed"] is True


def test_a_finished_run_ends_again_as_it_did(score, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    texts = [None, *["a"] * (2 * BATCH)]
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert score(source, out)[0] == 3
    code, lines = score(source, out, "--resume")
    assert code == 3
    assert "Not scored by the earlier run" in lines
