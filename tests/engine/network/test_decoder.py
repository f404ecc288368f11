"""Parity with `transformers`, the reference of the contract."""

import numpy as np
import pytest
import torch
from support.checkpoints import LLAMA, QWEN2, TEXTS, make_tokenizer, write_checkpoint
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.decoder import rotary_frequencies
from spacy_duoguard.errors import ScoringError, SettingsError
from spacy_duoguard.evaluation.reference import reference_scores

LONG = " ".join(TEXTS)  # a few hundred tokens, one window


def load(folder, precision="float32"):
    return Classifier.from_pretrained(str(folder), precision=precision, device="cpu")


def reference(folder, texts):
    """The contract's reference, to the letter."""
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, torch_dtype=torch.float32
    ).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    rows = []
    with torch.no_grad():
        for text in texts:
            inputs = tokenizer(
                text, return_tensors="pt", truncation=True, max_length=512
            )
            inputs.pop("token_type_ids", None)
            rows.append(model(**inputs).logits[0].sigmoid().numpy())
    return np.stack(rows)


@pytest.mark.filterwarnings("ignore:.torch_dtype.*is deprecated")
@pytest.mark.parametrize("kind", ["qwen2_folder", "llama_folder"])
def test_float32_equals_the_reference(kind, request):
    folder = request.getfixturevalue(kind)
    texts = [*TEXTS, LONG]
    expected = reference(folder, texts)
    classifier = load(folder)
    np.testing.assert_allclose(classifier.score(texts), expected, atol=1e-5)
    np.testing.assert_allclose(reference_scores(classifier, texts), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 0.05  # the texts do differ


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        (QWEN2, {"num_key_value_heads": 4}),
        (QWEN2, {"num_key_value_heads": 1, "tie_word_embeddings": False}),
        (QWEN2, {"rope_theta": 10000.0, "rms_norm_eps": 1e-3}),
        (LLAMA, {"rope_scaling": None}),
        (LLAMA, {"attention_bias": True, "mlp_bias": True}),
        (LLAMA, {"head_dim": 16}),
    ],
)
def test_variants_equal_the_reference(tmp_path, base, changes):
    folder = write_checkpoint(tmp_path, base, **changes)
    expected = reference_scores(load(folder), TEXTS)
    np.testing.assert_allclose(load(folder).score(TEXTS), expected, atol=1e-5)


def test_llama3_scaling_changes_the_scores(tmp_path):
    scaled = write_checkpoint(tmp_path / "a", LLAMA)
    plain = write_checkpoint(tmp_path / "b", LLAMA, rope_scaling=None)
    difference = load(scaled).score([LONG]) - load(plain).score([LONG])
    assert abs(difference).max() > 1e-3
    frequencies = rotary_frequencies(load(scaled).decoder.config)
    stretched = rotary_frequencies(load(plain).decoder.config) / frequencies
    assert stretched[0] == 1.0
    assert stretched[-1] == 8.0


def test_bfloat16_drifts_no_more_than_the_reference(qwen2_folder):
    texts = [text * n for text in TEXTS for n in (1, 2, 3)]
    exact = load(qwen2_folder)
    expected = reference_scores(exact, texts)
    theirs = abs(reference_scores(exact, texts, dtype=torch.bfloat16) - expected)
    ours = abs(load(qwen2_folder, "bfloat16").score(texts) - expected)
    assert 0 < ours.mean() <= 1.25 * theirs.mean()


@pytest.mark.parametrize("budget", [1, 7, 64, 100000])
def test_scores_do_not_depend_on_the_batch_budget(qwen2_folder, classifier, budget):
    small = Classifier.from_pretrained(
        str(qwen2_folder),
        precision="float32",
        device="cpu",
        max_batch_tokens=budget,
    )
    texts = [*TEXTS, LONG * 4]
    np.testing.assert_allclose(small.score(texts), classifier.score(texts), atol=1e-5)


def test_two_loads_repeat_exactly(qwen2_folder, classifier):
    again = load(qwen2_folder)
    assert np.array_equal(again.score(TEXTS), classifier.score(TEXTS))


def test_no_texts(classifier):
    assert classifier.score([]).shape == (0, 12)
    assert classifier.score([""]).tolist() == [[0.0] * 12]


def test_texts_may_be_an_iterator_and_not_a_string(classifier):
    actual = classifier.score(text for text in TEXTS)
    assert np.array_equal(actual, classifier.score(TEXTS))
    for single in ("The dog sleeps.", np.array("The dog sleeps."), 1):
        with pytest.raises(SettingsError, match="E049"):
            classifier.score(single)
    for wrong in (None, 3, b"bytes"):
        with pytest.raises(SettingsError, match=rf"E051.*1.*{type(wrong).__name__}"):
            classifier.score(["The dog sleeps.", wrong])
    with pytest.raises(ScoringError, match="E052"):
        classifier.score(["The dog \ud800."])


def test_a_template_token_begins_every_window_and_counts(llama_folder):
    classifier = Classifier.from_pretrained(
        str(llama_folder), precision="float32", device="cpu", window=16, stride=12
    )
    bos = make_tokenizer(bos=True).token_to_id("<|endoftext|>")
    cut = classifier.split(LONG, None)
    assert len(cut.ids) > 5
    assert all(ids[0] == bos and len(ids) <= 16 for ids in cut.ids)
    assert all(bos not in ids[1:] for ids in cut.ids)
    assert len(cut.ids[0]) == 16
    assert classifier.analyze([""])[0].windows == ()


def test_the_decoder_trains(qwen2_folder):
    """Gradients reach every parameter through packed batches."""
    from spacy_duoguard.engine.network.packing import pack

    classifier = load(qwen2_folder)
    decoder = classifier.decoder.requires_grad_(True)
    batch = pack([classifier.tokenizer.encode(text).ids for text in TEXTS])
    decoder(batch).square().sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
