"""The same numbers on a GPU: pytest -m gpu tests/engine/test_gpu.py"""

from concurrent.futures import ThreadPoolExecutor

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
from spacy_duoguard.engine.fallbacks import Fallbacks
from spacy_duoguard.engine.network import flash_probe
from spacy_duoguard.engine.network.attention import packed_attention, varlen_attention
from spacy_duoguard.engine.network.cuda import CudaForward
from spacy_duoguard.engine.network.cuda_graph import GRAPH_LENGTHS
from spacy_duoguard.engine.network.packing import pack
from spacy_duoguard.engine.network.trainable import prepare_training
from spacy_duoguard.engine.streaming.stream import Stream

pytestmark = [
    pytest.mark.gpu,
    # Of torch's own thread for gradients, when it is the first to multiply.
    pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS"),
    # What it says of a recording that an error has ended.
    pytest.mark.filterwarnings("ignore:The CUDA Graph is empty"),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU"),
]


@pytest.fixture(autouse=True)
def no_fallback(request, monkeypatch):
    """No test may pass only because a batch was halved or a kernel not used."""
    seen, count = [], Fallbacks.count

    def counted(self, kind, cause):
        seen.append((kind, cause))
        count(self, kind, cause)

    monkeypatch.setattr(Fallbacks, "count", counted)
    yield seen
    if "falls_back" not in request.node.name:
        assert not seen


def load(folder, device, precision):
    return Classifier.from_pretrained(str(folder), device=device, precision=precision)


@pytest.mark.parametrize("kind", ["qwen2_folder", "llama_folder"])
def test_float32_equals_the_cpu(kind, request):
    folder = request.getfixturevalue(kind)
    expected = load(folder, "cpu", "float32").score(TEXTS)
    assert abs(load(folder, "cuda", "float32").score(TEXTS) - expected).max() <= 1e-5


def test_bfloat16_is_near_float32(qwen2_folder):
    expected = load(qwen2_folder, "cpu", "float32").score(TEXTS)
    ours = load(qwen2_folder, "cuda", "bfloat16").score(TEXTS)
    cpu = load(qwen2_folder, "cpu", "bfloat16").score(TEXTS)
    assert_as_near(ours, cpu, expected)


def assert_as_near(ours, cpu, expected):
    """bfloat16 rounds elsewhere on a GPU, but not to worse effect than on a CPU."""
    assert abs(ours - expected).mean() <= 1.25 * abs(cpu - expected).mean()


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
    limit = 1e-5 if precision == "float32" else 6e-2
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


@pytest.mark.parametrize("name", ["DuoGuard-0.5B", "DuoGuard-1.5B", "DuoGuard-1B"])
def test_the_attention_kernel_takes_the_published_models(name):
    heads = {"DuoGuard-0.5B": (14, 2, 64), "DuoGuard-1.5B": (12, 2, 128)}
    found = flash_probe._is_right(
        *heads.get(name, (32, 8, 64)), torch.bfloat16, torch.device("cuda")
    )
    assert found


def test_trained_top_layers_are_float32(qwen2_folder):
    """The kernel for packed rows takes half precision only."""
    expected = load(qwen2_folder, "cpu", "float32").score(TEXTS)
    classifier, cpu = (load(qwen2_folder, name, "bfloat16") for name in ("cuda", "cpu"))
    for trained in (classifier, cpu):
        prepare_training(trained.decoder, 1)
    assert_as_near(classifier.score(TEXTS), cpu.score(TEXTS), expected)
    alone = np.concatenate([classifier.score([text]) for text in TEXTS])
    assert_as_near(alone, cpu.score(TEXTS), expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_threads_replay_graphs_of_every_length(qwen2_folder, precision):
    classifier = load(qwen2_folder, "cuda", precision)
    texts = ["a" * (3 * n) for n in GRAPH_LENGTHS] + TEXTS
    expected = [classifier.score([text]) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            found = list(pool.map(lambda text: classifier.score([text]), texts))
            np.testing.assert_array_equal(found, expected)


def test_batches_are_replayed_as_they_were_computed(qwen2_folder):
    """The first time without a graph, and later with one, by several threads."""
    classifier = load(qwen2_folder, "cuda", "bfloat16")
    batches = [[f"{i} {text}" for i in range(n) for text in TEXTS] for n in (2, 3, 5)]
    expected = [classifier.score(texts) for texts in batches]
    for _ in range(10):
        for texts in batches:
            classifier.score(texts)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            for found, first in zip(
                pool.map(classifier.score, batches), expected, strict=True
            ):
                assert abs(found - first).max() <= 3e-2


def test_a_graph_is_recorded_anew_for_another_embedding(qwen2_folder):
    classifier = load(qwen2_folder, "cuda", "float32")
    before = classifier.score(["a dog"])
    embedding = classifier.decoder.embedding
    embedding.weight = torch.nn.Parameter(-embedding.weight, requires_grad=False)
    after = classifier.score(["a dog"])
    assert abs(after - before).max() > 1e-3
    with torch.inference_mode():
        ids = classifier.tokenizer.encode("a dog").ids
        plain = classifier.decoder(pack([ids], device="cuda")).sigmoid().cpu()
    assert abs(after - plain.numpy()).max() <= 1e-5


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_graphs_on_a_second_device(qwen2_folder):
    first, second = (load(qwen2_folder, f"cuda:{i}", "float32") for i in range(2))
    for text in TEXTS:
        assert abs(first.score([text]) - second.score([text])).max() <= 1e-5


def test_back_on_the_cpu(make_nlp):
    nlp = make_nlp(model={"device": "cuda:0"})
    expected = [doc.cats for doc in nlp.pipe(TEXTS)]
    nlp.get_pipe("duoguard").model.shims[0].to_device("cpu", -1)
    for doc, cats in zip(nlp.pipe(TEXTS), expected, strict=True):
        assert doc.cats == pytest.approx(cats, abs=1e-5)


def test_a_batch_that_does_not_fit_falls_back_on_halves(qwen2_folder, no_fallback):
    classifier = load(qwen2_folder, "cuda", "float32")
    texts = [f"{i} {text}" for i in range(500) for text in TEXTS]
    expected = classifier.score(texts)
    torch.cuda.empty_cache()
    total = torch.cuda.mem_get_info()[1]
    used = torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction((used + 12 * 2**20) / total)
    try:
        with pytest.warns(UserWarning, match=r"W005.*OutOfMemoryError"):
            found = classifier.score(texts)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert no_fallback
    assert abs(found - expected).max() <= 1e-5


def test_attention_in_training_does_not_use_cudnn():
    """It would make a plan for each new shape."""
    rows = torch.randn(30, 4, 64, device="cuda", requires_grad=True)
    half = rows.bfloat16()
    batch = pack([np.zeros(n, dtype=np.int64) for n in (17, 13)], device="cuda")
    with torch.profiler.profile(acc_events=True) as profile:
        packed_attention(half, half, half, batch).float().sum().backward()
    names = [event.key for event in profile.key_averages()]
    assert not [name for name in names if "cudnn" in name.lower()]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_triton_kernels_equal_those_of_torch(qwen2_folder, precision):
    pytest.importorskip("triton", reason="needs the package triton")
    expected = load(qwen2_folder, "cuda", precision).score(TEXTS)
    fused = Classifier.from_pretrained(
        str(qwen2_folder), device="cuda", precision=precision, kernels="triton"
    )
    limit = 1e-5 if precision == "float32" else 3e-2
    assert fused.runner.forward().fused is not None
    assert abs(fused.score(TEXTS) - expected).max() <= limit
    for text, row in zip(TEXTS, expected, strict=True):  # from recorded graphs
        assert abs(fused.score([text])[0] - row).max() <= limit
