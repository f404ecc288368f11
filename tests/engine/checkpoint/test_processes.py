"""Weights in several processes: mapped from their file, while they are the same."""

import copy
import io
import os
import pickle
import shutil
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler
from weakref import WeakValueDictionary

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.checkpoints import QWEN2, TEXTS, shard, write_checkpoint

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network import inference
from spacy_duoguard.engine.network.trainable import add_labels, prepare_training
from spacy_duoguard.errors import CheckpointError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="nothing is mapped on Windows")

WEIGHTS = "model.safetensors"


def load(folder, **options):
    settings = {"precision": "float32", "device": "cpu", **options}
    return Classifier.from_pretrained(str(folder), **settings)


def sent(classifier):
    """What a spawned process receives. RETURNS the bytes."""
    buffer = io.BytesIO()
    ForkingPickler(buffer, pickle.HIGHEST_PROTOCOL).dump(classifier.decoder)
    return buffer.getvalue()


def weight_bytes(classifier):
    return sum(p.nbytes for p in classifier.decoder.parameters())


def with_decoder(classifier, decoder):
    """The same classifier with another decoder."""
    other = copy.deepcopy(classifier)
    object.__setattr__(other.bundle, "decoder", decoder)
    return Classifier(other.bundle, other.settings)


def test_what_a_worker_receives_are_places_in_a_file(checkpoint):
    classifier = load(checkpoint())
    data = sent(classifier)
    assert len(data) < 0.1 * weight_bytes(classifier)
    again = pickle.loads(data)
    assert set(again.origin.mapped) == set(classifier.decoder.origin.mapped)
    for name, parameter in classifier.decoder.named_parameters():
        assert again.get_parameter(name).equal(parameter)
        assert not again.get_parameter(name).requires_grad
    expected = classifier.score(TEXTS)
    assert np.array_equal(with_decoder(classifier, again).score(TEXTS), expected)


def test_all_but_what_lies_apart_is_mapped(checkpoint):
    classifier = load(checkpoint())
    copied = set(dict(classifier.decoder.named_parameters())) - set(
        classifier.decoder.origin.mapped
    )
    # Queries, keys and values are one parameter here, and three tensors there.
    # The head is multiplied in place, so it needs aligned memory.
    assert {name for name in copied if "qkv_proj" not in name} == {"score.weight"}
    bfloat16 = load(checkpoint(), precision="bfloat16")
    assert not bfloat16.decoder.origin.mapped


def test_shards_are_mapped_and_sent(checkpoint):
    folder = checkpoint()
    expected = load(folder).score(TEXTS)
    shard(folder, 2)
    classifier = load(folder)
    assert len(classifier.decoder.origin.files) == 2
    again = with_decoder(classifier, pickle.loads(sent(classifier)))
    assert np.array_equal(again.score(TEXTS), expected)


@pytest.mark.parametrize("change", ["head", "label", "layer", "trained"])
def test_what_was_changed_is_sent_as_it_is(checkpoint, change):
    classifier = load(checkpoint())
    decoder = classifier.decoder
    with torch.no_grad():
        if change == "head":
            decoder.score.weight.mul_(0.5)
        elif change == "label":
            add_labels(decoder, ["Spam"])
        elif change == "layer":
            decoder.layers[1].mlp.down_proj.weight[3] += 0.25
        else:
            prepare_training(decoder, 1)
            decoder.layers[2].mlp_norm.weight.add_(0.5)
    expected = classifier.score(TEXTS)
    again = pickle.loads(sent(classifier))
    assert again.trained_layers == decoder.trained_layers
    assert again.config == decoder.config
    scores = with_decoder(classifier, again).score(TEXTS)
    assert np.array_equal(scores, expected)
    assert scores.shape == (len(TEXTS), 13 if change == "label" else 12)


def test_weights_in_another_precision_are_sent_by_torch(checkpoint):
    classifier = load(checkpoint(), precision="bfloat16")
    again = pickle.loads(sent(classifier))
    assert again.origin is None
    expected = classifier.score(TEXTS)
    assert np.array_equal(with_decoder(classifier, again).score(TEXTS), expected)


def test_a_pickle_for_elsewhere_holds_the_weights(checkpoint):
    folder = checkpoint()
    classifier = load(folder)
    expected = classifier.score(TEXTS)
    data = pickle.dumps(classifier)
    clone = copy.deepcopy(classifier)
    shutil.rmtree(folder)
    for again in (pickle.loads(data), clone):
        assert again.decoder.origin is None
        assert np.array_equal(again.score(TEXTS), expected)


def test_weights_can_be_written_to_and_the_file_stays(checkpoint):
    folder = checkpoint()
    before = (folder / WEIGHTS).read_bytes()
    classifier = load(folder)
    expected = classifier.score(TEXTS)
    with torch.no_grad():
        for parameter in classifier.decoder.parameters():
            parameter.mul_(0.5)
    assert not np.array_equal(classifier.score(TEXTS), expected)
    assert (folder / WEIGHTS).read_bytes() == before
    assert np.array_equal(load(folder).score(TEXTS), expected)


# The file while it is in use


def test_a_file_that_is_overwritten_is_a_failure_and_no_score(checkpoint, tmp_path):
    folder = checkpoint()
    classifier = load(folder)
    data = sent(classifier)
    other = write_checkpoint(tmp_path / "other", QWEN2, seed=1)
    new = (other / WEIGHTS).read_bytes()
    os.utime(folder / WEIGHTS, ns=(0, 0))  # some clocks are coarse
    with (folder / WEIGHTS).open("r+b") as file:
        file.write(new)
    with pytest.raises(CheckpointError, match=r"E100.*renaming"):
        classifier.score(["a"])
    with pytest.raises(CheckpointError, match="E100"):
        sent(classifier)
    with pytest.raises(CheckpointError, match="E100"):
        pickle.loads(data)


def test_a_file_that_is_replaced_or_removed_changes_nothing(checkpoint):
    folder = checkpoint()
    classifier = load(folder)
    expected = classifier.score(TEXTS)
    other = load(folder)
    with torch.no_grad():
        other.decoder.score.weight.zero_()
    early = sent(classifier)
    other.to_disk(folder)
    with pytest.raises(CheckpointError, match="E100"):  # it is another file now
        pickle.loads(early)
    for _ in ("replaced", "removed"):
        assert np.array_equal(classifier.score(TEXTS), expected)
        again = with_decoder(classifier, pickle.loads(sent(classifier)))
        assert np.array_equal(again.score(TEXTS), expected)
        shutil.rmtree(folder, ignore_errors=True)
    with pytest.raises(CheckpointError, match=r"E018.*FileNotFound"):
        pickle.loads(early)


# Forks


def test_a_fork_shares_what_was_laid_out_before():
    code = (
        "import os, torch; torch.set_num_threads(1)\n"
        "from spacy_duoguard.engine.classifier import Classifier\n"
        "c = Classifier.from_pretrained('demo', device='cpu')\n"
        "assert c.runner.current._cached is None\n"
        "pid = os.fork()\n"
        "cached = c.runner.current._cached\n"
        "before = cached and cached[1]\n"
        "c.score(['a'])\n"
        "ok = before is not None and c.runner.current._cached[1] is before\n"
        "os._exit(not ok) if pid == 0 else None\n"
        "print(ok, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert run.stdout == "True 0\n", run.stderr


def test_laying_out_leaves_torchs_threads_alone(checkpoint, monkeypatch):
    classifier = load(checkpoint())
    counts = []
    get = inference.CurrentForward.get

    def noted(self):
        counts.append(torch.get_num_threads())
        return get(self)

    monkeypatch.setattr(inference.CurrentForward, "get", noted)
    torch.set_num_threads(2)
    try:
        inference._build_before_fork()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert set(counts) == {1}
    assert classifier.runner.current._cached is not None


def test_weights_that_were_modified_are_no_concern_of_who_forks(
    checkpoint, qwen2_folder
):
    folder = checkpoint()
    modified, other = load(folder), load(qwen2_folder)
    os.utime(folder / WEIGHTS, ns=(0, 0))
    with (folder / WEIGHTS).open("r+b") as file:
        file.write(file.read(8))
    forwards = [modified.runner.current, other.runner.current]
    for order in (forwards, forwards[::-1]):
        with pytest.MonkeyPatch.context() as patch:
            alive = WeakValueDictionary({id(forward): forward for forward in order})
            patch.setattr(inference, "_alive", alive)
            patch.setattr(other.runner.current, "_cached", None)
            inference._build_before_fork()
            assert other.runner.current._cached is not None
    with pytest.raises(CheckpointError, match="E100"):
        modified.score(["a"])


def test_mapped_tensors_are_those_of_the_file(checkpoint):
    folder = checkpoint()
    stored = load_file(folder / WEIGHTS)
    decoder = load(folder).decoder
    assert decoder.embedding.weight.equal(stored["model.embed_tokens.weight"])
    gate_up = decoder.layers[1].mlp.gate_up_proj.weight
    parts = [
        stored[f"model.layers.1.mlp.{name}_proj.weight"] for name in ("gate", "up")
    ]
    assert gate_up.equal(torch.cat(parts))
