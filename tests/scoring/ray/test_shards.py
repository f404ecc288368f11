"""Shards join small files and split large ones. They are the whole input, in order."""

import json
import pickle
import random

import pytest
from support.runs import pack, write_texts

from spacy_duoguard.scoring import text_files
from spacy_duoguard.scoring.inputs import read_text_file
from spacy_duoguard.scoring.ray import line_slices, shards
from spacy_duoguard.scoring.ray.shard_scorer import _read_lines, _read_rows
from spacy_duoguard.scoring.ray.shards import make_plan, shard_bytes
from spacy_duoguard.scoring.record import BATCH, Source

pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")

SIZES = (1, 0, 5, 700, 127, 3, 300)


@pytest.fixture(params=["jsonl", "parquet"])
def files(request, tmp_path):
    """Files of various sizes, with distinct texts."""
    paths = []
    for i, count in enumerate(SIZES):
        path = tmp_path / f"{i}.{request.param}"
        texts = [f"{i} {j} " + "word " * (j % 7) for j in range(count)]
        if request.param == "jsonl":
            lines = [json.dumps({"text": text}) for text in texts]
            path.write_text("\n".join(lines), encoding="utf8")
        else:
            table = pa.table({"text": pa.array(texts, pa.string())})
            parquet.write_table(table, path, row_group_size=90)
        paths.append(path)
    return paths


def read(shard):
    """The file and the text of each record of a shard."""
    if shard.slices and shard.slices[0].path.endswith(".parquet"):
        schema = pa.schema([("text", pa.string())])
        rows = list(_read_rows(shard, schema, "text"))
        assert all(row.record.problem is None for row in rows)
        numbers = range(shard.first, shard.first + shard.records)
        assert [row.record.number for row in rows] == list(numbers)
        return [(row.path, row.record.text) for row in rows]
    return [(path, record.text) for path, record in _read_lines(shard, "text")]


@pytest.mark.parametrize("limit", [1, 3000, 10_000, 2**24])
def test_shards_hold_all_records_in_order(files, limit):
    plan = make_plan(files, limit)
    assert [shard.index for shard in plan.shards] == list(range(len(plan.shards)))
    seen = [pair for shard in plan.shards for pair in read(shard)]
    expected = [
        (str(path), f"{i} {j} " + "word " * (j % 7))
        for i, path in enumerate(files)
        for j in range(SIZES[i])
    ]
    assert seen == expected
    assert plan.records == len(expected)
    for shard in plan.shards:
        assert shard.first == 1 + sum(s.records for s in plan.shards[: shard.index])
    assert all(shard.records % BATCH == 0 for shard in plan.shards[:-1])
    assert plan == make_plan(files, limit)


def test_small_files_are_joined_and_large_ones_split(files):
    (joined,) = make_plan(files, 2**24).shards
    assert len(joined.slices) == len([size for size in SIZES if size])
    assert len(make_plan(files, 1).shards) == -(-sum(SIZES) // BATCH)


def test_a_shard_has_a_limited_number_of_records(files, monkeypatch):
    monkeypatch.setattr(shards, "PART", 4 * BATCH)
    plan = make_plan(files, 2**40)
    assert [shard.records for shard in plan.shards] == [512, 512, 112]


@pytest.mark.parametrize("actors", [1, 2, 4])
def test_every_actor_has_work(tmp_path, actors):
    source = write_texts(tmp_path / "in.jsonl", 16 * BATCH)
    limit = shard_bytes([source], actors)
    assert len(make_plan([source], limit).shards) >= 2 * actors


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("longest", [2**20, 24])
def test_records_are_those_of_a_single_process(tmp_path, monkeypatch, suffix, longest):
    for module in (line_slices, text_files):
        monkeypatch.setattr(module, "MAX_SIZE", longest)
    lines = [
        b'\xef\xbb\xbf{"text": "a"}\r\n',
        b"\n",
        b'{"text": "a\\n", "id": 7}\r\n',
        b"\xc2\xa0 \n",  # white space, too
        b"broken\n",
        b"\xff\n",
        b'\xef\xbb\xbf{"text": "no mark here"}\n',
        b' {"text": "\\u2028 \xe2\x80\xa8 \x0c"}\n',
        b"\0\n",
        b'{"text": "last"}',
    ]
    draw = random.Random(0)
    more = [draw.choice(lines[1:-1]) for _ in range(500)]
    path = tmp_path / f"in.jsonl{suffix}"
    content = b"".join(lines[:-1] + more + lines[-1:])
    path.write_bytes(pack(content, suffix, members=3))
    expected = list(read_text_file(Source(str(path), "jsonl", "text")))
    plan = make_plan([path], 1)
    assert len(plan.shards) > 2
    records = [r for shard in plan.shards for _, r in _read_lines(shard, "text")]
    assert records == expected
    too_long = [r for r in records if "longer than" in str(r.problem)]
    assert bool(too_long) == (longest == 24)


def test_an_input_that_has_grown_begins_with_the_same_shards(files):
    before = make_plan(files[:-1], 1)
    last = before.shards[-1]
    grown = make_plan(files, 1, until=before.records)
    n_full = len(before.shards) - 1
    assert grown.shards[:n_full] == before.shards[:n_full]
    assert grown.shards[n_full].digest != last.digest
    assert grown.prefix == last.digest
    if files[0].suffix == ".jsonl":
        with files[-2].open("ab") as handle:
            handle.write(b'\n{"text": "one more"}\n')
        assert make_plan(files[:-1], 1, until=before.records).prefix == last.digest


def test_no_text_is_sent_to_actors(files):
    plan = make_plan(files, 3000)
    sent = [pickle.dumps(shard) for shard in plan.shards]
    assert not any(b"word" in data for data in sent)
    # What is sent grows with the number of files and shards, not with the texts.
    assert sum(map(len, sent)) < 400 * (len(plan.shards) + len(files))


def test_a_file_that_changes_after_planning_is_detected(files):
    plan = make_plan(files, 2**24)
    content = files[3].read_bytes()
    files[3].write_bytes(content.replace(b"word", b"kill", 1))
    with pytest.raises(ValueError, match="E186"):
        read(plan.shards[0])
