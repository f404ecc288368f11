"""A run never writes into what it reads, whatever the names of the files."""

import io
import os
import socket

import pytest

from spacy_duoguard.scoring.record import STANDARD

LINES = b'{"text": "a"}\n' * 300


def refused(run, source, output, code, **options):
    """Whether a run is refused before the model is loaded, and changes nothing."""

    def files():
        return {p: p.read_bytes() for p in tmp.rglob("*") if p.is_file()}

    tmp = source.parent
    before = files()
    with pytest.raises(ValueError, match=code):
        run(source, output, overwrite=True, model="no such model", **options)
    assert files() == before


@pytest.mark.parametrize("kind", ["hard link", "link", "state", "lock", "beside"])
def test_an_input_is_never_written_to(run, tmp_path, kind):
    names = {
        "state": "out.jsonl.run.json",
        "lock": ".out.jsonl.lock",
        "beside": ".out.jsonl.run.json.part",
    }
    source = tmp_path / "in.jsonl"
    out = tmp_path / "out.jsonl"
    source.write_bytes(LINES)
    if kind == "link":
        out.symlink_to(source)
    else:
        os.link(source, tmp_path / names.get(kind, out.name))
    refused(run, source, out, "E140")


def test_a_part_of_the_output_is_no_input(run, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "out").mkdir()
    part = tmp_path / "out" / "part-00001.parquet"
    parquet.write_table(pyarrow.table({"text": ["a"]}), part)
    before = part.read_bytes()
    with pytest.raises(ValueError, match="E140"):
        run(part, tmp_path / "out", overwrite=True, model="no such model")
    assert part.read_bytes() == before


@pytest.mark.parametrize("out", ["out.parquet", "out.jsonl", "new/out.jsonl"])
def test_an_output_in_the_input_folder_is_refused(run, tmp_path, out):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"E226.*OUT outside"):
        run(tmp_path, tmp_path / out, model="no such model")
    assert os.listdir(tmp_path) == ["a.parquet"]


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_standard_streams_are_files_too(run, tmp_path, monkeypatch, stream):
    path = tmp_path / "file.jsonl"
    path.write_bytes(LINES)
    with path.open("r+b") as file:
        monkeypatch.setattr(f"sys.{stream}", io.TextIOWrapper(file))
        ends = (STANDARD, path) if stream == "stdin" else (path, STANDARD)
        with pytest.raises(ValueError, match="E140"):
            run(*ends, overwrite=True, model="no such model")
    assert path.read_bytes() == LINES


def test_a_redirected_input_may_have_another_output(run, tmp_path, monkeypatch):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"text": "a"}\n')
    with path.open("rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        assert run(STANDARD, tmp_path / "out.jsonl")[-1].done == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs")
@pytest.mark.parametrize("kind", ["fifo", "socket", "hard link"])
@pytest.mark.parametrize("flag", ["overwrite", "resume"])
def test_special_files_and_hard_links_are_no_outputs(
    start, tmp_path, monkeypatch, kind, flag
):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    (tmp_path / "in.jsonl").write_bytes(LINES)
    out = tmp_path / "out.jsonl"
    if kind == "fifo":
        os.mkfifo(out)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("out.jsonl")
    else:
        (tmp_path / "snapshot").write_bytes(b"precious")
        os.link(tmp_path / "snapshot", out)
    with pytest.raises(ValueError, match="E221"):
        next(start(tmp_path / "in.jsonl", out, model="none", **{flag: True}))
    if kind == "hard link":
        assert out.read_bytes() == b"precious"


def test_a_folder_that_pyarrow_cannot_name_is_refused_at_the_start(run, tmp_path):
    pytest.importorskip("pyarrow")
    source = tmp_path / "in.jsonl"
    source.write_bytes(LINES)
    out = tmp_path / os.fsdecode(b"out-\xff.parquet")
    refused(run, source, out, r"E221.*isn't named in UTF-8")
    assert not out.exists()
