"""Long records: batches and parts end by their size, too, and nothing else changes."""

import gzip
import json
from dataclasses import replace
from itertools import islice

import pytest
from support.local_pool import LocalPool
from support.runs import contents, results_of, write_texts

from spacy_duoguard.errors import ScoringError
from spacy_duoguard.scoring import batches, parquet, parquet_size, parquet_writer
from spacy_duoguard.scoring.batches import make_batches, size_of
from spacy_duoguard.scoring.ray import folder as ray_folder
from spacy_duoguard.scoring.ray.dataset import Actors, ScoreTexts
from spacy_duoguard.scoring.ray.folder import FolderRun
from spacy_duoguard.scoring.ray.table_rows import make_table_rows
from spacy_duoguard.scoring.record import BATCH

COUNT = 2 * BATCH + 44


@pytest.fixture
def small(monkeypatch):
    """Batches and parts that end early."""
    monkeypatch.setattr(batches, "BATCH_SIZE", 12_000)
    monkeypatch.setattr(parquet_writer, "PART_SIZE", 60_000)


def write_long(path, count):
    """Write records with 6 million characters, which compress to a few kilobytes."""
    name, value = path.name.split(".", 1)[1], "a" * 6_000_000
    if name == "parquet":
        pa = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
        import pyarrow.parquet as pq

        values = pa.DictionaryArray.from_arrays(pa.array([0] * count), [value])
        pq.write_table(pa.table({"text": ["hi"] * count, "more": values}), path)
        return path
    lines = {
        "jsonl.gz": [json.dumps({"text": "hi", "more": value})] * count,
        "txt.gz": [value] * count,
        "csv.gz": ["text,more", *[f"hi,{value}"] * count],
    }[name]
    with gzip.open(path, "wt", 1) as handle:
        handle.writelines(f"{line}\n" for line in lines)
    assert path.stat().st_size < 300_000
    return path


@pytest.mark.parametrize("name", ["jsonl.gz", "txt.gz", "csv.gz", "parquet"])
def test_a_batch_of_long_records_ends_early(start, tmp_path, name):
    source = write_long(tmp_path / f"in.{name}", 5)
    steps = start(source, tmp_path / "out.jsonl", max_chars=50)
    each = 2 if name == "txt.gz" else 3  # a text counts twice: it becomes a doc
    assert [counts.done for counts in steps] == [0, each, *([4] * (each < 3)), 5]
    assert len(results_of(tmp_path / "out.jsonl")) == 5


def test_values_of_a_dictionary_are_not_decoded_at_once(tmp_path):
    source = write_long(tmp_path / "in.parquet", 64)
    import pyarrow as pa

    before = pa.total_allocated_bytes()
    rows = parquet.read_rows(source)
    assert len(next(rows)["more"]) == 6_000_000
    assert pa.total_allocated_bytes() - before < 100_000_000
    assert sum(1 for _ in rows) == 63


def test_a_row_of_a_table_has_a_limit_as_lines_have(run, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_size, "MAX_SIZE", 5_000_000)
    monkeypatch.setattr(parquet, "BATCH_SIZE", 5_000_000)
    run(write_long(tmp_path / "in.parquet", 2), tmp_path / "out.jsonl")
    results = results_of(tmp_path / "out.jsonl")
    assert [result["error"] for result in results] == ["a row longer than 64 MiB"] * 2


def test_sizes_depend_on_values_only():
    assert size_of("a" * 100) == 164
    assert size_of("é" * 100) == 464
    assert size_of(b"a" * 100) == 164
    assert size_of({"a": [1, None, "b"]}) == 6 * 64 + 2
    sizes = [2, 2, 2, batches.BATCH_SIZE, 1, batches.BATCH_SIZE - 1, 3]
    parts = list(make_batches(sizes, measure=int))
    assert [len(part) for part in parts] == [4, 2, 1]
    assert [part.is_full for part in parts] == [True, True, False]
    # A batch ends with each 128 records of the input, wherever the last one ended.
    parts = list(make_batches(sizes * 40, before=5, measure=int))
    ends = {5 + sum(map(len, parts[: i + 1])) for i in range(len(parts))}
    assert {128, 256, 285} <= ends


@pytest.mark.parametrize(
    "name", ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.parquet"]
)
@pytest.mark.parametrize("n_steps", [1, 4, 10, None])
def test_a_resumed_run_divides_its_input_in_the_same_way(
    start, run, tmp_path, small, name, n_steps
):
    if not name.endswith(("jsonl", "gz")):
        pytest.importorskip("pyarrow", reason="Parquet and zstd need pyarrow")
    whole, out = tmp_path / f"whole-{name}", tmp_path / name
    source = write_texts(tmp_path / "in.jsonl", COUNT + 30)
    done = [counts.done for counts in run(source, whole)]
    assert len(done) > 12
    assert {0, BATCH, 2 * BATCH, COUNT + 30} <= set(done)
    if name == "out.parquet":
        assert len(contents(whole)) > 3
    write_texts(source, COUNT if n_steps is None else COUNT + 30)
    steps = start(source, out)
    reached = [counts.done for counts in islice(steps, n_steps)][-1]
    steps.close()
    if n_steps is None:  # finished, and the input has grown
        write_texts(source, COUNT + 30)
    first, *_ = run(source, out, resume=True)
    assert contents(out) == contents(whole)
    assert first.done <= reached
    # A file loses at most what follows the last full batch, which is scored again.
    if name != "out.parquet":
        assert first.done >= [0, 0, *(n for n in done if n < reached)][-2]


def test_the_division_changes_no_result(run, source, tmp_path, monkeypatch):
    run(source, tmp_path / "whole.jsonl")
    monkeypatch.setattr(batches, "BATCH_SIZE", 12_000)
    run(source, tmp_path / "small.jsonl")
    whole = results_of(tmp_path / "whole.jsonl")
    small = results_of(tmp_path / "small.jsonl")
    for one, other in zip(whole, small, strict=True):
        # Texts in a packed batch are multiplied together, to the last digits.
        assert one.pop("cats") == pytest.approx(other.pop("cats"), abs=2e-6)
        assert one == other


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_on_ray_batches_end_where_they_do_in_a_single_process(
    run, qwen2_folder, tmp_path, monkeypatch, small, form
):
    pa = pytest.importorskip("pyarrow", reason="the extra 'ray' installs it")
    import pyarrow.parquet as pq

    monkeypatch.setattr(ray_folder, "ActorPool", type("Local", (LocalPool,), {}))
    folder = tmp_path / "in"
    folder.mkdir()
    source = write_texts(folder / "a.jsonl", COUNT)
    rows = [json.loads(line) for line in source.read_text("utf8").splitlines()]
    table = pa.Table.from_pylist([{"id": None, "text": None, **row} for row in rows])
    if form == "parquet":
        source.unlink()
        source = folder / "a.parquet"
        pq.write_table(table, source, row_group_size=90)
    options = {"model": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    FolderRun(folder, tmp_path / "out", options, actors=Actors(1)).run()
    run(source, tmp_path / "single.jsonl")
    single = [result["cats"] for result in results_of(tmp_path / "single.jsonl")]
    assert [result["cats"] for result in results_of(tmp_path / "out")] == single
    # The batches of a dataset end by its texts alone.
    scored = ScoreTexts(options)(table).column("cats").to_pylist()
    for one, other in zip(scored, single, strict=True):
        assert one == pytest.approx(other, abs=2e-6)


def test_other_columns_of_a_dataset_are_not_read():
    pa = pytest.importorskip("pyarrow", reason="the extra 'ray' installs it")
    table = pa.table({"text": ["hi", None], "image": [[1] * 9000, [2]]})
    (batch,) = table.to_batches()
    (with_image, _) = make_table_rows(batch, "text", first=1)
    rows = list(make_table_rows(batch, "text", first=1, with_fields=False))
    assert with_image.size > 9000 > 10 * rows[0].size
    assert [row.record.text for row in rows] == ["hi", ""]
    assert rows[0].cells.column("image").to_pylist() == [[1] * 9000]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_strict_shard_that_is_not_complete_is_not_written(
    qwen2_folder, tmp_path, monkeypatch, small, form
):
    pa = pytest.importorskip("pyarrow", reason="the extra 'ray' installs it")
    import pyarrow.parquet as pq

    monkeypatch.setattr(ray_folder, "ActorPool", type("Local", (LocalPool,), {}))
    folder = tmp_path / "in"
    folder.mkdir()
    texts = [*["a text"] * 50, None, "another"]
    if form == "jsonl":
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        (folder / "a.jsonl").write_text("".join(lines))
    else:
        pq.write_table(pa.table({"text": texts}), folder / "a.parquet")
    options = {"model": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    job = FolderRun(folder, tmp_path / "out", options, actors=Actors(1), strict=True)
    with pytest.raises(ScoringError, match=r"E137.*Record 51"):
        job.run()
    assert not list(job.aside.glob("*part-*"))
    assert replace(job, strict=False, resume=True).run().done == len(texts)
