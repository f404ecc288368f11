"""Scoring on Ray gives the results of one process, even if an actor dies."""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from types import SimpleNamespace

import numpy
import pytest
import spacy
from spacy.cli._util import app
from spacy.util import is_package
from support.runs import parts, results_of, write_texts
from typer.testing import CliRunner

from spacy_duoguard.errors import ScoringError, SettingsError
from spacy_duoguard.scoring.pipelines import GuardOptions, load_guard
from spacy_duoguard.scoring.ray import dataset as ray_dataset
from spacy_duoguard.scoring.ray import pool as ray_pool
from spacy_duoguard.scoring.ray import shards
from spacy_duoguard.scoring.ray.dataset import (
    Actors,
    ScoreTexts,
    connect,
    score_dataset,
)
from spacy_duoguard.scoring.ray.folder import FolderRun
from spacy_duoguard.scoring.ray.shard_scorer import ShardScorer
from spacy_duoguard.scoring.ray.shards import Shard, make_plan
from spacy_duoguard.scoring.record import BATCH, Record, Source
from spacy_duoguard.scoring.scorer import RecordScorer
from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")

SENTENCES = "The dog sleeps. A fox jumps over it."
KEYS = [*CATEGORIES, UNSAFE]


@pytest.fixture
def options(qwen2_folder):
    name = str(qwen2_folder)
    return {"model": name, "precision": "float32", "device": "cpu", "threshold": 0.4}


@pytest.fixture
def expect(options):
    """A function that scores texts in one process."""
    scorer = RecordScorer(load_guard(GuardOptions(**options)))

    def score(texts):
        records = [Record(i, {}, text) for i, text in enumerate(texts, start=1)]
        return scorer.score(records)

    return score


def assert_same(result, expected):
    assert result["flags"] == expected["flags"]
    assert result["status"] == expected["status"]
    for key in KEYS:
        assert result["cats"][key] == pytest.approx(expected["cats"][key], abs=1e-5)


def test_a_batch_of_rows(options, expect):
    texts = ["The dog sleeps.", "", None, SENTENCES]
    mine = ["mine"] * 4
    columns = {
        "id": pa.array([4, 3, 2, 1], pa.int8()),
        "text": texts,
        "status": mine,
    }
    table = ScoreTexts(options)(pa.table(columns))
    assert table.schema.field("id").type == pa.int8()
    rows = table.to_pylist()
    assert [row["input_status"] for row in rows] == ["mine"] * 4
    assert [row["status"] for row in rows] == ["ok", "empty", "error", "ok"]
    for row, expected in zip(rows, expect([text or "" for text in texts]), strict=True):
        if row["text"] is not None:
            assert_same(row, expected)
    failed = rows[2]
    assert set(failed["cats"].values()) == {1.0}
    assert failed["flags"] == list(CATEGORIES)
    assert failed["error"] == "'text' is null, not a string"
    assert rows[0]["error"] is None


def test_a_batch_in_rays_default_format_with_sentences(options):
    scorer = ScoreTexts({**options, "sentences": "isolated"}, text_key="prompt")
    rows = scorer({"prompt": numpy.array([SENTENCES], dtype=object)}).to_pylist()
    offsets = {(s["start"], s["end"]) for s in rows[0]["sentences"]}
    assert offsets <= {(0, 15), (16, 36)}
    assert offsets
    with pytest.raises(SettingsError, match=r"E136.*no column 'prompt' among its 1"):
        scorer(pa.table({"text": ["x"]}))


def test_records_without_a_text_keep_their_fields(options, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(
        '{"id": 7, "text": null}\n{"id": 8, "text": "\\ud800"}\n{"id": 9}\n'
    )
    (shard,) = make_plan([path], 1).shards
    scorer = ShardScorer(options, Source(str(path), "jsonl", "text"), threads=1)
    scorer.score(shard, tmp_path)
    (part,) = tmp_path.glob("part-*")
    results = [json.loads(line) for line in part.read_text().splitlines()]
    assert [result["id"] for result in results] == [7, 8, 9]
    assert [result["status"] for result in results] == ["error"] * 3


@pytest.mark.parametrize(
    ("name", "value"), [("count", 0), ("cpus", 0), ("gpus", -1), ("gpus", float("nan"))]
)
def test_actors_are_checked(name, value):
    with pytest.raises(SettingsError, match="E156"):
        Actors(**{name: value})


def test_actors_use_no_gpu_that_they_did_not_request():
    resolve = ray_dataset.resolve
    assert resolve(None, Actors()).device == "cpu"
    assert resolve({"model": "demo"}, Actors(gpus=0.5)).device == "cuda"
    assert resolve({"device": "mps"}, Actors(gpus=1)).device == "mps"


def test_without_ray(monkeypatch):
    monkeypatch.setattr(ray_dataset, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"E157.*spacy-duoguard\[ray\]"):
        connect(Actors())


class EmptyCluster:
    """Ray, on a cluster without room for a single actor until tick `grows_at`."""

    exceptions = SimpleNamespace(RayError=RuntimeError)

    def __init__(self, grows_at):
        self.grows_at = grows_at
        self.ticks = self.killed = 0

    def remote(self, cls):
        start = SimpleNamespace(remote=object)
        actor = SimpleNamespace(describe=start)
        ready = SimpleNamespace(remote=lambda **arguments: actor)
        return SimpleNamespace(options=lambda **options: ready)

    def wait(self, refs, **options):
        self.ticks += 1
        if self.ticks > self.grows_at + 3:
            raise KeyboardInterrupt
        return [], refs

    def cluster_resources(self):
        return {"CPU": 4.0} if self.ticks > self.grows_at else {"memory": 1.0}

    def kill(self, actor, *, no_restart):
        self.killed += 1


@pytest.mark.parametrize("grows_at", [0, 9])
def test_a_cluster_that_stays_without_room_is_given_up(monkeypatch, grows_at):
    ray = EmptyCluster(grows_at)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(ray_pool, "connect", lambda actors: None)
    now = iter(range(0, 10_000, 100))
    monkeypatch.setattr(ray_pool, "monotonic", lambda: next(now))
    pool = ray_pool.ActorPool(Actors(2), {}, lambda known: None)
    expected = ScoringError if grows_at else KeyboardInterrupt
    with pytest.raises(expected) as info:
        list(pool.score([Shard(0, 1, 0, "", ())] * 3, None))
    if grows_at:
        assert "E190" in str(info.value)
        assert 600 // 100 <= ray.ticks <= grows_at
    assert ray.killed == 2


def test_unusable_folders_are_refused(tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    for folder in (source, output):
        folder.mkdir()
    with pytest.raises(SettingsError, match="E159"):
        FolderRun(source, output).run()
    (source / "a.jsonl").write_text("{}")
    (output / "part-0.jsonl").touch()
    with pytest.raises(SettingsError, match="E160"):
        FolderRun(source, output).run()
    output.rename(tmp_path / ".out.duoguard-old")  # as a killed run can leave it
    with pytest.raises(SettingsError, match="E160"):
        FolderRun(source, output).check()
    (output / "notes.txt").write_text("not ours")
    with pytest.raises(SettingsError, match="E160"):
        FolderRun(source, output, overwrite=True).run()
    with pytest.raises(SettingsError, match="E162"):
        FolderRun(source, source, overwrite=True).run()
    assert (source / "a.jsonl").read_text() == "{}"
    (source / "b.parquet").touch()  # the format of the results would be ambiguous
    with pytest.raises(SettingsError, match="E159"):
        FolderRun(source, tmp_path / "new").run()


needs_ray = pytest.mark.skipif(
    not is_package("ray"), reason="needs Ray: pip install ray[data]"
)


@pytest.fixture(scope="module")
def nodes():
    """A cluster of several nodes on this machine, with room for two actors."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    # Actors run on the other two nodes.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for cpus in (2, 1):
        cluster.add_node(num_cpus=cpus)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def cluster(nodes):
    """Ray, connected to the cluster."""
    import ray

    return ray


def slow_scorer(folder, *, exits=0):
    """RETURNS (type): A class of actors that take their time, and note in a folder on
    which node they scored which shard. The first `exits` of them end before they return
    a result."""

    import ray

    class Slow(ShardScorer):
        def score(self, shard, target):
            outcome = super().score(shard, target)
            node = ray.get_runtime_context().get_node_id()
            (folder / f"{node}-{os.getpid()}-{shard.index}").touch()
            time.sleep(0.3)
            if len(list(folder.iterdir())) <= exits:
                os._exit(1)
            return outcome

    return Slow


@pytest.fixture
def calls(tmp_path):
    folder = tmp_path / "calls"
    folder.mkdir()
    return folder


@pytest.fixture
def job(tmp_path, options, monkeypatch):
    """A run over two files of eight shards, with two broken records."""
    source = tmp_path / "in"
    source.mkdir()
    for k in range(2):
        lines = [
            json.dumps({"text": f"{i} {SENTENCES}", f"field {i % 3}": i})
            for i in range(k * 450, (k + 1) * 450)
        ]
        lines[7] = '{"text": torn'
        (source / f"{k}.jsonl").write_text("\n".join(lines), encoding="utf8")
    monkeypatch.setattr(shards, "MOST_BYTES", 1000)
    return FolderRun(source, tmp_path / "out", options, actors=Actors(2))


def assert_whole(job, expect):
    """Check that the results of `job` are those of a single process."""
    results = results_of(job.output)
    texts = [f"{i} {SENTENCES}" for i in range(900)]
    assert [row.get("text") for row in results] == [
        None if i % 450 == 7 else text for i, text in enumerate(texts)
    ]
    for i, (row, expected) in enumerate(zip(results, expect(texts), strict=True)):
        if i % 450 == 7:
            assert (row["status"], row["cats"][UNSAFE]) == ("error", 1.0)
            assert (row["record"], row["error"]) == (i + 1, "not valid JSON")
        else:
            assert row[f"field {i % 3}"] == i
            assert_same(row, expected)


@needs_ray
@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_a_folder_of_lines_while_actors_die(cluster, job, calls, expect, monkeypatch):
    monkeypatch.setattr(ray_pool, "ShardScorer", slow_scorer(calls, exits=2))
    counts = job.run()
    assert len(list(calls.iterdir())) == 10  # two shards were scored twice
    assert (counts.done, counts.failed) == (900, 2)
    assert_whole(job, expect)
    assert len(list(job.output.glob("part-*"))) == 8
    assert not job.aside.exists()


@needs_ray
@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_a_shard_that_kills_every_actor_ends_the_run(cluster, job, calls, monkeypatch):
    monkeypatch.setattr(ray_pool, "ShardScorer", slow_scorer(calls, exits=99))
    with pytest.raises(ScoringError, match=r"E188.*records \d+ to \d+"):
        job.run()
    assert not job.output.exists()


@needs_ray
@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_a_folder_of_lines_while_a_node_is_killed(
    nodes, cluster, job, calls, expect, monkeypatch
):
    monkeypatch.setattr(ray_pool, "ShardScorer", slow_scorer(calls))
    job.actors = Actors(1)
    steps = job.score()
    next(steps)
    next(steps)
    first = min(calls.iterdir(), key=os.path.getmtime).name.split("-")[0]
    (node,) = (node for node in nodes.worker_nodes if node.node_id == first)
    (cpus,) = (n["Resources"]["CPU"] for n in cluster.nodes() if n["NodeID"] == first)
    nodes.remove_node(node, allow_graceful=False)
    try:
        *_, counts = steps
    finally:
        nodes.add_node(num_cpus=int(cpus))
    assert (counts.done, counts.failed) == (900, 2)
    assert_whole(job, expect)
    assert len({path.name.split("-")[0] for path in calls.iterdir()}) == 2


# Imports once and forks for each run, because a fresh start takes seconds.
DRIVER = """
import os, random, signal, sys, time
from pathlib import Path
import spacy, torch, pyarrow.parquet
from spacy_duoguard.scoring import fingerprint
from spacy_duoguard.scoring.ray import folder as ray_folder, pool as ray_pool, shards
from spacy_duoguard.scoring.ray.dataset import Actors

torch.set_num_threads(1)
spacy.blank("xx")
address, source, out, model, kills = sys.argv[1:]
shards.MOST_BYTES = 1000
options = {"model": model, "precision": "float32", "device": "cpu", "threshold": 0.4}

def start():
    pid = os.fork()
    if pid:
        return pid
    try:
        import ray
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        job = ray_folder.FolderRun(
            Path(source), Path(out), options, actors=Actors(2), resume=True
        )
        job.run()
        os._exit(0)
    finally:
        os._exit(99)

def done():
    log = Path(out).with_name(".out.duoguard-run") / ".shards.jsonl"
    return log.read_bytes().count(b"output") if log.exists() else 0

generator = random.Random(0)
for i in range(int(kills)):
    before, pid = done(), start()
    if i % 4 == 3:  # before anything is scored
        time.sleep(generator.uniform(0, 3))
    else:
        until = time.monotonic() + 60
        while done() <= before and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(generator.uniform(0, 0.2))
    os.kill(pid, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), done(), flush=True)
print(os.waitstatus_to_exitcode(os.waitpid(start(), 0)[1]))
"""


@needs_ray
@pytest.mark.ray
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_driver_killed_at_random_points_is_resumed(
    nodes, cluster, tmp_path, options, kills, monkeypatch
):
    monkeypatch.setattr(shards, "MOST_BYTES", 1000)
    source = tmp_path / "in"
    source.mkdir()
    for k in range(4):
        write_texts(source / f"{k}.jsonl", 2 * kills * BATCH + k, seed=k)
    whole = FolderRun(source, tmp_path / "whole", options, actors=Actors(1))
    count = whole.run().done
    out = tmp_path / "out"
    arguments = [nodes.address, source, out, options["model"], kills]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *interrupted, last = done.stdout.split("\n")[:-1]
    assert {int(line.split()[0]) for line in interrupted} == {-signal.SIGKILL}
    reached = [int(line.split()[1]) for line in interrupted]
    assert reached == sorted(reached)
    assert len(set(reached)) > kills / 2
    assert last == "0", done.stderr
    assert len(results_of(out)) == count
    assert parts(out) == parts(whole.output)
    assert not list(tmp_path.glob(".*.duoguard*"))


@needs_ray
@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_a_folder_of_parquet(cluster, tmp_path, options, expect):
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    texts = [f"{i} {SENTENCES}" for i in range(300)]
    for k in range(2):
        part = texts[k * 150 : (k + 1) * 150]
        part[5] = None
        ids = pa.array(range(150), pa.int16())
        columns = {"prompt": part, "id": ids, **({"late": [1] * 150} if k else {})}
        parquet.write_table(
            pa.table(columns), source / f"{k}.parquet", row_group_size=40
        )
    run = FolderRun(source, output, options, text_key="prompt", actors=Actors(2))
    counts = run.run()
    assert (counts.done, counts.failed) == (300, 2)
    table = parquet.read_table(output)
    assert table.schema.field("id").type == pa.int16()
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [*range(150)] * 2
    assert [row["late"] for row in rows] == [None] * 150 + [1] * 150
    for i, (row, expected) in enumerate(zip(rows, expect(texts), strict=True)):
        if i % 150 == 5:
            assert (row["status"], row["cats"][UNSAFE]) == ("error", 1.0)
            assert row["record"] == i + 1
        else:
            assert row["prompt"] == texts[i]
            assert_same(row, expected)


def test_strings_of_numpy_are_scored_whole(options, expect):
    texts = ["The dog\0 sleeps.", "x"]
    rows = ScoreTexts(options)({"text": numpy.array(texts)}).to_pylist()
    assert [row["text"] for row in rows] == texts
    for row, expected in zip(rows, expect(texts), strict=True):
        assert_same(row, expected)


@pytest.mark.parametrize(
    "batch",
    [
        None,
        ["secret"],
        {"text": [5, "secret"]},
        {"text": ["secret", 5]},
        {"text": ["secret \ud800"]},
        {"text": ["secret", "x"], "id": [1]},
    ],
)
def test_batches_that_are_no_table_are_refused_without_their_texts(options, batch):
    with pytest.raises(SettingsError, match="E321") as caught:
        ScoreTexts(options)(batch)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@needs_ray
@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_a_missing_model_is_reported(cluster, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "a.jsonl").write_text('{"text": "x"}')
    run = FolderRun(source, output, {"model": str(tmp_path / "gone")})
    with pytest.raises(ScoringError, match=r"E0\d\d.*gone"):
        run.run()
    assert not output.exists()
    assert not run.aside.exists()


@needs_ray
@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_a_cluster_that_is_too_small_is_refused(cluster):
    connect(Actors(2))  # the cluster that is running
    with pytest.raises(SettingsError, match=r"E158.*3 of 4 CPUs"):
        connect(Actors(3))
    with pytest.raises(SettingsError, match=r"E158.*0 of 2 GPUs"):
        connect(Actors(2, gpus=1))


@needs_ray
@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_a_ray_dataset(cluster, options, expect):
    dataset = cluster.data.from_items([{"text": SENTENCES}, {"text": "x"}])
    rows = score_dataset(dataset, options, actors=Actors(1)).take_all()
    for row in rows:
        assert_same(row, expect([row["text"]])[0])


def run_score(*arguments):
    spacy.registry.cli.get_all()  # as spaCy does before it parses the command line
    return CliRunner().invoke(app, ["duoguard", "score", *map(str, arguments)])


def test_options_that_do_not_go_with_ray(tmp_path):
    done = run_score("in", "out", "--ray", 2, "--format", "csv")
    assert done.exit_code == 2
    assert "--format cannot be used with --ray" in done.output
    done = run_score(tmp_path, tmp_path / "out", "--ray", 2)
    assert (done.exit_code, "E159" in done.output) == (1, True)


@needs_ray
@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_the_command(cluster, tmp_path, options, expect):
    source, output = tmp_path / "in.jsonl", tmp_path / "out"
    source.write_text(f'{{"text": "{SENTENCES}"}}\nbroken\n', encoding="utf8")
    model = ("--model", options["model"], "--precision", "float32", "--threshold", 0.4)
    done = run_score(source, output, "--ray", 2, *model)
    assert done.exit_code == 3, done.output
    assert "Scored: 1 text in" in done.output
    assert "marked unsafe: 1 text: Record 2 (line 2);" in done.output
    assert "Record 2 (line 2): not valid JSON" in done.output
    row, failed = results_of(output)
    assert_same(row, expect([SENTENCES])[0])
    assert failed["status"] == "error"
    again = run_score(source, output, "--ray", 2, *model, "--resume")
    assert again.exit_code == 3, again.output
    strict = run_score(source, output, "--ray", 2, *model, "--overwrite", "--strict")
    assert strict.exit_code == 1
    assert "E137" in strict.output
    assert len(results_of(output)) == 2
