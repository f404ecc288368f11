"""Folders of Parquet files whose columns differ are combined, or refused at once."""

import datetime
import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.runs import results_of

from spacy_duoguard.errors import SettingsError
from spacy_duoguard.scoring import fields as fields_module
from spacy_duoguard.scoring.fields import FieldCounts
from spacy_duoguard.scoring.jsonl import to_line
from spacy_duoguard.scoring.record import BrokenRecordError, Source
from spacy_duoguard.scoring.run import count_records, open_source, read_records

pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")

from spacy_duoguard.scoring.parquet import (  # noqa: E402
    input_columns,
    read_rows,
    to_rows,
)
from spacy_duoguard.scoring.parquet_schema import unify_schemas  # noqa: E402
from spacy_duoguard.scoring.parquet_size import (  # noqa: E402
    _ITEM,
    _size_of_items,
    is_too_long,
    size_of_rows,
)


@pytest.fixture
def folder(tmp_path):
    """A function that writes columns to a file of a folder."""
    path = tmp_path / "in"
    path.mkdir()

    def write(**columns):
        number = len(list(path.iterdir()))
        parquet.write_table(pa.table(columns), path / f"{number}.parquet")
        return path

    return write


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_a_column_that_only_a_later_file_has_is_kept(run, folder, tmp_path, name):
    folder(text=["a", "b"], id=pa.array([1, 2], pa.int32()))
    source = folder(text=["c"], id=pa.array([2**40]), note=["late"])
    run(source, tmp_path / name)
    rows = results_of(tmp_path / name)
    assert [(row["text"], row["id"], row["note"], row["status"]) for row in rows] == [
        ("a", 1, None, "ok"),
        ("b", 2, None, "ok"),
        ("c", 2**40, "late", "ok"),
    ]


def same(kind):
    return kind, kind


@pytest.mark.parametrize(
    ("first", "second", "combined"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.int16(), pa.float64(), pa.float64()),
        (pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.string()),
        (pa.string_view(), pa.large_string(), pa.large_string()),
        (pa.string_view(), pa.string(), pa.string()),
        (pa.null(), pa.bool_(), pa.bool_()),
        (pa.null(), pa.string(), pa.string()),
        (pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.list_(pa.int8()), pa.list_(pa.int16()), pa.list_(pa.int16())),
        (*same(pa.binary()), pa.binary()),
    ],
    ids=str,
)
def test_types_are_combined(folder, first, second, combined):
    for kind in (first, second):
        source = folder(text=["x"], extra=pa.nulls(1, kind))
    assert unify_schemas(sorted(source.iterdir())).field("extra").type == combined
    assert list(read_rows(source)) == [{"text": "x", "extra": None}] * 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.int64(), pa.string()),
        (pa.string(), pa.binary()),
        (pa.bool_(), pa.int8()),
        (pa.timestamp("ms"), pa.timestamp("ms", "UTC")),
        (pa.list_(pa.int8()), pa.int8()),
        (pa.list_(pa.string()), pa.list_(pa.int8())),
    ],
    ids=str,
)
def test_types_without_a_common_one_are_refused_at_once(
    run, folder, tmp_path, first, second
):
    for kind in (first, second):
        source = folder(text=["x"], extra=pa.nulls(1, kind))
    with pytest.raises(ValueError, match="E185") as info:
        run(source, tmp_path / "out.jsonl")
    kinds = (str(kind).replace("item", "element") for kind in (first, second))
    for part in ("'extra'", *kinds, "0.parquet", "1.parquet"):
        assert part in str(info.value)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_later_file_without_texts_is_refused_at_once(run, folder, tmp_path):
    folder(text=["x"])
    source = folder(body=["x"])
    with pytest.raises(ValueError, match=r"E136.*1\.parquet"):
        run(source, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_value_that_does_not_fit_is_an_error_of_its_row(run, folder, tmp_path):
    folder(text=["a", "b"], size=pa.array([1, 2**53 + 1]))
    source = folder(text=["c"], size=[0.5])
    rows = list(read_rows(source))
    assert rows[0] == {"text": "a", "size": 1.0}
    assert isinstance(rows[1], BrokenRecordError)
    assert "'size' does not fit into double" in str(rows[1])
    run(source, tmp_path / "out.parquet")
    results = results_of(tmp_path / "out.parquet")
    assert [row["status"] for row in results] == ["ok", "error", "ok"]
    assert results[1]["cats"]["unsafe"] == 1.0


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
    ids=str,
)
def test_texts_are_read_however_they_are_stored(run, folder, tmp_path, kind):
    texts = ["a", None, "I will kill you"]
    folder(text=texts)
    source = folder(text=pa.array(texts, kind))
    run(source, tmp_path / "out.parquet")
    rows = results_of(tmp_path / "out.parquet")
    assert [row["text"] for row in rows] == 2 * texts
    assert [row["status"] for row in rows] == 2 * ["ok", "error", "ok"]
    assert rows[0]["cats"] == pytest.approx(rows[3]["cats"], abs=1e-5)


def test_a_page_that_its_checksum_says_is_damaged_is_refused(run, tmp_path):
    source = tmp_path / "in.parquet"
    options = {"use_dictionary": False, "write_statistics": False}
    table = pa.table({"text": ["I will kill you."]})
    parquet.write_table(
        table, source, write_page_checksum=True, compression="none", **options
    )
    source.write_bytes(source.read_bytes().replace(b"kill", b"love"))
    with pytest.raises(ValueError, match=r"E139.*damaged"):
        run(source, tmp_path / "out.jsonl")


def test_nanoseconds_are_not_left_out(run, folder, tmp_path):
    times = pa.array([1_000_000_001, 1_000_000_000], pa.time64("ns"))
    run(folder(text=["a", "b"], at=times), tmp_path / "out.jsonl")
    first, second = results_of(tmp_path / "out.jsonl")
    assert first["status"] == "error"
    assert "'at' does not fit into time64[us]" in first["error"]
    assert (second["status"], second["at"]) == ("ok", "00:00:01")


def test_times_of_different_units_keep_their_values(folder):
    moment = datetime.datetime(2026, 11, 25, 12, 30, 0, 250_000)
    for unit in ("ms", "us"):
        source = folder(text=["x"], at=pa.array([moment], pa.timestamp(unit)))
    assert [row["at"] for row in read_rows(source)] == [moment, moment]


@pytest.mark.parametrize(
    "name", ["sub/b.parquet", "day=1/b.parquet", "b.parq", "b.jsonl", "b.parquet.gz"]
)
def test_what_would_be_left_out_of_a_folder_is_refused(run, folder, tmp_path, name):
    source = folder(text=["a"])
    other = source / name
    other.parent.mkdir(exist_ok=True)
    parquet.write_table(pa.table({"text": ["b"]}), other)
    top = name.split("/")[0]
    with pytest.raises(ValueError, match=rf"E225.*'{top}', which"):
        run(source, tmp_path / "out.jsonl", model="no such model")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_a_folder_is_refused(run, folder, tmp_path):
    source = folder(text=["a"])
    os.mkfifo(source / "b.parquet")
    with pytest.raises(ValueError, match=r"E139.*b\.parquet: it's not a regular file"):
        run(source, tmp_path / "out.jsonl", model="no such model")


def test_hidden_files_and_those_of_spark_are_skipped(folder):
    source = folder(text=["a"])
    for name in ("_SUCCESS", ".a.parquet.crc", "_b.parquet"):
        parquet.write_table(pa.table({"text": ["b"]}), source / name)
    (source / "_delta_log").mkdir()
    assert list(read_rows(source)) == [{"text": "a"}]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
@pytest.mark.parametrize("flag", ["resume", "overwrite"])
def test_new_parts_have_the_permissions_of_earlier_ones(run, folder, tmp_path, flag):
    out = tmp_path / "out.parquet"
    run(folder(text=["a"]), out)
    (out / "part-00000.parquet").chmod(0o600)
    run(folder(text=["b"]), out, **{flag: True})
    assert [result["text"] for result in results_of(out)] == ["a", "b"]
    assert (out / "part-00000.parquet").stat().st_mode & 0o777 == 0o600


def test_messages_that_have_become_json_are_not_scored_as_texts(run, tmp_path):
    messages = [{"role": "user", "content": "I will kill you."}]
    call = [{"role": "assistant", "tool_calls": [{"id": "1"}]}]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    rows = [{"text": messages}, {"text": call}, {"text": "plain"}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf8")
    run(source, out)
    with pytest.raises(SettingsError, match=r"E340.*column 'text'"):
        run(out, tmp_path / "again.jsonl")
    with pytest.raises(SettingsError, match="E340"):  # on Ray
        unify_schemas(sorted(out.glob("*.parquet")), required="text")
    # The transcripts are texts.
    source = open_source(str(out), text_key="scored_text")
    texts = [record.text for record in read_records(source)]
    assert texts[0] == "I will kill you."
    # JSON lines keep messages.
    run(tmp_path / "in.jsonl", tmp_path / "first.jsonl")
    run(tmp_path / "first.jsonl", tmp_path / "again.jsonl")
    statuses = [row["status"] for row in results_of(tmp_path / "again.jsonl")]
    assert statuses == ["ok", "error", "ok"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_read_twice(run, tmp_path):
    """It would be waited for without end."""
    pipe = tmp_path / "in.jsonl"
    os.mkfifo(pipe)
    for name in ("out.jsonl", "out.parquet"):
        writer = threading.Thread(
            target=pipe.write_text, args=('{"text": "a"}\n' * 3,), daemon=True
        )
        writer.start()
        if name == "out.parquet":
            with pytest.raises(SettingsError, match="E141"):
                run(pipe, tmp_path / name)
        else:
            run(pipe, tmp_path / name)
        writer.join(10)
    assert len(results_of(tmp_path / "out.jsonl")) == 3
    assert count_records(Source(str(pipe), "jsonl", "text")) is None


def test_another_field_with_messages_is_no_text_either(run, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    call = [{"role": "assistant", "tool_calls": [{"id": "1"}]}]
    source.write_text(json.dumps({"title": "a", "messages": call}) + "\n", "utf8")
    run(source, out, text_key="title")
    run(out, tmp_path / "again.parquet", text_key="title")
    for results in (out, tmp_path / "again.parquet"):
        with pytest.raises(SettingsError, match=r"E340.*column 'messages'"):
            run(results, tmp_path / "last.jsonl", text_key="messages")


@pytest.mark.parametrize("value", [5, True, ["a"], [], {"a": 1}, [{"role": "x"}]])
def test_what_is_no_text_is_none_in_its_results_either(run, tmp_path, value):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    rows = [{"text": value}, {"text": "plain"}, {"text": None}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf8")
    run(source, out)
    statuses = [row["status"] for row in results_of(out)]
    assert statuses == ["error", "ok", "error"]
    with pytest.raises(SettingsError, match="E340"):
        run(out, tmp_path / "again.jsonl")
    source.write_text('{"text": "plain"}\n{"text": null}\n', "utf8")
    run(source, out, overwrite=True)
    run(out, tmp_path / "again.jsonl")
    statuses = [row["status"] for row in results_of(tmp_path / "again.jsonl")]
    assert statuses == ["ok", "error"]


@pytest.mark.parametrize("more", [{"new": 1}, {"id": "a"}])
def test_records_that_need_other_columns_are_not_appended(
    run, tmp_path, small_parts, more
):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    lines = [json.dumps({"text": f"text {i}", "id": i}) + "\n" for i in range(300)]
    source.write_text("".join(lines), "utf8")
    run(source, out)
    expected = results_of(out)
    source.write_text("".join([*lines, json.dumps({"text": "b"} | more) + "\n"]))
    column = rf"'{next(iter(more))}' \("
    with pytest.raises(SettingsError, match=f"E344.*{column}"):
        run(source, out, resume=True)
    assert results_of(out) == expected


def write_fields(path, count, each=20):
    """Write records that have other fields than all others."""
    rows = [
        {"text": "hi", **{f"{i} {j}": 1 for j in range(each)}} for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf8")
    return path


def test_fields_that_differ_without_end_are_left_out(tmp_path):
    """As columns, they would take quadratic time."""
    source = write_fields(tmp_path / "in.jsonl", 49)
    columns = input_columns(Source(str(source), "jsonl", "text"))
    assert len(columns.fields) == 49 * 20 + 1
    write_fields(source, 50)
    columns = input_columns(Source(str(source), "jsonl", "text"))
    assert len(columns.fields) == 1000
    table = tmp_path / "in.csv"
    table.write_text(",".join(["text", *map(str, range(1200))]) + "\n" + "," * 1200)
    assert len(input_columns(Source(str(table), "csv", "text")).fields) == 1201


def test_a_record_with_too_many_fields_costs_no_other(run, tmp_path):
    rows = [{"text": "a", "id": 1}, {str(i): i for i in range(1200)}, {"text": "b"}]
    rows[1]["text"] = "c"
    source, out = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf8")
    run(source, out)
    first, wide, last = results_of(out)
    assert [row["status"] for row in (first, wide, last)] == ["ok", "error", "ok"]
    assert (first["text"], wide["text"], last["text"]) == ("a", "c", "b")
    assert "beyond the 1,000 most frequent" in wide["error"]
    assert (first["id"], wide["0"], wide["997"]) == (1, 0, 997)
    assert "998" not in wide  # text, id and 998 others
    with open(source, "a", encoding="utf8") as handle:
        handle.write('{"text": "d"}\n')
    run(source, tmp_path / "whole.parquet")
    run(source, out, resume=True)
    assert results_of(out) == results_of(tmp_path / "whole.parquet")


@pytest.mark.parametrize("count", [997, 998, 1200])
def test_the_fields_of_one_record_are_not_columns_instead_of_all_others(
    run, tmp_path, count
):
    rows = [{str(i): i for i in range(count)} | {"text": "a"}]
    rows += [{"id": i, "author": f"name {i}", "text": "b"} for i in range(20)]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf8")
    run(source, out)
    hostile, *others = results_of(out)
    assert hostile["status"] == ("ok" if count == 997 else "error")
    assert hostile["text"] == "a"
    for row, result in zip(rows[1:], others, strict=True):
        assert result["status"] == "ok"
        assert {name: result[name] for name in row} == row


@given(
    rows=st.lists(st.sets(st.sampled_from("abcdefgh")), max_size=12),
    most=st.integers(2, 6),
)
def test_the_fields_that_most_records_have_are_chosen(rows, most):
    counts = FieldCounts("text")
    for row in rows:
        counts.add(dict.fromkeys(sorted(row), "int"))
    counts.add({"text": "str"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fields_module, "MOST_COLUMNS", most)
        chosen = counts.chosen
    assert chosen["text"] == {"str"}
    names = list(dict.fromkeys(name for row in rows for name in sorted(row)))
    frequency = {name: sum(name in row for row in rows) for name in names}
    assert len(chosen) == min(most, len(names) + 1)
    others = set(names) - set(chosen)
    for name in set(chosen) - {"text"}:
        assert all(frequency[name] >= frequency[other] for other in others)
    assert [name for name in names if name in chosen] == list(chosen)[:-1]


def test_names_without_end_are_counted_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(fields_module, "_MOST_COUNTED", 100)
    counts = FieldCounts("text")
    for i in range(1000):
        counts.add({f"{i} {j}": "int" for j in range(30)} | {"id": "int"})
        assert len(counts._fields) <= 100
    assert counts.chosen["id"] >= {"int"}


def test_a_name_that_was_forgotten_may_have_had_any_type(monkeypatch):
    monkeypatch.setattr(fields_module, "_MOST_COUNTED", 10)
    counts = FieldCounts("text")
    for i in range(20):
        counts.add({f"{i} {j}": "int" for j in range(9)})
        counts.add({"id": "str" if i < 10 else "int"})
        counts.add({f"{i} {j} more": "int" for j in range(9)})
    for _ in range(20):
        counts.add({"id": "int"})
    assert counts.chosen["id"] > {"int"}


def test_messages_are_no_texts_in_results_of_results_either(run, tmp_path):
    source = tmp_path / "in.jsonl"
    call = [{"role": "assistant", "tool_calls": [{"id": "1"}]}]
    messages = [{"role": "user", "content": "I will kill you."}]
    rows = [{"text": messages}, {"text": call}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf8")
    run(source, tmp_path / "1.parquet")
    run(tmp_path / "1.parquet", tmp_path / "2.parquet", text_key="scored_text")
    with pytest.raises(SettingsError, match=r"E340.*column 'text'"):
        run(tmp_path / "2.parquet", tmp_path / "3.jsonl")


def test_columns_that_differ_without_end_are_refused(tmp_path):
    for i in range(3):
        names = ["text", *(f"{i} {j}" for j in range(400))]
        parquet.write_table(
            pa.table({name: ["a"] for name in names}), tmp_path / f"{i}"
        )
    assert len(unify_schemas([tmp_path / "0", tmp_path / "1"])) == 801
    with pytest.raises(SettingsError, match="E354"):
        unify_schemas([tmp_path / f"{i}" for i in range(3)])
    names = ["text", *map(str, range(1500))]  # one file may have as many as it likes
    parquet.write_table(pa.table({name: ["a"] for name in names}), tmp_path / "wide")
    assert len(unify_schemas([tmp_path / "wide"])) == 1501


@pytest.mark.parametrize("value", [-(2**63), -1.1125369292536007e-308, None, True])
def test_numbers_of_a_row_count_as_much_as_in_a_line(value):
    """The line that `score` writes must not be too long for a reader."""
    rows = pa.table({"x": [[value] * 1000]})
    (row,) = to_rows(rows)
    assert size_of_rows(rows) >= len(to_line(row)) - len(b'{"x": []}')
    rows = pa.table({"x": [[{"a long name": value, "b": [value]}] * 1000]})
    (row,) = to_rows(rows)
    assert size_of_rows(rows) >= len(to_line(row)) - len(b'{"x": []}')


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([None] * 9_000_000, pa.list_(pa.null())),
        ([[None] * 9_000_000], pa.large_list(pa.list_(pa.null()))),
        ({"a": [None] * 9_000_000}, pa.struct([("a", pa.list_(pa.null()))])),
    ],
)
def test_a_row_of_many_nulls_is_too_long(value, kind):
    """They take no bytes, and yet minutes."""
    rows = pa.table({"text": ["a", "b"], "x": pa.array([value, None], kind)})
    assert [is_too_long(rows.slice(i, 1)) for i in range(2)] == [True, False]
    first, second = to_rows(rows.to_batches()[0])
    assert isinstance(first, BrokenRecordError)
    assert second == {"text": "b", "x": None}


def test_items_are_counted_in_their_row():
    pairs = pa.array([[("a", 1)], [("b", 1), ("c", 2)]], pa.map_("string", "int64"))
    fixed = pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2))
    assert [_size_of_items(pairs.slice(i, 1)) // _ITEM for i in range(2)] == [2, 3]
    assert _size_of_items(fixed.slice(1, 1)) == 3 * _ITEM
    names = 2 * _ITEM + len("a" + "bcd")
    assert _size_of_items(pa.array([{"a": [1, 2], "bcd": 1}])) == 4 * _ITEM + names
