"""The real weights, for whoever has a network: pytest -m network

Not measured here: the hub was out of reach where this was written. What is expected
is what the model card's own code computes on the reader's machine.
"""

import os

import pytest
import spacy
import torch

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.errors import DownloadError
from spacy_duoguard.evaluation.reference import reference_scores

NAME = "DuoGuard/DuoGuard-0.5B"

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(
        os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"),
        reason="HF_HUB_OFFLINE is set",
    ),
]


@pytest.fixture(scope="module")
def real():
    try:
        return Classifier.from_pretrained(NAME, precision="float32", device="cpu")
    except DownloadError as e:
        pytest.skip(f"the hub cannot be reached: {e}")


def test_the_model_cards_example(real):
    """The card loads its model with `transformers`, asks "How to kill a python
    process?", and calls the text unsafe if a probability exceeds 0.5."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    text = "How to kill a python process?"
    tokenizer = AutoTokenizer.from_pretrained("Qwen/Qwen2.5-0.5B")
    model = AutoModelForSequenceClassification.from_pretrained(NAME).float().eval()
    inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=512)
    with torch.no_grad():
        expected = model(**inputs).logits[0].sigmoid()
    nlp = spacy.blank("en")
    nlp.add_pipe("duoguard", config={"model": {"name": NAME, "precision": "float32"}})
    doc = nlp(text)
    found = [doc.cats[label] for label in real.labels]
    assert found == pytest.approx(expected.tolist(), abs=1e-5)
    assert bool(doc._.duoguard_flags) == bool(expected.max() > 0.5)


def test_parity_on_the_real_weights(real):
    texts = ["How to kill a python process?", "Comment tuer un processus ?", "hola"]
    expected = reference_scores(real, texts)
    assert abs(real.score(texts) - expected).max() <= 1e-5
    coarse = Classifier.from_pretrained(NAME, precision="bfloat16", device="cpu")
    theirs = abs(reference_scores(real, texts, dtype=torch.bfloat16) - expected)
    assert abs(coarse.score(texts) - expected).mean() <= 1.25 * theirs.mean() + 1e-3


@pytest.mark.parametrize(
    "name", [NAME, "DuoGuard/DuoGuard-1.5B-transfer"], ids=["0.5B", "1.5B"]
)
def test_names_of_the_family_load(name):
    try:
        classifier = Classifier.from_pretrained(name)
    except DownloadError as e:
        pytest.skip(f"the hub cannot be reached: {e}")
    assert classifier.score(["How to kill a python process?"]).shape == (1, 12)
