"""Texts of any size are scored whole, and no forward exceeds its budget."""

import numpy as np
import pytest
import spacy
import torch
from support.checkpoints import QWEN2, write_checkpoint

from spacy_duoguard.engine import runner
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.engine.streaming.stream import Stream
from spacy_duoguard.errors import ScoringError

BUDGET = 1024

TEXTS = {
    "a word of 200,000 characters": "a" * 200_000,
    "a document of 40,000 tokens": "The dog sleeps. " * 10_000,
    "65,000 spaces": " " * 65_000 + "kill",
    "16,000 line breaks": "\n" * 16_000 + "kill",
}


@pytest.fixture(scope="module")
def nlp(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shallow")
    write_checkpoint(folder, QWEN2, num_hidden_layers=1)
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    model = {"name": str(folder), "precision": "float32", "device": "cpu"}
    model["max_batch_tokens"] = BUDGET
    nlp.add_pipe("duoguard", config={"sents": True, "model": model})
    return nlp


@pytest.mark.parametrize("name", TEXTS)
def test_huge_texts(nlp, monkeypatch, name):
    classifier = nlp.get_pipe("duoguard").classifier
    sizes = []
    forward = CpuForward.__call__

    def measured(self, batch):
        sizes.append(len(batch.token_ids))
        return forward(self, batch)

    monkeypatch.setattr(CpuForward, "__call__", measured)
    doc = nlp(TEXTS[name])
    n_tokens = len(classifier.tokenizer.encode(doc.text).ids)
    windows = doc._.duoguard_windows
    assert doc._.duoguard_status == "ok"
    assert len(windows) == -(-(n_tokens - 512) // 384) + 1
    assert windows[0]["start"] == 0
    assert windows[-1]["end"] == len(doc.text)
    assert doc.cats["unsafe"] == max(max(window["probs"]) for window in windows)
    assert max(sizes) <= BUDGET
    assert sum(sizes) >= n_tokens


def test_a_window_that_no_batch_holds_is_a_failure(classifier, monkeypatch):
    """As memory holds scores of an earlier run, garbage could look like one."""
    plan = runner.plan_batches
    monkeypatch.setattr(
        runner, "plan_batches", lambda *args, **kwargs: plan(*args, **kwargs)[1:]
    )
    with pytest.raises(ScoringError, match="E040"):
        classifier.score(["How to kill a python process?"])


@pytest.mark.parametrize(
    "shape", [(1, 12), (2, 12), (3, 1), (3, 11), (12,), (), (4, 12)]
)
def test_logits_of_another_shape_are_a_failure(classifier, monkeypatch, shape):
    """Python's arrays would repeat a single row or column for all windows."""
    logits = torch.ones(shape)
    monkeypatch.setattr(CpuForward, "__call__", lambda self, batch: logits)
    with pytest.raises(ScoringError, match=r"E040.*3 of 3"):
        classifier.score(["a dog", "the dog sleeps", "x"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("part", ["embedding", "layers"])
def test_activations_that_overflow_give_no_score(qwen2_folder, precision, part):
    """The last norm makes zeros of them, of which a sigmoid makes 0.5."""
    classifier = Classifier.from_pretrained(
        str(qwen2_folder), precision=precision, device="cpu"
    )
    with torch.no_grad():
        for weight in getattr(classifier.decoder, part).parameters():
            weight.mul_(1e30)
    with pytest.raises(ScoringError, match=r"E040.*1 of 1"):
        classifier.score(["How to kill a python process?"])
    stream = Stream(classifier)
    with pytest.raises(ScoringError, match=r"E040.*1 of 1"):
        stream.push("How to kill a python process?")
    assert stream.close().unsafe == 1.0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_autocast_of_other_code_changes_no_score(qwen2_folder, precision):
    classifier = Classifier.from_pretrained(
        str(qwen2_folder), precision=precision, device="cpu"
    )
    text = "How to kill a python process?"
    with Stream(classifier) as stream:
        expected = classifier.score([text]), stream.push(text).probabilities
    with torch.autocast("cpu", dtype=torch.bfloat16), Stream(classifier) as stream:
        found = classifier.score([text]), stream.push(text).probabilities
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
