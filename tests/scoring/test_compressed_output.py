"""Compressed outputs hold a member for each batch. A resumed run completes them byte by
byte, or refuses."""

import gzip
import json
import zlib
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.runs import pack, unpack, write_texts

from spacy_duoguard.review.documents import read_documents
from spacy_duoguard.scoring import compression
from spacy_duoguard.scoring.inputs import read_text_file
from spacy_duoguard.scoring.jsonl import JsonLinesWriter
from spacy_duoguard.scoring.ray.folder import FolderRun
from spacy_duoguard.scoring.record import BATCH, Source, list_files
from spacy_duoguard.scoring.result_files import read_results
from spacy_duoguard.scoring.run_state import Mark

pytest.importorskip("pyarrow", reason="zstd needs pyarrow")

SUFFIXES = [".gz", ".zst"]


def gzip_members(data):
    """The content of each member, which must have no time and no name."""
    while data:
        assert data[:10] == b"\x1f\x8b\x08\x00" + bytes(5) + b"\xff"
        member = zlib.decompressobj(wbits=31)
        yield member.decompress(data)
        assert member.eof
        data = member.unused_data


def test_each_batch_is_a_gzip_member(run, source, tmp_path):
    run(source, tmp_path / "out.jsonl")
    run(source, tmp_path / "out.jsonl.gz")
    members = list(gzip_members((tmp_path / "out.jsonl.gz").read_bytes()))
    assert b"".join(members) == (tmp_path / "out.jsonl").read_bytes()
    assert [member.count(b"\n") for member in members] == [BATCH, BATCH, 44]


def test_each_batch_is_a_zstd_frame(run, source, tmp_path):
    run(source, tmp_path / "out.jsonl")
    run(source, tmp_path / "out.jsonl.zst")
    data = (tmp_path / "out.jsonl.zst").read_bytes()
    plain = (tmp_path / "out.jsonl").read_bytes()
    assert unpack(data, ".zst") == plain
    assert data.count(b"\x28\xb5\x2f\xfd") == 3
    last = unpack(data[data.rindex(b"\x28\xb5\x2f\xfd") :], ".zst")
    assert last.count(b"\n") == 44
    assert plain.endswith(last)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("n_batches", range(4))
def test_an_interrupted_run_is_completed_byte_identically(
    start, run, source, tmp_path, suffix, n_batches
):
    whole, out = tmp_path / f"whole.jsonl{suffix}", tmp_path / f"out.jsonl{suffix}"
    run(source, whole)
    steps = start(source, out)
    for _ in range(n_batches + 1):
        next(steps)
    steps.close()
    with out.open("ab") as handle:  # written, but the state was not saved
        rest = whole.read_bytes()[out.stat().st_size :]
        handle.write([b"", b"\0" * 600, rest[:500], rest[:-9]][n_batches - 1])
    first, *_ = run(source, out, resume=True)
    assert out.read_bytes() == whole.read_bytes()
    assert first.done == max(0, min(n_batches, 2) - 1) * BATCH


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_grown_input_is_continued(run, source, tmp_path, suffix):
    out, fresh = tmp_path / f"out.jsonl{suffix}", tmp_path / f"fresh.jsonl{suffix}"
    run(source, out)
    grown = write_texts(tmp_path / "in.jsonl", 3 * BATCH + 5)
    run(grown, out, resume=True)
    run(grown, fresh)
    assert out.read_bytes() == fresh.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_results_of_no_records_are_a_whole_file(run, tmp_path, suffix):
    source, out = tmp_path / "in.jsonl", tmp_path / f"out.jsonl{suffix}"
    source.touch()
    run(source, out)
    assert unpack(out.read_bytes(), suffix) == b""
    assert out.stat().st_size
    assert list(read_results(out)) == []
    run(source, out, resume=True)
    write_texts(source, 3)
    run(source, out, resume=True)
    run(source, tmp_path / f"fresh.jsonl{suffix}")
    assert out.read_bytes() == (tmp_path / f"fresh.jsonl{suffix}").read_bytes()


def replace_first_member(content, change):
    """Compress the first member in another way."""
    first, *_ = gzip_members(content)
    size = len(compression.compress(first, "gzip"))
    return change(first) + content[size:]


DAMAGES = {
    "a time": lambda content: replace_first_member(
        content, lambda first: gzip.compress(first, mtime=1)
    ),
    "another level": lambda content: replace_first_member(
        content, lambda first: gzip.compress(first, 1, mtime=0)
    ),
    "half a line in a member": lambda content: replace_first_member(
        content, lambda first: pack(first, ".gz", members=2)
    ),
    "one member": lambda content: gzip.compress(gzip.decompress(content)),
    "nothing": lambda content: b"",
    "plain lines": gzip.decompress,
    "another program": lambda content: pack(gzip.decompress(content), ".zst"),
    "torn": lambda content: content[:-1],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_resume_of_changed_results_is_refused(start, run, source, tmp_path, damage):
    out = tmp_path / "out.jsonl.gz"
    steps = start(source, out)
    for _ in range(3):
        next(steps)
    steps.close()
    damaged = DAMAGES[damage](out.read_bytes())
    assert damaged != out.read_bytes()
    out.write_bytes(damaged)
    with pytest.raises(ValueError, match="E173"):
        run(source, out, resume=True)
    assert out.read_bytes() == damaged


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_compressor_is_refused(run, source, tmp_path, monkeypatch, suffix):
    """Another version can compress better, and the members would not be equal."""
    out = tmp_path / f"out.jsonl{suffix}"
    run(source, out)
    content = out.read_bytes()
    monkeypatch.setattr(compression, "_GZIP_LEVEL", 1)
    monkeypatch.setattr(compression, "_ZSTD_LEVEL", 9)
    with pytest.raises(ValueError, match=r"E171.*the library for"):
        run(source, out, resume=True)
    monkeypatch.undo()
    monkeypatch.setattr("zlib.ZLIB_RUNTIME_VERSION", "0")
    monkeypatch.setattr("pyarrow.__version__", "0")
    with pytest.raises(ValueError, match=r"E171.*version of (zlib|pyarrow)"):
        run(source, out, resume=True)
    assert out.read_bytes() == content


def test_parquet_by_another_pyarrow_is_refused(run, source, tmp_path, monkeypatch):
    run(source, tmp_path / "out.parquet")
    monkeypatch.setattr("pyarrow.__version__", "0")
    with pytest.raises(ValueError, match=r"E171.*version of pyarrow"):
        run(source, tmp_path / "out.parquet", resume=True)


def batches(count):
    results = [{"text": f"text {i * i}", "status": "ok"} for i in range(count)]
    return [results[i : i + BATCH] for i in range(0, count, BATCH)]


def write(path, earlier, results, *, finished=True):
    """Write what follows a point with a writer. RETURNS the point that it reaches."""
    writer = JsonLinesWriter(path, earlier)
    writer.open()
    for batch in results[writer.start // BATCH :]:
        writer.write(batch, is_full=len(batch) == BATCH)
    writer.close(finished=finished)
    return writer.mark


@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_any_damage_to_an_output_is_refused_or_mended(tmp_path, suffix):
    results = batches(3 * BATCH + 9)
    whole, out = tmp_path / f"whole.jsonl{suffix}", tmp_path / f"out.jsonl{suffix}"
    write(whole, Mark(), results)
    marks, sizes = [Mark()], [0]
    for count in range(1, 5):
        out.unlink(missing_ok=True)
        marks.append(write(out, Mark(), results[:count], finished=False))
        sizes.append(out.stat().st_size)
    content = whole.read_bytes()
    assert sizes[-1] == len(content)

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(
        st.integers(0, 4),
        st.sampled_from(["cut", "flip", "append", "insert"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=40),
    )
    def check(n_batches, damage, where, data):
        position = int(where * len(content))
        damaged = {
            "cut": content[:position],
            "flip": content[:position]
            + bytes([content[position] ^ (data[0] or 1)])
            + content[position + 1 :],
            "append": content[: sizes[n_batches]] + data,
            "insert": content[:position] + data + content[position:],
        }[damage]
        out.write_bytes(damaged)
        is_intact = damaged[: sizes[n_batches]] == content[: sizes[n_batches]]
        if is_intact:
            write(out, marks[n_batches], results)
            assert out.read_bytes() == content
        else:
            with pytest.raises(ValueError, match="E173"):
                write(out, marks[n_batches], results)
            assert out.read_bytes() == damaged

    check()


@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_a_strict_run_is_continued_within_a_batch(tmp_path, suffix):
    results = batches(2 * BATCH)
    whole, out = tmp_path / f"whole.jsonl{suffix}", tmp_path / f"out.jsonl{suffix}"
    write(whole, Mark(), results)
    mark = write(out, Mark(), [results[0], results[1][:50]], finished=False)
    assert mark.records == BATCH + 50
    assert write(out, mark, results).records == 2 * BATCH
    assert out.read_bytes() == whole.read_bytes()


def test_other_results_for_a_kept_batch_are_refused(tmp_path):
    results = batches(BATCH + 1)
    for suffix in SUFFIXES:
        out = tmp_path / f"out.jsonl{suffix}"
        mark = write(out, Mark(), results)
        content = out.read_bytes()
        changed = [*results[0][:-1], {"text": "another"}]
        writer = JsonLinesWriter(out, mark)
        writer.open()
        with pytest.raises(ValueError, match=f"E131.*record {BATCH}"):
            writer.write(changed)
        writer.close(finished=False)
        assert content.startswith(out.read_bytes())


def test_a_digest_of_a_lying_frame_is_not_believed(tmp_path):
    """The header of a block says that it is longer than the file."""
    out = tmp_path / "out.jsonl.zst"
    out.write_bytes(b"\x28\xb5\x2f\xfd\x20\x00" + b"\xfd\xff\xff" + b"x")
    digest = sha256(out.read_bytes()).hexdigest()
    end = BATCH, out.stat().st_size
    mark = Mark(BATCH, output=digest, size=end[1], kept=end)
    with pytest.raises(ValueError, match="E175"):
        JsonLinesWriter(out, mark)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_compressed_results_are_read_back(run, source, tmp_path, suffix):
    plain, out = tmp_path / "out.jsonl", tmp_path / f"out.jsonl{suffix}"
    run(source, plain)
    run(source, out)
    assert list(read_results(out)) == list(read_results(plain))
    assert list(read_documents(out)) == list(read_documents(plain))
    out.write_bytes(out.read_bytes()[:-3])
    with pytest.raises(ValueError, match="E175"):
        list(read_documents(out))


def test_a_folder_of_both_is_read_whole(tmp_path):
    lines = [
        json.dumps({"text": name, "status": "ok"}).encode() + b"\n" for name in "abcd"
    ]
    for name, line in zip(
        ["a.jsonl", "b.jsonl.gz", "c.JSONL.zst", "d.json.gz"], lines, strict=True
    ):
        suffix = f".{name.split('.')[-1]}" if name.count(".") > 1 else ""
        (tmp_path / name).write_bytes(pack(line, suffix))
    names = [path.name for path in list_files(tmp_path, ".jsonl")]
    assert names == ["a.jsonl", "b.jsonl.gz", "c.JSONL.zst"]
    assert [document.text for document in read_documents(tmp_path)] == [*"abcd"]
    files = FolderRun(tmp_path, tmp_path.parent / "out").check()
    assert [path.name for path in files] == names
    assert [
        record.text
        for path in files
        for record in read_text_file(Source(str(path), "jsonl", "text"))
    ] == [*"abc"]
