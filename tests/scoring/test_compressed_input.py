"""Compressed inputs give the records of plain ones, in bounded memory. A torn or
damaged one is an error."""

import bz2
import io
import lzma
import os
import sys
import threading
import tracemalloc

import pytest
from support.runs import pack, unpack, write_texts

from spacy_duoguard.cli.score import Format
from spacy_duoguard.scoring.file_names import FORMATS
from spacy_duoguard.scoring.record import BATCH
from spacy_duoguard.scoring.run import open_source, read_records

pytest.importorskip("pyarrow", reason="zstd needs pyarrow")

SUFFIXES = [".gz", ".zst"]


def read(path, **options):
    """All records of a file."""
    return list(read_records(open_source(str(path), **options)))


def texts(path, **options):
    return [record.text for record in read(path, **options)]


def outcome(path):
    """The records of a file, or the message of the error without its name."""
    try:
        return read(path)
    except ValueError as e:
        return str(e).replace(str(path), "FILE")


def to_form(text, form):
    lines = text.split("\n")
    if form == "jsonl":
        return "\n".join(line and f'{{"text": "{line}"}}' for line in lines)
    return text if form == "txt" else f"text\n{text}"


ENCODINGS = {
    "LF": lambda text: text.encode(),
    "CR LF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "no last newline": lambda text: text.removesuffix("\n").encode(),
    "BOM": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without a mark": lambda text: (text * 9).encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "Latin-1": lambda text: text.encode("latin-1", "replace"),
    "NUL": lambda text: text.replace("two", "t\0wo").encode(),
    "blank lines": lambda text: text.replace("\n", "\n\n").encode(),
    "other line breaks": lambda text: text.replace("two", "t\u2028w\x85o").encode(),
    "nothing": lambda text: b"",
}


@pytest.mark.parametrize("form", ["txt", "jsonl", "csv", "tsv"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_and_line_ends_are_those_of_plain_files(tmp_path, form, encoding):
    content = ENCODINGS[encoding](to_form("one\ntwo été\nthree\n", form))
    plain = tmp_path / f"in.{form}"
    plain.write_bytes(content)
    expected = outcome(plain)
    if encoding in ("LF", "CR LF", "BOM", "no last newline"):
        assert [record.text for record in expected] == ["one", "two été", "three"]
    for suffix in SUFFIXES:
        for members in (1, 5):
            file = tmp_path / f"in.{form}{suffix}"
            file.write_bytes(pack(content, suffix, members=members))
            assert outcome(file) == expected


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", ["txt", "csv"])
def test_a_file_that_is_torn_anywhere_is_an_error(tmp_path, suffix, form):
    content = to_form("".join(f"text {i}\n" for i in range(20)), form).encode()
    packed = pack(content, suffix)
    file = tmp_path / f"in.{form}{suffix}"
    for size in range(len(packed)):
        file.write_bytes(packed[:size])
        with pytest.raises(ValueError, match="E175") as info:
            read(file)
        assert str(file) in str(info.value)
        if size:  # the second of two members
            file.write_bytes(packed + packed[:size])
            with pytest.raises(ValueError, match="E175"):
                read(file)
    file.write_bytes(packed)
    assert len(read(file)) == 20


def test_a_flipped_bit_is_detected_or_changes_nothing(tmp_path):
    content = "".join(f"text {i}\n" for i in range(20)).encode()
    packed, file = pack(content, ".gz"), tmp_path / "in.txt.gz"
    n_detected = 0
    for i in range(0, 8 * len(packed), 3):
        damaged = bytearray(packed)
        damaged[i // 8] ^= 1 << i % 8
        file.write_bytes(damaged)
        result = outcome(file)
        if isinstance(result, str):
            assert "E175" in result
            n_detected += 1
        else:  # a time, or bits that have no meaning
            assert [record.text for record in result] == content.decode().splitlines()
    assert n_detected > 2 * len(packed)


def test_a_checksum_of_zstd_is_compared(tmp_path):
    frame = bytes.fromhex("28b52ffd2404210000610a620a2550b323")  # pyarrow writes none
    file = tmp_path / "in.txt.zst"
    file.write_bytes(frame)
    assert texts(file) == ["a", "b"]
    file.write_bytes(frame[:-1] + b"\0")
    with pytest.raises(ValueError, match="E175"):
        read(file)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("tail", [b"garbage", b"\0" * 512, b"\n", b"a text\n"])
def test_something_else_at_the_end_is_an_error(tmp_path, suffix, tail):
    """A file system can leave zeros after a power cut."""
    file = tmp_path / f"in.txt{suffix}"
    file.write_bytes(pack(b"a\nb\n", suffix) + tail)
    with pytest.raises(ValueError, match="E175"):
        read(file)


def test_frames_to_skip_are_skipped(tmp_path):
    skipped = b"\x53\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    frames = skipped + pack(b"a\n", ".zst") + skipped + pack(b"b\n", ".zst") + skipped
    file = tmp_path / "in.txt.zst"
    file.write_bytes(frames)
    assert texts(file) == ["a", "b"]
    file.write_bytes(frames[:-1])
    with pytest.raises(ValueError, match="E175"):
        read(file)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_torn_input_never_ends_as_a_finished_run(run, tmp_path, suffix):
    plain = write_texts(tmp_path / "in.jsonl", 2 * BATCH + 44)
    run(plain, tmp_path / "whole.jsonl")
    packed = pack(plain.read_bytes(), suffix, members=3)
    source, out = tmp_path / f"in.jsonl{suffix}", tmp_path / "out.jsonl"
    source.write_bytes(packed[:-50])
    with pytest.raises(ValueError, match="E175"):
        run(source, out)
    state = tmp_path / "out.jsonl.run.json"
    assert not state.exists() or '"finished": false' in state.read_text()
    source.write_bytes(packed)
    run(source, out, resume=True)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_name_must_say_what_a_file_is(tmp_path):
    content = b"a text\n"
    packed = {
        "gzip": pack(content, ".gz"),
        "zstd": pack(content, ".zst"),
        "bzip2": bz2.compress(content),
        "xz": lzma.compress(content),
        "zip": b"PK\x03\x04" + bytes(30),
    }
    for kind, data in packed.items():
        file = tmp_path / "in.txt"
        file.write_bytes(data)
        with pytest.raises(ValueError, match=f"E177.*compressed with {kind}"):
            read(file)
        for suffix in SUFFIXES:
            file = tmp_path / f"in.txt{suffix}"
            file.write_bytes(data)
            if {"gzip": ".gz", "zstd": ".zst"}.get(kind) != suffix:
                with pytest.raises(ValueError, match="E175"):
                    read(file)
            else:
                assert texts(file) == ["a text"]
    (tmp_path / "in.txt.gz").write_bytes(content)
    with pytest.raises(ValueError, match="E175"):
        read(tmp_path / "in.txt.gz")


def test_the_command_knows_all_formats():
    assert tuple(form.value for form in Format) == FORMATS


def test_the_format_is_that_of_the_name_inside(tmp_path):
    for name, form in {
        "A.JSONL.GZ": "jsonl",
        "a.b.csv.zst": "csv",
        "a.tsv.gz": "tsv",
        "a.txt": "txt",
    }.items():
        (tmp_path / name).touch()
        assert open_source(str(tmp_path / name)).form == form
    data = tmp_path / "data.gz"
    data.write_bytes(pack(b'{"text": "a"}\n', ".gz"))
    assert texts(data, form="jsonl") == ["a"]
    with pytest.raises(ValueError, match="E134"):
        open_source(str(data))
    with pytest.raises(ValueError, match="E139"):
        open_source(str(data), form="parquet")
    (tmp_path / "a.parquet.gz").touch()
    with pytest.raises(ValueError, match="E134"):
        open_source(str(tmp_path / "a.parquet.gz"))


@pytest.fixture
def small_limit(monkeypatch):
    """A limit of one MiB for lines, rows and cells."""
    for module in ("text_files", "csv_rows"):
        monkeypatch.setattr(f"spacy_duoguard.scoring.{module}.MAX_SIZE", 2**20)


@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
@pytest.mark.parametrize("form", ["txt", "jsonl", "csv", "tsv"])
def test_a_line_without_an_end_needs_bounded_memory(
    tmp_path, small_limit, suffix, form
):
    lines = to_form("one\nX\ntwo\n", form).replace("X", "x" * (32 * 2**20))
    file = tmp_path / f"in.{form}{suffix}"
    file.write_bytes(pack(lines.encode(), suffix))
    del lines
    tracemalloc.start()
    try:
        first, broken, last = read(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (first.text, last.text) == ("one", "two")
    assert "longer than 1 MiB" in broken.problem
    assert last.line - first.line == 2
    assert peak < 12 * 2**20


def test_a_line_of_the_limit_is_read(tmp_path, small_limit):
    file = tmp_path / "in.txt"
    file.write_bytes(b"x" * (2**20 - 1) + b"\n" + b"y" * 2**20 + b"\nz")
    assert [len(text) for text in texts(file)] == [2**20 - 1, 0, 1]
    assert [record.line for record in read(file)] == [1, 2, 3]


def test_a_row_of_many_long_cells_is_broken(tmp_path, small_limit):
    """No cell is too long, and no line."""
    cell = '"' + "x" * 2**16 + '\n"'
    file = tmp_path / "in.csv"
    file.write_text("text\n" + ",".join([cell] * 40) + "\n")
    assert read(file)[0].problem == "a row longer than 1 MiB"
    file.write_text("text\n" + cell + "\nlast\n")
    assert [record.line for record in read(file)] == [2, 4]


class OneByOne(io.RawIOBase):
    """A pipe that gives one byte at a time."""

    def __init__(self, content):
        self.content = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self.content.read(1)
        buffer[: len(data)] = data
        return len(data)


@pytest.fixture
def stdin(monkeypatch):
    def set_stdin(content, raw=io.BytesIO):
        buffer = io.BufferedReader(raw(content))
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(buffer))

    return set_stdin


@pytest.mark.parametrize("raw", [io.BytesIO, OneByOne])
@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_compressed_standard_input_needs_a_format(stdin, suffix, raw):
    packed = pack(b'{"text": "a"}\n{"text": "b"}\n', suffix, members=2)
    stdin(packed, raw)
    assert texts("-", form="jsonl") == ["a", "b"]
    assert not sys.stdin.buffer.closed
    stdin(packed, raw)
    if suffix:
        with pytest.raises(ValueError, match=r"E178.*txt, jsonl, csv, tsv\."):
            open_source("-")
    else:
        assert texts("-") == ["a", "b"]
    stdin(packed[:-1], raw)
    if suffix:
        with pytest.raises(ValueError, match="E175"):
            read("-", form="jsonl")


def test_other_compressions_of_standard_input_are_refused(stdin):
    stdin(bz2.compress(b"a\n"), OneByOne)
    with pytest.raises(ValueError, match="E177"):
        read("-", form="txt")
    with pytest.raises(ValueError, match="E220"):
        read("-")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs")
@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_a_pipe_is_recognized_by_its_first_bytes(tmp_path, suffix):
    """As in: score <(gzip -c texts.txt) results.jsonl --format txt"""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = pack(b"a\nb\n", suffix)
    writer = threading.Thread(target=pipe.write_bytes, args=[content])
    writer.start()
    assert texts(pipe, form="txt") == ["a", "b"]
    writer.join()


def test_zstd_without_pyarrow_names_the_remedy(run, tmp_path, monkeypatch):
    source = write_texts(tmp_path / "in.jsonl", 3)
    packed = tmp_path / "in.jsonl.zst"
    packed.write_bytes(pack(source.read_bytes(), ".zst"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for arguments in ((packed, tmp_path / "out.jsonl"), (source, "out.jsonl.zst")):
        with pytest.raises(ValueError, match=r"E176.*spacy-duoguard\[parquet\]"):
            run(*arguments, model="no such model")
    run(source, tmp_path / "out.jsonl.gz")
    assert unpack((tmp_path / "out.jsonl.gz").read_bytes(), ".gz").count(b"\n") == 3


def test_tsv_is_excel_tab(run, tmp_path):
    import pyarrow.parquet as pq

    file = tmp_path / "in.tsv"
    content = 'id\ttext\n1\ta, b\n2\t"two\nlines and ""\t"""\n3\ta\tb\n'
    file.write_bytes(content.encode())
    records = read(file)
    assert [record.fields.get("id") for record in records] == ["1", "2", None]
    assert records[0].text == "a, b"
    assert records[1].text == 'two\nlines and "\t"'
    assert records[2].problem == "3 cells for 2 columns"
    assert records[2].line == 5
    run(file, tmp_path / "out.parquet")
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in rows] == ["1", "2", None]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_parquet_output_from_compressed_input(run, tmp_path, suffix):
    import pyarrow.parquet as pq

    source = write_texts(tmp_path / "in.jsonl", 20)
    packed = tmp_path / f"in.jsonl{suffix}"
    packed.write_bytes(pack(source.read_bytes(), suffix))
    run(source, tmp_path / "a.parquet")
    run(packed, tmp_path / "b.parquet")
    a, b = (pq.read_table(tmp_path / f"{name}.parquet") for name in "ab")
    assert a.num_rows == 20
    assert a.equals(b)
