"""Weights: complete and sound or refused, the same after writing and reading."""

import ast
import json
import pickle
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from support.checkpoints import TEXTS, shard, write_index

import spacy_duoguard
from spacy_duoguard.engine.checkpoint import weights as weights_module
from spacy_duoguard.engine.checkpoint.repository import Folder
from spacy_duoguard.engine.checkpoint.safetensors import parse_tensors
from spacy_duoguard.engine.checkpoint.weights import (
    INDEX,
    WEIGHTS,
    dump_weights,
    load_decoder,
    open_weights,
    stored_tensors,
    write_weights,
)
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.config import DecoderConfig
from spacy_duoguard.engine.network.packing import pack
from spacy_duoguard.errors import CheckpointError
from spacy_duoguard.taxonomy import CATEGORIES

KEY = "model.layers.1.self_attn.k_proj.weight"
CPU = torch.device("cpu")


def load(folder, precision="float32"):
    return Classifier.from_pretrained(str(folder), precision=precision, device="cpu")


def parse(data):
    return parse_tensors(data, source="here")


def refused(folder, match):
    """Loading raises an error that says what `match` says. RETURNS the error."""
    with pytest.raises(CheckpointError, match=match) as caught:
        load(folder)
    return caught.value


def rewrite(folder, **changes):
    """Replace tensors of a checkpoint; `...` takes one out."""
    tensors = {**load_file(folder / WEIGHTS), **changes}
    tensors = {name: value for name, value in tensors.items() if value is not ...}
    save_file(tensors, folder / WEIGHTS)
    return folder


# Complete or not at all


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({KEY: ...}, f"1 missing.*{KEY}"),
        ({"model.norm.weight": ...}, "1 missing.*model.norm.weight"),
        ({"score.weight": ...}, "1 missing.*score.weight"),
        ({KEY.replace("weight", "bias"): ...}, "1 missing.*k_proj.bias"),
        ({"score.bias": torch.zeros(12)}, "1 surplus.*score.bias"),
        ({"lora.weight": torch.tensor(1.0)}, "1 surplus.*lora.weight"),
        ({KEY.replace("1", "3"): torch.zeros(16, 32)}, "1 surplus.*layers.3"),
        ({"lm_head.weight.scale": torch.ones(1)}, "1 surplus"),
        ({KEY: torch.zeros(32, 16)}, r"k_proj.*\(32, 16\) instead of \(16, 32\)"),
        ({KEY: torch.zeros(16 * 32)}, r"k_proj.*\(512,\)"),
        ({KEY: torch.zeros(16, 32, 1)}, r"k_proj.*\(16, 32, 1\)"),
        ({KEY: torch.zeros(0, 32)}, r"k_proj.*\(0, 32\)"),
        ({"score.weight": torch.zeros(7, 32)}, r"score.*\(7, 32\)"),
        ({KEY: torch.zeros(16, 32, dtype=torch.int64)}, "k_proj.*I64"),
        ({KEY: torch.zeros(16, 32, dtype=torch.float64)}, "k_proj.*F64"),
        ({KEY: torch.zeros(16, 32, dtype=torch.int8)}, "k_proj.*I8"),
        ({KEY: torch.zeros(16, 32).to(torch.float8_e4m3fn)}, "k_proj.*F8"),
    ],
)
def test_tensors_that_do_not_match_the_config_are_refused(checkpoint, changes, problem):
    folder = rewrite(checkpoint(), **changes)
    refused(folder, f"E015.*{problem}")
    config = DecoderConfig.from_json((folder / "config.json").read_text())
    options = {"source": "x", "device": CPU, "dtype": torch.float32}
    with pytest.raises(CheckpointError, match="E015"):
        load_decoder(config, parse((folder / WEIGHTS).read_bytes()), **options)


def test_a_head_for_other_categories_is_refused(checkpoint):
    names = {str(i): name for i, name in enumerate(CATEGORIES[:7])}
    refused(checkpoint(id2label=names), "E014.*7 rows")


def test_tensors_that_a_classifier_does_not_use_change_nothing(checkpoint):
    folder = checkpoint()
    expected = load(folder).score(TEXTS)
    unused = {
        "lm_head.weight": torch.full((352, 32), float("nan")),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(4),
    }
    assert np.array_equal(load(rewrite(folder, **unused)).score(TEXTS), expected)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e38", "-1e38", "1.1e6"])
@pytest.mark.parametrize(
    "name", ["model.embed_tokens.weight", KEY, "model.norm.weight", "score.weight"]
)
def test_a_weight_no_working_model_has_is_refused(checkpoint, name, value):
    folder = checkpoint()
    tensor = load_file(folder / WEIGHTS)[name].clone()
    tensor.view(-1)[5] = float(value)
    for dtype in (torch.float32, torch.bfloat16):
        refused(rewrite(folder, **{name: tensor.to(dtype)}), f"E016.*'{name}'")
    tensor.view(-1)[5] = 1e6
    load(rewrite(folder, **{name: tensor}))


# Files


@pytest.mark.parametrize("size", [0, 4, 8, 100, 0.5, -1], ids=str)
def test_a_truncated_file_is_refused(checkpoint, size):
    folder = checkpoint()
    data = (folder / WEIGHTS).read_bytes()
    cut = data[: int(len(data) * size) if isinstance(size, float) else size]
    (folder / WEIGHTS).write_bytes(cut)
    refused(folder, f"E018.*{WEIGHTS}")
    with pytest.raises(CheckpointError, match=r"E018.*here"):
        parse(cut)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 64,
        b"PK\x03\x04" + b"\0" * 60,
        (2**40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
    ],
    ids=["ones", "zip", "length", "list"],
)
def test_garbage_is_refused(checkpoint, data):
    folder = checkpoint()
    (folder / WEIGHTS).write_bytes(data)
    refused(folder, "E018")
    with pytest.raises(CheckpointError, match="E018"):
        parse(data)


def test_a_file_with_more_than_its_header_tells_is_refused(checkpoint):
    folder = checkpoint()
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"\0")
    refused(folder, "E018")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_is_never_opened(checkpoint, tmp_path):
    folder = checkpoint()
    (folder / WEIGHTS).unlink()
    for name in ("pytorch_model.bin", "training_args.bin", "rng_state.pth"):
        (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    refused(folder, f"E017.*{WEIGHTS}.*safetensors only")
    (folder / WEIGHTS).write_bytes((folder / "pytorch_model.bin").read_bytes())
    refused(folder, "E018")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_files_are_read_exactly(checkpoint, dtype):
    folder = checkpoint()
    half = {name: t.to(dtype) for name, t in load_file(folder / WEIGHTS).items()}
    wide = {name: tensor.float() for name, tensor in half.items()}
    expected = load(rewrite(folder, **wide)).score(TEXTS)
    assert np.array_equal(load(rewrite(folder, **half)).score(TEXTS), expected)
    mixed = {**half, KEY: wide[KEY], "score.weight": wide["score.weight"]}
    assert np.array_equal(load(rewrite(folder, **mixed)).score(TEXTS), expected)


ENORMOUS = ["vocab_size", "hidden_size", "intermediate_size", "head_dim"]


@pytest.mark.parametrize(
    "changes",
    [
        *({key: 10**12} for key in ENORMOUS),
        {"num_attention_heads": 10**12, "head_dim": 8},
        {"num_hidden_layers": 10**12},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_enormous_sizes_are_refused_before_anything_is_allocated(
    checkpoint, monkeypatch, changes
):
    folder = checkpoint()
    data = json.loads((folder / "config.json").read_text(encoding="utf8"))
    (folder / "config.json").write_text(json.dumps({**data, **changes}))
    monkeypatch.setattr(weights_module, "Decoder", None)
    start = time.process_time()
    tracemalloc.start()
    try:
        refused(folder, "E015|E019")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2e6
    assert time.process_time() - start < 1.0


# Shards


@pytest.mark.parametrize("n", [1, 2, 3])
def test_shards_are_one_checkpoint(checkpoint, n):
    folder = checkpoint()
    expected = load(folder).score(TEXTS)
    shard(folder, n)
    assert np.array_equal(load(folder).score(TEXTS), expected)


@pytest.mark.parametrize(
    "name",
    [
        "../other.safetensors",
        "sub/../../other.safetensors",
        "sub/model.safetensors",
        "..safetensors",
        ".safetensors",
        "C:\\x.safetensors",
        "pytorch_model.bin",
        "model.safetensors\n",
        "a" * 300 + ".safetensors",
        "",
        5,
        None,
    ],
)
def test_an_index_that_leads_elsewhere_is_refused(checkpoint, name):
    folder = checkpoint()
    index = shard(folder, 2)
    second = max(index["weight_map"].values())
    for path in ("other.safetensors", "checkpoint/sub/model.safetensors"):
        (folder.parent / path).parent.mkdir(exist_ok=True)
        (folder.parent / path).write_bytes((folder / second).read_bytes())
    moved = {k: name if v == second else v for k, v in index["weight_map"].items()}
    write_index(folder, {"weight_map": moved})
    refused(folder, f"E018.*{INDEX}")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": ["a"]}', "\xff"]
)
def test_a_damaged_index_is_refused(checkpoint, text):
    folder = checkpoint()
    shard(folder, 2)
    (folder / INDEX).write_bytes(text.encode("latin1"))
    refused(folder, f"E018.*{INDEX}")


def test_a_missing_or_damaged_shard_is_named(checkpoint):
    folder = checkpoint()
    shard(folder, 2)
    name = "model-00002-of-00002.safetensors"
    (folder / name).write_bytes(b"")
    refused(folder, f"E018.*{name}")
    (folder / name).unlink()
    refused(folder, f"E017.*{name}")


@pytest.mark.parametrize(
    "change",
    [
        lambda names: names.pop(KEY),
        lambda names: names.update({"score.bias": names[KEY]}),
    ],
    ids=["less", "more"],
)
def test_an_index_of_other_tensors_is_refused(checkpoint, change):
    folder = checkpoint()
    index = shard(folder, 2)
    change(index["weight_map"])
    write_index(folder, index)
    refused(folder, "E015.*the index and the shards")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({KEY: ...}, f"1 missing.*{KEY}"),
        ({"score.bias": torch.zeros(12)}, "1 surplus.*score.bias"),
    ],
)
def test_shards_that_do_not_match_the_config_are_refused(checkpoint, changes, problem):
    folder = rewrite(checkpoint(), **changes)
    shard(folder, 2)
    refused(folder, f"E015.*{problem}")


@pytest.mark.parametrize("doubled", [False, True])
def test_an_index_that_names_the_wrong_shard_is_refused(checkpoint, doubled):
    folder = checkpoint()
    first, second = (f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    index = shard(folder, 2)
    if doubled:  # the index is right, but the other shard has one of that name too
        name = next(k for k, v in index["weight_map"].items() if v == first)
        tensor = load_file(folder / first)[name]
        save_file({**load_file(folder / second), name: -tensor}, folder / second)
    else:
        name = next(k for k, v in index["weight_map"].items() if v == second)
        write_index(folder, {"weight_map": {**index["weight_map"], name: first}})
    refused(folder, "E015.*the index and the shards")


# Writing


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_weights_are_bit_equal_after_writing_and_reading(classifier, tmp_path, dtype):
    config = classifier.decoder.config
    stored = parse(dump_weights(classifier.decoder))
    decoder = load_decoder(config, stored, source="x", device=CPU, dtype=dtype)
    write_weights(decoder, tmp_path / WEIGHTS)
    expected = stored_tensors(decoder)
    for again in (
        open_weights(Folder(tmp_path)),
        parse(dump_weights(decoder)),
    ):
        assert set(again) == set(expected)
        for name, tensor in expected.items():
            assert again[name].dtype == tensor.dtype
            assert again[name].shape == tensor.shape
            assert again[name].read().equal(tensor)
        copy = load_decoder(config, again, source="x", device=CPU, dtype=dtype)
        for name, parameter in decoder.named_parameters():
            assert copy.get_parameter(name).equal(parameter)
    # The head is float32, everything else has the given dtype.
    kinds = {name: tensor.dtype for name, tensor in expected.items()}
    assert kinds.pop("score.weight") == torch.float32
    assert set(kinds.values()) == {dtype}


def test_what_is_written_are_the_tensors_of_the_checkpoint(classifier, qwen2_folder):
    ours, theirs = stored_tensors(classifier.decoder), load_file(qwen2_folder / WEIGHTS)
    assert set(ours) == set(theirs)
    assert all(ours[name].equal(theirs[name]) for name in theirs)


@pytest.mark.parametrize("folder", ["qwen2_folder", "llama_folder"])
def test_a_saved_folder_loads_in_transformers(request, tmp_path, folder):
    ours = load(request.getfixturevalue(folder))
    ours.to_disk(tmp_path / "saved")
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "saved"
    )
    tokenizer = ours.tokenizer
    sequences = [tokenizer.add_special_tokens(tokenizer.encode(t).ids) for t in TEXTS]
    with torch.inference_mode():
        logits = ours.decoder(pack(sequences))
        for row, ids in zip(logits, sequences, strict=True):
            input_ids = torch.from_numpy(ids.astype("i8"))[None]
            expected = theirs.eval()(input_ids=input_ids, use_cache=False).logits[0]
            assert (row - expected).abs().max() < 1e-5
    assert np.array_equal(load(tmp_path / "saved").score(TEXTS), ours.score(TEXTS))


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", "{}"])
def test_a_damaged_provenance_is_refused(checkpoint, text):
    folder = checkpoint()
    (folder / "duoguard.json").write_text(text)
    refused(folder, r"E018.*duoguard\.json|E021.*format version None")


# No code of anybody's


def test_the_package_neither_unpickles_nor_runs_a_checkpoints_code():
    modules = {"pickle", "marshal", "dill", "cloudpickle", "joblib", "shelve"}
    calls = {"eval", "exec", "torch.load", "torch.jit.load", "np.load", "numpy.load"}
    methods = {"from_pretrained", "save_pretrained", "load_state_dict_from_url"}
    ours = {"Classifier.from_pretrained", "cls.from_pretrained"}
    # Runs in the environment of a duel's generator, on the user's own chat model, whose
    # code it doesn't run either.
    adapters = Path("duel", "merge_adapter.py")
    for path in Path(spacy_duoguard.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Import):
                assert modules.isdisjoint(alias.name for alias in node.names), path
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in modules, path
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                assert calls.isdisjoint(names), path
            elif isinstance(node, ast.keyword):
                assert node.arg != "trust_remote_code", path
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in calls, path
                if called.split(".")[-1] in methods and called not in ours:
                    assert path.parts[-2:] == adapters.parts, path
