"""The files beside an output: their names, the lock, and the state of a run."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from spacy_duoguard.errors import SettingsError
from spacy_duoguard.scoring import run_state
from spacy_duoguard.scoring.fingerprint import add_record
from spacy_duoguard.scoring.locks import locked
from spacy_duoguard.scoring.record import Record
from spacy_duoguard.scoring.run_state import (
    FORMAT_VERSION,
    Mark,
    Output,
    RunState,
    compare,
    digest_json,
    read_state,
    save_state,
)

MARK = Mark(3, "digest of records", "digest of results", failed=True)
RECORDS = [Record(i, {}, f"text {i}") for i in range(1, 6)]


def names(paths, folder):
    return [str(path.relative_to(folder.resolve())) for path in paths]


def test_a_file_has_its_state_and_its_lock_beside_it(tmp_path):
    output = Output(tmp_path / "out.jsonl.gz", is_folder=False)
    assert names([output.state], tmp_path) == ["out.jsonl.gz.run.json"]
    assert names(output.locks, tmp_path) == [".out.jsonl.gz.lock"]
    assert output.compression == "gzip"


def test_a_folder_has_its_state_inside_it(tmp_path):
    output = Output(tmp_path / "out.gz", is_folder=True)
    assert names([output.state], tmp_path) == ["out.gz/.run.json"]
    assert output.compression is None


@pytest.mark.parametrize(
    ("is_replaced", "folder_exists", "beside_exists", "expected"),
    [
        (False, False, False, ["out/.lock"]),
        (False, True, False, ["out/.lock"]),
        (False, True, True, ["out/.lock", ".out.lock"]),
        (True, False, False, [".out.lock"]),
        (True, False, True, [".out.lock"]),
        (True, True, False, [".out.lock", "out/.lock"]),
        (True, True, True, [".out.lock", "out/.lock"]),
    ],
)
def test_the_locks_of_a_folder(
    tmp_path, is_replaced, folder_exists, beside_exists, expected
):
    if folder_exists:
        (tmp_path / "out").mkdir()
    if beside_exists:
        (tmp_path / ".out.lock").touch()
    output = Output(tmp_path / "out", is_folder=True, is_replaced=is_replaced)
    assert names(output.locks, tmp_path) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (None, False),
        ([], False),
        ([".lock", ".run.json", "..run.json.part"], False),
        ([".lock", "part-00000.parquet"], True),
        (["notes.txt"], True),
    ],
)
def test_a_folder_exists_if_a_run_would_replace_something(tmp_path, files, expected):
    output = Output(tmp_path / "out", is_folder=True)
    if files is not None:
        output.path.mkdir()
    for name in files or ():
        (output.path / name).touch()
    assert output.exists is expected


def test_a_file_exists_if_it_is_there(tmp_path):
    output = Output(tmp_path / "out.jsonl", is_folder=False)
    assert output.exists is False
    output.path.touch()
    assert output.exists is True


@pytest.mark.parametrize("is_folder", [False, True])
def test_one_run_at_a_time_holds_the_lock(tmp_path, is_folder):
    output = Output(tmp_path / "new" / "out.jsonl", is_folder)
    for _ in range(2):
        with locked(output) as check:
            check()
            with pytest.raises(SettingsError, match="E174"), locked(output):
                pass
            check()
    output.locks[0].unlink(missing_ok=True)
    with pytest.raises(SettingsError, match="E224"):
        check()


def test_either_lock_of_a_folder_keeps_others_out(tmp_path):
    (tmp_path / "out").mkdir()
    here = Output(tmp_path / "out", is_folder=True)
    on_ray = replace(here, is_replaced=True)
    for one, other in ((here, on_ray), (on_ray, here)):
        with locked(one), pytest.raises(SettingsError, match="E174"), locked(other):
            pass


def test_a_folder_that_is_a_file_can_not_be_used(tmp_path):
    (tmp_path / "file").touch()
    output = Output(tmp_path / "file" / "out.jsonl", is_folder=False)
    with pytest.raises(SettingsError, match=r"E139.*out\.jsonl"), locked(output):
        pass
    with pytest.raises(SettingsError, match=r"E139.*out\.jsonl\.run\.json"):
        save_state(output, MARK, {}, finished=False)


@pytest.mark.parametrize("finished", [False, True])
def test_a_state_is_read_as_it_was_saved(tmp_path, finished):
    output = Output(tmp_path / "out.jsonl", is_folder=False)
    save_state(output, MARK, {"a": 1, "b": None}, finished=finished)
    expected = replace(MARK, finished=finished), {"a": 1, "b": None}
    assert read_state(output) == expected


def _write(output, **changes):
    """Write a state, with the digest of what it says."""
    save_state(output, MARK, {}, finished=False)
    body = json.loads(output.state.read_text("utf8"))
    del body["sha256"]
    body |= changes
    output.state.write_text(json.dumps({"sha256": digest_json(body), **body}))


def test_a_state_that_can_not_be_continued_says_why(tmp_path):
    output = Output(tmp_path / "out.jsonl", is_folder=False)
    with pytest.raises(SettingsError, match=r"E170.*is missing"):
        read_state(output)
    _write(output)
    assert read_state(output) == (MARK, {})
    _write(output, format_version=FORMAT_VERSION - 1)
    with pytest.raises(SettingsError, match=r"E170.*another version"):
        read_state(output)
    _write(output, sha256="0")
    with pytest.raises(SettingsError, match=r"E170.*is damaged"):
        read_state(output)
    output.state.write_text("[]")
    with pytest.raises(SettingsError, match=r"E170.*is damaged"):
        read_state(output)


@pytest.mark.parametrize(
    ("earlier", "now", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "a": 1}, ["b"]),
        ({"a": 1}, {"a": 2, "b": None}, ["a", "b"]),
        ({"a": None}, {}, ["a"]),
        ({"c": 1, "a": 1}, {"b": 1}, ["c", "a", "b"]),
    ],
)
def test_all_that_differs_is_named(earlier, now, expected):
    path = Path("out.jsonl")
    with pytest.raises(SettingsError, match="E171") as caught:
        compare(earlier, now, path=path)
    assert f"{', '.join(expected)}" in str(caught.value)
    compare(earlier, dict(earlier), path=path)


def digest_of(records):
    digest = sha256()
    for record in records:
        add_record(digest, record)
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("start", "kept"), [(i, j) for i in range(4) for j in range(i, 4)]
)
@pytest.mark.parametrize("failed", [False, True])
def test_a_resumed_run_begins_with_the_state_of_what_is_kept(
    tmp_path, start, kept, failed
):
    output = Output(tmp_path / "out.jsonl", is_folder=False)
    state = RunState(output, {"a": 1})
    earlier = Mark(3, digest_of(RECORDS[:3]), "results", failed=failed)
    rest = state.begin(iter(RECORDS), earlier, start=start, kept=Mark(kept, output="k"))
    assert list(rest) == RECORDS[start:]
    assert (state.records, state.has_failed) == (start, failed)
    expected = Mark(kept, digest_of(RECORDS[:kept]), "k", failed=failed)
    assert read_state(output) == (expected, {"a": 1})


@pytest.mark.parametrize(
    ("records", "code"),
    [(RECORDS[:2], "E132"), ([*RECORDS[:2], RECORDS[3]], "E172"), ([], "E132")],
)
def test_another_input_changes_no_state(tmp_path, records, code):
    output = Output(tmp_path / "out.jsonl", is_folder=False)
    earlier = Mark(3, digest_of(RECORDS[:3]), "results")
    state = RunState(output, {})
    with pytest.raises(SettingsError, match=code):
        state.begin(iter(records), earlier, start=1, kept=Mark(1))
    assert not output.state.exists()


def test_a_point_is_noted_once_all_results_are_written(tmp_path):
    output = Output(tmp_path / "out.jsonl", is_folder=False)
    state = RunState(output, {})
    state.add(RECORDS[:2])
    state.reach(Mark(1, output="one"), failed=True)
    state.save()
    assert read_state(output)[0] == Mark()
    state.reach(Mark(2, output="two"), failed=False)
    state.save(finished=True)
    expected = Mark(2, digest_of(RECORDS[:2]), "two", finished=True)
    assert read_state(output)[0] == expected
    state.has_failed = True
    state.reach(Mark(2, output="two"), failed=False)
    state.save()
    assert read_state(output)[0].failed is True


def test_a_state_is_due_a_second_after_the_last_one(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(run_state, "monotonic", lambda: now)
    state = RunState(Output(tmp_path / "out.jsonl", is_folder=False), {})
    assert state.is_due is True
    state.save()
    assert state.is_due is False
    now = 100.5
    assert state.is_due is False
    now = 101.0
    assert state.is_due is True


def test_nothing_is_saved_without_the_lock(tmp_path):
    def lost():
        raise SettingsError("the lock is gone")

    output = Output(tmp_path / "out.jsonl", is_folder=False)
    state = RunState(output, {}, lost)
    with pytest.raises(SettingsError, match="the lock is gone"):
        state.save()
    assert not output.state.exists()
