"""A folder run on Ray is resumed or refused, and only results are replaced. The actors
run in this process here."""

import json
import pickle
import shutil
from dataclasses import replace

import pytest
import spacy
from spacy.cli._util import app
from support.local_pool import LocalPool
from support.runs import parts, results_of, write_texts
from typer.testing import CliRunner

from spacy_duoguard.errors import ScoringError
from spacy_duoguard.scoring.locks import locked
from spacy_duoguard.scoring.ray import dataset as ray_dataset
from spacy_duoguard.scoring.ray import folder as ray_folder
from spacy_duoguard.scoring.ray.dataset import Actors
from spacy_duoguard.scoring.ray.folder import FolderRun
from spacy_duoguard.scoring.record import BATCH
from spacy_duoguard.scoring.run_state import Output

pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")

COUNT = 4 * BATCH + 9


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """The class of the pool, for this test only."""
    local = type("Local", (LocalPool,), {})
    monkeypatch.setattr(ray_folder, "ActorPool", local)
    return local


@pytest.fixture(params=["jsonl", "parquet"])
def job(request, tmp_path, qwen2_folder):
    """A run over two files, of which 5 records have no text."""
    folder = tmp_path / "in"
    folder.mkdir()
    lines = write_texts(tmp_path / "all", COUNT).read_text().splitlines()
    for name, some in (("a", lines[:100]), ("b", lines[100:])):
        if request.param == "jsonl":
            (folder / f"{name}.jsonl").write_text("\n".join(some))
        else:
            rows = [{"id": None, "text": None, **json.loads(line)} for line in some]
            table = pa.Table.from_pylist(rows)
            parquet.write_table(table, folder / f"{name}.parquet", row_group_size=90)
    options = {"model": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    return FolderRun(folder, tmp_path / "out", options, actors=Actors(2))


@pytest.fixture
def whole(job, tmp_path, pool):
    """The parts of an undisturbed run."""
    run = replace(job, output=tmp_path / "whole")
    run.run()
    pool.scored = 0
    return parts(tmp_path / "whole")


@pytest.fixture
def stopped(job, whole, pool):
    """A run that was killed after two of five shards."""
    pool.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        job.run()
    pool.stop_after, pool.scored = None, 0
    return replace(job, resume=True)


def test_results_are_those_of_a_single_process(job, whole, run, tmp_path):
    job.run()
    assert parts(job.output) == whole
    assert len(whole) == 5
    joined = tmp_path / "joined.jsonl"
    if (job.source / "a.jsonl").exists():
        write_texts(joined, COUNT)
    else:
        joined = job.source
    run(joined, tmp_path / "one.jsonl")
    results, expected = results_of(job.output), results_of(tmp_path / "one.jsonl")
    assert len(results) == COUNT
    for mine, theirs in zip(results, expected, strict=True):
        for key in theirs:
            assert mine[key] == theirs[key], key


def test_complete_shards_stay(stopped, whole, pool):
    assert not stopped.output.exists()
    assert stopped.run().done == COUNT
    assert pool.scored == 3
    assert parts(stopped.output) == whole
    stopped.run()
    assert pool.scored == 3
    assert not stopped.aside.exists()


@pytest.mark.parametrize("damage", ["torn", "missing", "log", "log torn"])
def test_torn_and_missing_shards_are_scored_again(stopped, whole, pool, damage):
    first = sorted(stopped.aside.glob("part-*"))[0]
    log = stopped.aside / ".shards.jsonl"
    if damage == "torn":
        first.write_bytes(first.read_bytes()[:-1])
    elif damage == "missing":
        first.unlink()
    elif damage == "log":
        log.write_bytes(log.read_bytes().replace(b'"records": 128', b'"records": 127'))
    else:
        log.write_bytes(log.read_bytes()[:-9])
    stopped.run()
    assert pool.scored == (5 if damage == "log" else 4)
    assert parts(stopped.output) == whole


def test_another_option_or_model_is_refused(stopped, pool, llama_folder):
    for name, changes in (
        ("threshold", {"threshold": 0.3}),
        ("model of duoguard", {"model": str(llama_folder)}),
    ):
        other = replace(stopped, options={**stopped.options, **changes})
        before = parts(stopped.aside)
        with pytest.raises(ValueError, match=f"E171.*{name}"):
            other.run()
        assert (parts(stopped.aside), pool.scored) == (before, 0)
    stopped.run()
    with pytest.raises(ValueError, match="E171"):  # a finished run, too
        other.run()


def change(folder, line):
    path = folder / "a.jsonl"
    if path.exists():
        lines = path.read_text().splitlines()
        lines[line] = '{"id": 1, "text": "changed"}'
        path.write_text("\n".join(lines))
        return
    path = folder / "a.parquet"
    rows = parquet.read_table(path).to_pylist()
    rows[line]["text"] = "changed"
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=90)


def test_a_changed_or_shorter_input_is_refused(stopped, pool):
    shutil.copytree(stopped.source, stopped.source.with_name("copy"))
    change(stopped.source, 4)
    with pytest.raises(ValueError, match="E172"):
        stopped.run()
    (stopped.source / "a.jsonl").unlink(missing_ok=True)
    (stopped.source / "a.parquet").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="E172"):
        stopped.run()
    shorter = replace(stopped, source=stopped.source.with_name("short"))
    shutil.copytree(stopped.source.with_name("copy"), shorter.source)
    next(shorter.source.glob("b.*")).unlink()
    with pytest.raises(ValueError, match="E132"):
        shorter.run()
    assert pool.scored == 0


def test_a_grown_folder_is_continued(job, whole, pool):
    job.run()
    suffix = next(job.source.iterdir()).suffix
    name = f"b{suffix}"
    shutil.copy(job.source / name, job.source / f"c{suffix}")
    fresh = replace(job, output=job.output.with_name("fresh"))
    pool.scored = 0
    replace(job, resume=True).run()
    assert pool.scored < COUNT // BATCH + 2
    # The limit of the first run is kept, so only the rows are the same.
    fresh.run()
    assert results_of(job.output) == results_of(fresh.output)


def test_a_grown_folder_is_continued_after_a_kill(job, whole, pool):
    job.run()
    again = replace(job, resume=True)
    suffix = next(job.source.iterdir()).suffix
    shutil.copy(job.source / f"b{suffix}", job.source / f"c{suffix}")
    pool.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        again.run()
    assert parts(job.output) == whole
    pool.stop_after = None
    total = again.run().done
    assert len(results_of(job.output)) == total == 2 * COUNT - 100
    # Results of another run have taken its place: they are not replaced.
    pool.stop_after = 0
    shutil.copy(job.source / f"b{suffix}", job.source / f"d{suffix}")
    with pytest.raises(KeyboardInterrupt):
        again.run()
    shutil.rmtree(job.output)
    shutil.copytree(job.output.with_name("whole"), job.output)
    with pytest.raises(ValueError, match="E160"):
        again.run()


def test_an_interrupted_run_is_not_overlooked(stopped, whole, pool):
    with pytest.raises(ValueError, match="E189"):
        replace(stopped, resume=False).run()
    replace(stopped, resume=False, overwrite=True).run()
    assert pool.scored == 5
    assert parts(stopped.output) == whole


def test_an_interrupted_run_leaves_older_results(job, whole, pool):
    shutil.copytree(job.output.with_name("whole"), job.output)
    again = replace(job, overwrite=True, options={**job.options, "threshold": 0.01})
    pool.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        again.run()
    assert parts(job.output) == whole
    pool.stop_after = None
    with pytest.raises(ValueError, match=r"E160.*--overwrite"):
        replace(again, overwrite=False, resume=True).run()
    replace(again, resume=True).run()
    assert parts(job.output) != whole
    assert len(results_of(job.output)) == COUNT


def test_what_appears_in_the_output_meanwhile_is_kept(job, pool):
    steps = job.score()
    next(steps)
    next(steps)
    job.output.mkdir()
    (job.output / "notes.txt").write_text("not ours")
    with pytest.raises(ValueError, match="E160"):
        list(steps)
    assert (job.output / "notes.txt").read_text() == "not ours"
    shutil.rmtree(job.output)
    pool.scored = 0
    replace(job, resume=True).run()
    assert pool.scored == 0
    assert len(results_of(job.output)) == COUNT


def test_a_folder_of_something_else_is_left_as_it_is(job):
    job.output.mkdir()
    (job.output / "notes.txt").write_text("not ours")
    for flags in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(ValueError, match="E160"):
            replace(job, **flags).run()
    assert [path.name for path in job.output.iterdir()] == ["notes.txt"]


def test_no_text_is_sent_back_by_actors(job, pool):
    pool.results = sent = []
    counts = list(job.score())[-1]
    assert counts.done == COUNT
    data = [pickle.dumps(outcome) for outcome in sent]
    assert len(data) == 5
    assert not any(b"python" in outcome for outcome in data)
    assert max(map(len, data)) < 2000


def test_a_result_that_changes_meanwhile_is_not_put_in_place(job, whole, pool):
    steps = job.score()
    for _ in range(3):
        next(steps)
    next(job.aside.glob("part-*")).write_bytes(b"another")
    with pytest.raises(ValueError, match="E191"):
        list(steps)
    assert not job.output.exists()
    replace(job, resume=True).run()
    assert parts(job.output) == whole


def test_strict_stops_at_the_first_record_that_cannot_be_scored(job, pool, tmp_path):
    whole = replace(job, output=tmp_path / "whole")
    strict = replace(job, strict=True)
    suffix = next(job.source.iterdir()).suffix
    with pytest.raises(ScoringError, match=rf"E137.*a{suffix}: Record 6\b"):
        strict.run()
    assert not job.output.exists()
    assert pool.scored == 1
    with pytest.raises(ScoringError, match=r"E137.*Record 6\b"):
        replace(strict, resume=True).run()
    replace(job, resume=True).run()
    whole.run()
    assert parts(job.output) == parts(whole.output)
    # Nothing is left to do.
    assert replace(strict, resume=True).run().failed == 6
    assert parts(job.output) == parts(whole.output)


def test_failures_are_named_with_their_file(job):
    named = []
    counts = list(job.score(report=lambda *failure: named.append(failure)))[-1]
    assert counts.failed == len(named) == 6
    names = [name.split(":")[0][0] + name.split("Record")[1] for name, _ in named]
    numbers = [name.split()[1] for name in names]
    assert numbers == ["6", "103", "200", "297", "394", "491"]
    assert [name[0] for name in names] == ["a", *"bbbbb"]
    failed = [row for row in results_of(job.output) if row["status"] == "error"]
    assert [row["record"] for row in failed] == list(map(int, numbers))
    assert {row["cats"]["unsafe"] for row in failed} == {1.0}


def test_machines_that_would_score_differently_are_refused(job, pool, monkeypatch):
    def score(self, shards, folder):
        self.check({"version of torch": "1", "model of duoguard": "a"})
        self.check({"version of torch": "2", "model of duoguard": "a"})
        yield from ()

    monkeypatch.setattr(pool, "score", score)
    with pytest.raises(ScoringError, match=r"E187.*version of torch\."):
        job.run()


@pytest.mark.parametrize("is_folder", [True, False])
def test_one_run_at_a_time(job, run, is_folder, tmp_path):
    """Of runs on Ray, and in one process into a folder, whichever was first."""
    steps = job.score()
    next(steps)
    with pytest.raises(ValueError, match="E174"):
        replace(job, resume=True, overwrite=True).run()
    with pytest.raises(ValueError, match="E174"):
        run(next(job.source.iterdir()), f"{job.output}/")
    steps.close()
    shutil.rmtree(job.output, ignore_errors=True)
    with (
        locked(Output(job.output, is_folder=True)),
        pytest.raises(ValueError, match="E174"),
    ):
        replace(job, overwrite=True).run()


def test_a_run_in_one_process_is_not_continued_on_ray(job, run):
    run(next(job.source.iterdir()), f"{job.output}/")
    with pytest.raises(ValueError, match=r"E171.*--ray"):
        replace(job, resume=True).run()
    with pytest.raises(ValueError, match="E159"):
        replace(job, source=job.source.parent / "all").run()


def test_a_folder_without_records(job, pool):
    for path in job.source.iterdir():
        if path.suffix == ".jsonl":
            path.write_text("\n")
        else:
            table = pa.table({"text": pa.array([], pa.string())})
            parquet.write_table(table, path)
    assert job.run().done == 0
    (part,) = job.output.glob("part-*")
    if part.suffix == ".parquet":
        assert "cats" in parquet.read_schema(part).names
    suffix = part.suffix
    if suffix == ".jsonl":
        (job.source / "a.jsonl").write_text('{"text": "x"}')
        assert replace(job, resume=True).run().done == 1
        assert len(results_of(job.output)) == 1


@pytest.fixture
def command(job, monkeypatch):
    """A function that runs `score --ray` with options. RETURNS its code and output."""
    monkeypatch.setattr(ray_dataset, "connect", lambda actors, address: None)
    spacy.registry.cli.get_all()  # as spaCy does before it parses the command line

    def run(*options):
        model = ("--model", job.options["model"], "--precision", "float32")
        base = ("duoguard", "score", job.source, job.output, "--ray", 2, *model)
        done = CliRunner().invoke(app, [*map(str, base), *options])
        return done.exit_code, done.output

    return run


def test_ctrl_c_says_how_to_continue(command, pool, whole, job):
    pool.stop_after = 2
    code, output = command()
    assert (code, "with --resume" in output) == (130, True)
    pool.stop_after = None
    code, output = command("--resume")
    assert code == 3
    assert f"Scored: {COUNT - 2 * BATCH - 3} texts" in output
    assert "after 256 by an earlier run" in output
    assert "marked unsafe: 3 texts" in output
    assert "earlier run could not score: 3" in output
    assert "Record 491" in output
    assert parts(job.output) == whole


def test_strict_ends_the_command_like_in_one_process(command, job):
    code, output = command("--strict")
    assert code == 1
    assert "E137" in output
    assert "Record 6" in output
    assert not job.output.exists()
