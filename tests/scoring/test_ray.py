"""Scoring on Ray gives the results of one process, even if an actor dies."""

import json
import os
import signal

import pytest
import spacy
from spacy.cli._util import app
from spacy.util import is_package
from typer.testing import CliRunner

from spacy_duoguard.errors import ScoringError, SettingsError
from spacy_duoguard.scoring import ray_dataset, ray_folder
from spacy_duoguard.scoring.pipelines import GuardOptions, load_guard
from spacy_duoguard.scoring.ray_dataset import (
    Actors,
    ScoreTexts,
    connect,
    score_dataset,
)
from spacy_duoguard.scoring.ray_folder import FolderRun, ScoreLines
from spacy_duoguard.scoring.record import Record
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
    numpy = pytest.importorskip("numpy")
    scorer = ScoreTexts({**options, "sentences": "isolated"}, text_key="prompt")
    rows = scorer({"prompt": numpy.array([SENTENCES], dtype=object)}).to_pylist()
    offsets = {(s["start"], s["end"]) for s in rows[0]["sentences"]}
    assert offsets <= {(0, 15), (16, 36)}
    assert offsets
    with pytest.raises(SettingsError, match=r"'prompt'.*'text'"):
        scorer(pa.table({"text": ["x"]}))


def test_records_without_a_text_keep_their_fields(options, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(
        '{"id": 7, "text": null}\n{"id": 8, "text": "\\ud800"}\n{"id": 9}\n'
    )
    (table,) = ray_folder._read_files({"item": [str(path)]}, text_key="text")
    lines = ScoreLines(options, threads=1)(table).column("line").to_pylist()
    results = [json.loads(line) for line in lines]
    assert [result["id"] for result in results] == [7, 8, 9]
    assert [result["status"] for result in results] == ["error"] * 3


@pytest.mark.parametrize(
    ("name", "value"), [("count", 0), ("cpus", 0), ("gpus", -1), ("gpus", float("nan"))]
)
def test_actors_are_checked(name, value):
    with pytest.raises(SettingsError, match="E156"):
        Actors(**{name: value})


def test_actors_use_no_gpu_that_they_did_not_request():
    resolve = ray_dataset._resolve
    assert resolve(None, Actors()).device == "cpu"
    assert resolve({"model": "demo"}, Actors(gpus=0.5)).device == "cuda"
    assert resolve({"device": "mps"}, Actors(gpus=1)).device == "mps"


def test_without_ray(monkeypatch):
    monkeypatch.setattr(ray_dataset, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"E157.*spacy-duoguard\[ray\]"):
        connect(Actors())


def test_unusable_folders_are_refused(tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    for folder in (source, output):
        folder.mkdir()
    with pytest.raises(SettingsError, match="E159"):
        FolderRun(source, output).run()
    (source / "a.jsonl").write_text("{}")
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
def cluster():
    """A local Ray cluster with room for two actors."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    ray.init(
        address="local",
        num_cpus=3,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


def dies_once(folder, at):
    """RETURNS (type): A class of actors. The one that scores batch number `at` dies
    before it returns the results."""

    class Dying(ScoreLines):
        def __call__(self, batch):
            lines = super().__call__(batch)
            (folder / f"{os.getpid()}-{batch['number'][0].as_py()}").touch()
            calls = len(list(folder.iterdir()))
            if calls == at:
                (folder / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return lines

    return Dying


@needs_ray
@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_a_folder_of_lines_while_an_actor_is_killed(
    cluster, tmp_path, options, expect, monkeypatch
):
    source, output, calls = (tmp_path / name for name in ("in", "out", "calls"))
    calls.mkdir()
    source.mkdir()
    texts = [f"{i} {SENTENCES}" for i in range(900)]
    for k in range(2):
        lines = [
            json.dumps({"text": text, f"field {i % 3}": i})
            for i, text in enumerate(texts)
        ]
        part = lines[k * 450 : (k + 1) * 450]
        part[7] = '{"text": torn'
        (source / f"{k}.jsonl").write_text("\n".join(part), encoding="utf8")
    monkeypatch.setattr(ray_folder, "ScoreLines", dies_once(calls, at=3))
    counts = FolderRun(source, output, options, actors=Actors(2)).run()
    assert (calls / "killed").exists()
    assert counts.done == 900
    assert counts.failed == 2
    paths = sorted(output.iterdir())
    lines = [path.read_text(encoding="utf8").splitlines() for path in paths]
    results = [json.loads(line) for part in lines for line in part]
    assert [row.get("text") for row in results] == [
        None if i % 450 == 7 else text for i, text in enumerate(texts)
    ]
    for i, (row, expected) in enumerate(zip(results, expect(texts), strict=True)):
        if i % 450 == 7:
            assert (row["status"], row["cats"][UNSAFE]) == ("error", 1.0)
            assert (row["record"], row["error"]) == (8, "not valid JSON")
        else:
            assert row[f"field {i % 3}"] == i
            assert_same(row, expected)
    assert counts.flagged == sum(bool(row["flags"]) for row in results)


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
        columns = {"prompt": part, "id": pa.array(range(150), pa.int16())}
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
    for i, (row, expected) in enumerate(zip(rows, expect(texts), strict=True)):
        if i % 150 == 5:
            assert (row["status"], row["cats"][UNSAFE]) == ("error", 1.0)
        else:
            assert row["prompt"] == texts[i]
            assert_same(row, expected)
    assert not list(tmp_path.glob(".*"))


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
    assert not list(tmp_path.glob(".*"))


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
    done = run_score("in", "out", "--ray", 2, "--resume")
    assert done.exit_code == 2
    assert "--resume cannot be used with --ray" in done.output
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
    assert "marked unsafe: 1 text;" in done.output
    (part,) = output.iterdir()
    row, failed = map(json.loads, part.read_text(encoding="utf8").splitlines())
    assert_same(row, expect([SENTENCES])[0])
    assert failed["status"] == "error"
