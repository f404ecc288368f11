"""The same numbers on a GPU: pytest -m gpu tests/engine/test_gpu.py"""

import numpy as np
import pytest
import spacy
import torch
from support.checkpoints import TEXTS
from support.training import (
    DEPTHS,
    assert_equal,
    gradients,
    make_examples,
    train,
    trainable,
)
from thinc.api import Adam

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.attention import packed_attention, varlen_attention
from spacy_duoguard.engine.network.cuda import CudaForward
from spacy_duoguard.engine.network.packing import pack
from spacy_duoguard.engine.streaming.stream import Stream

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU"),
]


def load(folder, device, precision):
    return Classifier.from_pretrained(str(folder), device=device, precision=precision)


@pytest.mark.parametrize("kind", ["qwen2_folder", "llama_folder"])
def test_float32_equals_the_cpu(kind, request):
    folder = request.getfixturevalue(kind)
    expected = load(folder, "cpu", "float32").score(TEXTS)
    assert abs(load(folder, "cuda", "float32").score(TEXTS) - expected).max() <= 1e-5


def test_bfloat16_is_near_float32(qwen2_folder):
    expected = load(qwen2_folder, "cpu", "float32").score(TEXTS)
    ours = abs(load(qwen2_folder, "cuda", "bfloat16").score(TEXTS) - expected)
    cpu = abs(load(qwen2_folder, "cpu", "bfloat16").score(TEXTS) - expected)
    assert ours.mean() <= 1.25 * cpu.mean()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recorded_graphs_equal_the_plain_forward(qwen2_folder, precision):
    classifier = load(qwen2_folder, "cuda", precision)
    forward = classifier.runner.forward()
    assert isinstance(forward, CudaForward)
    limit = 1e-5 if precision == "float32" else 3e-2
    with torch.inference_mode():
        for text in (*TEXTS, *TEXTS[::-1]):  # the second time from recordings
            ids = classifier.tokenizer.encode(text).ids[:512]
            if len(ids):
                batch = pack([ids], device="cuda")
                found, expected = forward(batch), classifier.decoder(batch)
                assert (found.sigmoid() - expected.sigmoid()).abs().max() <= limit
    assert forward._graphs


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_stream_equals_the_text_so_far(qwen2_folder, precision):
    classifier = load(qwen2_folder, "cuda", precision)
    limit = 1e-5 if precision == "float32" else 3e-2
    text, so_far = " ".join(TEXTS), ""
    with Stream(classifier) as stream:
        for i in range(0, len(text), 7):
            so_far += text[i : i + 7]
            found = stream.push(text[i : i + 7]).probabilities
            assert abs(found - classifier.score([so_far])[0]).max() <= limit


def test_one_attention_call_equals_one_for_each_group(qwen2_folder):
    decoder = load(qwen2_folder, "cuda", "bfloat16").decoder
    config, lengths = decoder.config, [70, 33, 32, 5, 1]
    heads = (config.num_attention_heads, *2 * [config.num_key_value_heads])
    rows = [
        torch.randn(sum(lengths), n, config.head_dim, device="cuda").bfloat16()
        for n in heads
    ]
    batch = pack([np.zeros(n, dtype=np.int64) for n in lengths], device="cuda")
    found, expected = varlen_attention(*rows, batch), packed_attention(*rows, batch)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


def test_saved_on_the_gpu_and_loaded_on_the_cpu(qwen2_folder, tmp_path):
    classifier = load(qwen2_folder, "cuda", "float32")
    classifier.to_disk(tmp_path)
    again = load(tmp_path, "cpu", "float32")
    assert abs(again.score(TEXTS) - classifier.score(TEXTS)).max() <= 1e-5


def test_a_pipeline_on_the_gpu(make_nlp):
    nlp = make_nlp(sents=True, model={"device": "cuda:0"})
    expected = make_nlp(sents=True)
    for doc, other in zip(nlp.pipe(TEXTS), expected.pipe(TEXTS), strict=True):
        assert doc.cats == pytest.approx(other.cats, abs=1e-5)


@DEPTHS
def test_training_on_the_gpu(make_nlp, tmp_path, layers):
    cpu = trainable(make_nlp, layers)
    gpu = trainable(make_nlp, layers, model={"device": "cuda:0"})
    examples = make_examples(cpu)
    for nlp in (cpu, gpu):
        nlp.initialize(lambda: examples)
    expected = gradients(cpu, examples)
    found = {name: grad.cpu() for name, grad in gradients(gpu, examples).items()}
    assert_equal(found, expected, rel=1e-3)
    assert train(gpu)[-1] == pytest.approx(train(cpu)[-1], abs=1e-2)
    gpu.to_disk(tmp_path)
    config = {"components.duoguard.model.device": "cpu"}
    again = spacy.load(tmp_path, config=config)
    for doc, other in zip(again.pipe(TEXTS), gpu.pipe(TEXTS), strict=True):
        assert doc.cats == pytest.approx(other.cats, abs=1e-4)


def test_averages_on_the_gpu(make_nlp):
    nlp = trainable(make_nlp, 1, model={"device": "cuda:0"})
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples, sgd=Adam(0.01, use_averages=True))
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    scores = nlp("a").cats
    with nlp.use_params(optimizer.averages):
        assert nlp("a").cats != scores
    assert nlp("a").cats == scores
