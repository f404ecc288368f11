"""A copy scores like the original, bit for bit, wherever its weights lie in memory."""

import pickle
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import spacy
import torch
from safetensors.torch import load_file, save
from support.checkpoints import LLAMA, QWEN2, TEXTS, make_tokenizer, write_checkpoint
from support.training import train, trainable

from spacy_duoguard.engine.checkpoint.safetensors import open_tensors
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network import cpu


def scores(nlp):
    """Of each text alone, then of all together: few rows take another kernel."""
    alone = [nlp(text).cats for text in TEXTS]
    return [*alone, *(doc.cats for doc in nlp.pipe(TEXTS))]


# All depths with one of them: the others have other shapes, in the same modules.
CASES = [*(("qwen2", depth) for depth in (0, 1, None)), ("llama", 1), ("demo", 1)]


@pytest.mark.parametrize(("name", "layers"), CASES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.filterwarnings("ignore:.W001")
def test_copies_of_a_trained_pipeline(
    make_nlp, tmp_path, request, name, precision, layers
):
    if name != "demo":
        name = str(request.getfixturevalue(f"{name}_folder"))
    model = {"name": name, "precision": precision}
    nlp = trainable(make_nlp, layers, model=model)
    train(nlp, steps=2)
    expected = scores(nlp)
    nlp.to_disk(tmp_path / "one")
    loaded = spacy.load(tmp_path / "one")
    loaded.to_disk(tmp_path / "two")
    for other in (
        loaded,
        spacy.load(tmp_path / "two"),
        make_nlp(model=model).from_bytes(nlp.to_bytes()),
        pickle.loads(pickle.dumps(nlp)),
        pickle.loads(ForkingPickler.dumps(nlp)),  # for a process that is spawned
        pickle.loads(ForkingPickler.dumps(loaded)),
    ):
        assert scores(other) == expected


def lay_weights(path, dtype, n):
    """Rewrite a safetensors file as a save would, with all but the head in the given
    dtype, and let the tensors begin n bytes later."""
    tensors = {
        name: tensor if name == "score.weight" else tensor.to(dtype)
        for name, tensor in load_file(path).items()
    }
    data = save(tensors, metadata={"format": "pt"})
    stop = 8 + int.from_bytes(data[:8], "little")
    length = (stop - 8 + n).to_bytes(8, "little")
    path.write_bytes(length + data[8:stop] + b" " * n + data[stop:])


@pytest.mark.parametrize("products", ["oneDNN", "plain"])
@pytest.mark.parametrize("base", [QWEN2, LLAMA], ids=["qwen2", "llama"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_where_weights_lie_in_a_file(tmp_path, monkeypatch, base, products, precision):
    if products == "plain":
        monkeypatch.setattr(cpu, "blocked_products", lambda dtype: False)
    tokenizer = make_tokenizer(bos=base is LLAMA)
    expected, offsets = None, set()
    for n in range(0, 64, 4):
        folder = write_checkpoint(tmp_path / str(n), base, tokenizer=tokenizer)
        path = folder / "model.safetensors"
        lay_weights(path, getattr(torch, precision), n)
        offsets.add(open_tensors(path)["score.weight"].start % 64)
        classifier = Classifier.from_pretrained(
            str(folder), precision=precision, device="cpu"
        )
        scored = [classifier.score([text]) for text in TEXTS]
        expected = scored if expected is None else expected
        np.testing.assert_array_equal(scored, expected)
    assert len(offsets) == 16
