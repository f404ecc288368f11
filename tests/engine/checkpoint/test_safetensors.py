"""Safetensors headers: what they promise is in the file, or nothing of it is read."""

import json
import tracemalloc

import pytest
import torch
from safetensors.torch import load, save

from spacy_duoguard.engine.checkpoint.safetensors import open_tensors, parse_tensors
from spacy_duoguard.errors import CheckpointError

A = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
B = {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}


def make(header, content=bytes(32), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode("utf8")
    size = len(text) if length is None else length
    return size.to_bytes(8, "little") + text + content


def test_what_safetensors_writes_is_read_as_it_reads_it(tmp_path):
    draw = torch.Generator().manual_seed(0)
    shapes = {"a": (3, 5), "b": (1,), "c": (), "d": (0, 4), "e": (2, 2, 2)}
    kinds = (torch.float32, torch.bfloat16, torch.float16)
    tensors = {
        f"{name}.{i}": torch.randn(shape, generator=draw).to(kind)
        for name, shape in shapes.items()
        for i, kind in enumerate(kinds)
    }
    data = save(tensors, metadata={"format": "pt"})
    (tmp_path / "x.safetensors").write_bytes(data)
    theirs = load(data)
    for ours in (
        parse_tensors(data, source="x"),
        open_tensors(tmp_path / "x.safetensors"),
    ):
        assert set(ours) == set(theirs)
        for name, stored in ours.items():
            tensor = stored.read()
            assert tensor.dtype == stored.dtype == theirs[name].dtype
            assert tensor.shape == stored.shape
            assert tensor.equal(theirs[name])


LIES = {
    "overlap": {"a": A, "b": {**B, "data_offsets": [20, 28]}},
    "the same offsets": {"a": A, "b": {**A}},
    "gap": {"a": A, "b": {**B, "data_offsets": [25, 33]}},
    "begins late": {"a": {**A, "data_offsets": [8, 32]}},
    "ends early": {"a": A},
    "beyond the end": {"a": A, "b": {**B, "shape": [40], "data_offsets": [24, 104]}},
    "backwards": {"a": A, "b": {**B, "data_offsets": [32, 24]}},
    "negative": {"a": A, "b": {**B, "data_offsets": [-8, 0]}},
    "another size": {"a": {**A, "shape": [2, 4]}, "b": B},
    "a wider dtype": {"a": A, "b": {**B, "dtype": "F32"}},
    "enormous": {"a": {**A, "shape": [10**12, 10**12]}, "b": B},
    "overflow": {"a": {**A, "shape": [2**32, 2**32, 0]}, "b": B},
    "float": {"a": {**A, "shape": [2.0, 3]}, "b": B},
    "bool": {"a": {**A, "shape": [True, 6]}, "b": B},
    "no list": {"a": {**A, "shape": 6}, "b": B},
    "three offsets": {"a": {**A, "data_offsets": [0, 24, 24]}, "b": B},
    "many dimensions": {"a": {**A, "shape": [6, *[1] * 99]}, "b": B},
    "no dtype": {"a": {"shape": [2, 3], "data_offsets": [0, 24]}, "b": B},
    "one key more": {"a": {**A, "file": "/etc/passwd"}, "b": B},
    "no entry": {"a": None, "b": B},
    "empty": {},
}


@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie_are_refused(tmp_path, lie):
    data = make(LIES[lie])
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"E018.*safetensors"):
        open_tensors(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"E018.*here"):
        parse_tensors(data, source="here")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        make({"a": A, "b": B}, length=2**63),
        make({"a": A, "b": B}, length=10**6),
        make({"a": A, "b": B}, length=4),
        make(json.dumps({"a": A})[:-1].encode() + b', "a": ' + json.dumps(A).encode()),
        make(b'{"a": ' * 10**5),
        make(b'{"a": ' + b"9" * 10**4 + b"}"),
        make(b"\xff\xfe{}"),
        make([A, B]),
    ],
    ids=lambda data: str(len(data)),
)
def test_headers_that_are_none_are_refused(data):
    with pytest.raises(CheckpointError, match="E018"):
        parse_tensors(data, source="here")


def test_a_duplicate_name_is_refused():
    entry = json.dumps(A)
    text = f'{{"a": {entry}, "a": {entry}}}'
    with pytest.raises(CheckpointError, match=r"E018.*unique keys"):
        parse_tensors(make(text.encode(), bytes(24)), source="here")


@pytest.mark.parametrize("dtype", ["I64", "F64", "F8_E4M3", "BOOL", "x" * 10**6, 5])
def test_other_dtypes_are_refused_in_a_short_message(dtype):
    data = make({"n" * 10**5: {**A, "dtype": dtype}, "b": B})
    with pytest.raises(CheckpointError, match="E015") as caught:
        parse_tensors(data, source="here")
    assert len(str(caught.value)) < 500


def test_a_huge_header_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:  # a sparse file of 2 GB, all of which is a header
        file.write((2**31).to_bytes(8, "little"))
        file.truncate(2**31 + 8)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"E018.*too long"):
            open_tensors(path)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
