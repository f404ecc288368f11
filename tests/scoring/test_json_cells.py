"""Lists and objects in a column of strings are read as what they were."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.runs import results_of

from spacy_duoguard.errors import SettingsError
from spacy_duoguard.scoring.json_cells import read_cell, write_cell

pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")


def test_messages_are_conversations_again_in_results_of_results(run, tmp_path):
    source = tmp_path / "in.jsonl"
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": "a"}]}]
    threat = [{"role": "user", "content": "I will kill you."}]
    rows = [
        {"title": "a", "messages": image, "note": ["x", {"b": None}]},
        {"title": "b", "messages": threat, "note": "[1]"},
        {"title": "c", "messages": "plain", "note": '"quoted"'},
        {"title": "d", "messages": None, "note": "[URGENT] " + "[" * 2000},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf8")
    run(source, tmp_path / "1.parquet", text_key="title")
    run(tmp_path / "1.parquet", tmp_path / "2.parquet", text_key="title")
    run(tmp_path / "2.parquet", tmp_path / "3.jsonl", text_key="title")
    read = results_of(tmp_path / "3.jsonl")
    assert [{name: row[name] for name in rows[0]} for row in read] == rows
    run(tmp_path / "3.jsonl", tmp_path / "4.jsonl", text_key="messages")
    run(source, tmp_path / "direct.jsonl", text_key="messages")
    again, direct = (
        results_of(tmp_path / "4.jsonl"),
        results_of(tmp_path / "direct.jsonl"),
    )
    assert [row["status"] for row in direct] == ["error", "ok", "ok", "error"]
    assert [row["cats"] for row in again] == [row["cats"] for row in direct]


@given(st.recursive(st.text('["{}]:, a1\\\n', max_size=8), st.lists, max_leaves=5))
def test_a_cell_is_read_as_what_it_was(value):
    cell = write_cell(value)
    assert isinstance(cell, str)
    assert read_cell(cell) == value


@pytest.mark.skipif(not hasattr(pa, "json_"), reason="pyarrow has no such type yet")
@pytest.mark.parametrize("store_schema", [True, False])
def test_texts_that_parquet_says_are_json_are_refused(run, tmp_path, store_schema):
    cells = pa.array(['[{"role": "user", "content": "a"}]'], pa.json_())
    table = pa.table({"text": cells, "id": ["a"]})
    parquet.write_table(table, tmp_path / "in.parquet", store_schema=store_schema)
    with pytest.raises(SettingsError, match="E340"):
        run(tmp_path / "in.parquet", tmp_path / "out.jsonl")
    run(tmp_path / "in.parquet", tmp_path / "out.jsonl", text_key="id")


@pytest.mark.filterwarnings("ignore:.W001")  # the model is the demo
def test_a_dataset_of_ray_refuses_texts_that_are_json_too(run, tmp_path):
    ray = pytest.importorskip("spacy_duoguard.scoring.ray.dataset")
    messages = [{"role": "user", "content": "I will kill you."}]
    rows = [{"id": "a", "messages": messages}, {"id": "b", "messages": "plain"}]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf8")
    run(source, out, text_key="id")
    table = parquet.read_table(out)
    options = {"model": "demo", "device": "cpu", "precision": "float32"}
    with pytest.raises(SettingsError, match=r"E340.*'messages' of the dataset"):
        ray.ScoreTexts(options, text_key="messages")(table)
