"""Records and results as plain data: what is counted, renamed, written and compared."""

import datetime
import json
from pathlib import PurePosixPath

import pytest

from spacy_duoguard.errors import SettingsError
from spacy_duoguard.scoring.batches import make_batches
from spacy_duoguard.scoring.record import (
    BATCH,
    BrokenRecordError,
    Record,
    can_be_written,
    check_columns,
    check_unique,
    is_unicode,
    list_files,
    make_record,
    make_records,
    unique_keys,
)
from spacy_duoguard.scoring.results import Counts, agree, output_names, to_plain

OK = {"status": "ok", "flags": []}
FLAGGED = {"status": "ok", "flags": ["Hate", "Privacy"], "action": "block"}
REVIEWED = {"status": "truncated", "flags": [], "action": "review"}
FAILED = {"status": "error", "flags": ["Hate"], "action": "block"}
ODD = {"status": "fine", "flags": [], "action": "review"}


def test_results_are_counted():
    assert Counts() == Counts(0, 0, 0, 0, {}, 0)
    counts = Counts().add([OK, FLAGGED, REVIEWED, FAILED])
    assert counts == Counts(4, 2, 1, 1, {"Hate": 1, "Privacy": 1}, 1)
    # What no one knows is not scored: it counts neither as truncated nor for review.
    counts = counts.add([FLAGGED, FAILED, ODD, ODD, REVIEWED])
    assert counts == Counts(9, 4, 4, 2, {"Hate": 2, "Privacy": 2}, 2)
    assert counts.add([]) == counts


def test_two_results_agree_if_one_of_them_failed():
    assert agree(OK, dict(OK))
    assert not agree(OK, FLAGGED)
    assert agree(OK, FAILED)
    assert agree(FAILED, OK)
    assert agree(FAILED, {**FAILED, "flags": []})
    assert not agree({"cats": 1}, {"cats": 1.0})
    assert not agree({}, {"cats": 1})


def test_only_names_of_results_are_changed():
    names = ["text", "flags", "input_flags", "input_input_flags", "input_text"]
    assert output_names(names) == [
        *["text", "input_flags", "input_input_flags", "input_input_input_flags"],
        "input_text",
    ]
    assert output_names(["input_", "xinput_flags", "Flags", ""]) == [
        *["input_", "xinput_flags", "Flags", ""]
    ]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (
            {1: [2, (3.5, None)], "b": {"c": True}},
            {"1": [2, [3.5, None]], "b": {"c": 1}},
        ),
        (float("nan"), None),
        (float("inf"), None),
        (-float("inf"), None),
        (0.5, 0.5),
        ("a", "a"),
        (b"\x00\xff", "AP8="),
        (datetime.date(2026, 7, 1), "2026-07-01"),
        (datetime.datetime(2026, 7, 1, 12, 30), "2026-07-01T12:30:00"),
        (datetime.time(12, 30), "12:30:00"),
        (PurePosixPath("a/b"), "a/b"),
        (1j, "1j"),
    ],
)
def test_values_become_those_of_json(value, plain):
    assert to_plain(value) == plain
    json.dumps(to_plain(value), allow_nan=False)


def nested(depth, inner):
    for i in range(depth):
        inner = [inner] if i % 2 else {"a": inner}
    return inner


def test_fields_are_nested_at_most_100_levels():
    assert can_be_written("a", nested(100, 7))
    assert not can_be_written("a", nested(101, 7))
    assert not can_be_written("a", nested(100, ["b"]))
    assert can_be_written("a", ([1, [2, []]], {"b": (3,)}))
    assert not can_be_written("a", [1, nested(100, 7)])
    assert not can_be_written("a", (nested(100, 7), 1))


@pytest.mark.parametrize(
    ("name", "is_fine"), [("", True), ("é", True), ("a\0", False), ("\ud800", False)]
)
def test_a_name_is_one_in_every_format(name, is_fine):
    assert can_be_written(name, 1) is is_fine
    assert is_unicode(name) is ("\ud800" not in name)


def test_an_object_has_each_key_once():
    pairs = [("b", 1), ("a", 2)]
    assert list(unique_keys(pairs).items()) == pairs
    assert unique_keys([]) == {}
    with pytest.raises(BrokenRecordError, match="a key twice"):
        unique_keys([*pairs, ("b", 1)])


def test_a_record_says_what_is_wrong_with_it():
    broken = BrokenRecordError("no object")
    assert make_record(3, broken, "text", line=7) == Record(
        3, {}, "", "no object", line=7
    )
    row = {"text": "a", "id": 1}
    assert make_record(3, row, "text", line=7) == Record(3, row, "a", None, 7)
    record = make_record(3, {**row, "b\0": 2}, "text")
    assert (record.fields, record.text) == (row, "")
    assert record.problem.startswith("a field is nested more than 100 levels deep")
    for value, problem in (
        (None, "'text' is null, not a string"),
        (7, "'text' is of type 'int', not a string"),
        ([], "'text' is of type 'list', not a string"),
        ([{}, "a"], "'text' is of type 'list', not a string"),
        ("\ud800", "the text has an unpaired surrogate"),
    ):
        record = make_record(3, {"text": value}, "text", line=7)
        assert record == Record(3, {"text": value}, "", problem, 7)
    assert make_record(3, row, "body").problem == "no field 'body'"


def test_records_are_numbered_from_1():
    records = list(make_records([{"text": "a"}, BrokenRecordError("b")], "text"))
    assert [record.name for record in records] == ["Record 1", "Record 2"]
    assert [record.problem for record in records] == [None, "b"]
    assert Record(2, {}, "", line=0).name == "Record 2 (line 0)"


def test_no_two_columns_have_the_same_name():
    check_columns(["id", "text"], "text", name="in.csv")
    with pytest.raises(SettingsError, match=r"E136.*in\.csv"):
        check_columns(["id", "body"], "text", name="in.csv")
    for check in (
        lambda: check_columns(["text", "id", "text"], "text", name="in.csv"),
        lambda: check_unique(["a", "a"], name="in.csv"),
    ):
        with pytest.raises(SettingsError, match=r"E139.*in\.csv.*the same name"):
            check()
    check_unique([], name="in.csv")


def test_hidden_files_are_not_listed(tmp_path):
    names = ["b.jsonl", "a.jsonl.gz", ".c.jsonl", "_d.jsonl", "e.json", "f.csv"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "g.csv").mkdir()  # a folder is no device: its reader refuses it
    files = list_files(tmp_path, ".jsonl", ".csv")
    assert [file.name for file in files] == ["a.jsonl.gz", "b.jsonl", "f.csv", "g.csv"]
    assert list_files(tmp_path / "b.jsonl", ".jsonl") == [tmp_path / "b.jsonl"]
    assert list_files(tmp_path / "b.jsonl", ".csv") == []
    assert list_files(tmp_path / "none", ".csv") == []


@pytest.mark.parametrize("start", [0, BATCH])
@pytest.mark.parametrize("n", [0, 1, BATCH, BATCH + 1, 2 * BATCH])
def test_batches_begin_at_fixed_positions(n, start):
    batches = list(
        make_batches(iter(range(start, n)), before=start, measure=lambda item: 1)
    )
    assert [item for batch in batches for item in batch] == list(range(start, n))
    assert all(len(batch) == BATCH for batch in batches[:-1])
    assert all(batch and batch[0] % BATCH == 0 for batch in batches)
