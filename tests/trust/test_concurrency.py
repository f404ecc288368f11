"""Threads and processes share a pipeline. The cases with several processes run in a
subprocess with a time limit, since a failure would hang."""

import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from support.checkpoints import QWEN2, TEXTS, write_checkpoint

from spacy_duoguard.engine.network import inference as forward
from spacy_duoguard.pipeline import shim

SCRIPT = """
import multiprocessing, sys, warnings
import spacy, torch

def main():
    folder, method = sys.argv[1:]
    multiprocessing.set_start_method(method)
    torch.set_num_threads(2)
    torch.randn(4_000_000).relu().sum()  # starts torch's threads
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    model = {"name": folder, "precision": "float32", "device": "cpu"}
    nlp.add_pipe("duoguard", config={"sents": True, "model": model})
    sentences = "How to kill a python process? The dog sleeps. "
    texts = [sentences * (n % 10) for n in range(40)]
    docs = []
    if method == "fork":  # also before this process has scored anything
        docs += nlp.pipe(texts, batch_size=10, n_process=2)
    expected = list(nlp.pipe(texts, batch_size=10))
    print("scored here", file=sys.stderr, flush=True)
    docs += nlp.pipe(texts, batch_size=10, n_process=2)
    count = len(docs) // len(texts)
    assert [doc.text for doc in docs] == count * texts
    for doc, other in zip(docs, count * expected):
        assert doc._.duoguard_status == other._.duoguard_status != "error"
        assert doc._.duoguard_flags == other._.duoguard_flags
        pairs = [(doc.cats, other.cats)]
        for sent, same in zip(doc.sents, other.sents):
            pairs.append((sent._.duoguard_cats, same._.duoguard_cats))
        for cats, other_cats in pairs:
            assert list(cats) == list(other_cats)
            assert all(abs(cats[key] - other_cats[key]) <= 1e-5 for key in cats)
    print("equal", len(docs))

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def threaded_folder(tmp_path_factory):
    """A checkpoint large enough for torch to use its threads."""
    folder = tmp_path_factory.mktemp("threaded")
    sizes = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64}
    return write_checkpoint(folder, QWEN2, **sizes)


@pytest.mark.parametrize(
    ("method", "count"),
    [
        ("fork", 80),
        ("spawn", 40),
        # Between the two: its server is started like a spawned process, and forks.
        pytest.param("forkserver", 40, marks=pytest.mark.slow),
    ],
)
def test_two_processes_equal_one(threaded_folder, tmp_path, method, count):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf8")
    command = [sys.executable, str(script), str(threaded_folder), method]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"equal {count}\n"
    before, after = run.stderr.split("scored here\n")
    assert "W002" not in before
    assert ("W002" in after) == (method == "fork")


@pytest.fixture
def texts():
    """Mixed lengths: from one token to several windows."""
    return [
        *TEXTS,
        "The quick brown fox. " * 20,
        "How to kill a python process? " * 150,
    ]


def hammer(work, *, seconds):
    """Call `work` in eight threads for some time, at least 20 times each, with a random
    generator per thread."""
    end = time.monotonic() + seconds
    barrier = threading.Barrier(8)

    def loop(seed):
        random = np.random.default_rng(seed)
        barrier.wait()
        calls = 0
        while calls < 20 or time.monotonic() < end:
            work(random)
            calls += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(loop, range(8)))


def test_threads_share_a_pipeline(make_nlp, texts):
    nlp = make_nlp(sents=True)
    expected = {text: results(nlp(text)) for text in texts}

    def work(random):
        text = texts[random.integers(len(texts))]
        assert results(nlp(text)) == expected[text]

    hammer(work, seconds=1.0)


def results(doc):
    spans = (
        [span._.duoguard_cats for span in doc.sents]
        if doc.has_annotation("SENT_START")
        else []
    )
    return doc.cats, doc._.duoguard_windows, doc._.duoguard_flags, spans


def test_threads_score_while_the_forward_is_rebuilt(make_nlp, texts, monkeypatch):
    nlp = make_nlp(sents=True)
    expected = {text: results(nlp(text)) for text in texts}
    weight = next(nlp.get_pipe("duoguard").classifier.decoder.layers.parameters())
    made = []
    make = forward.make_forward

    def counting(*args, **kwargs):
        made.append(args)
        return make(*args, **kwargs)

    monkeypatch.setattr(forward, "make_forward", counting)

    def work(random):
        if random.random() < 0.2:
            with torch.no_grad():
                weight.mul_(1.0)  # writes the same bits
        text = texts[random.integers(len(texts))]
        assert results(nlp(text)) == expected[text]

    hammer(work, seconds=0.5)
    assert len(made) > 5


def test_threads_load_the_model_once(make_nlp, monkeypatch):
    calls = []

    def counted(name, original):
        def call(*args, **kwargs):
            calls.append(name)
            return original(*args, **kwargs)

        return call

    monkeypatch.setattr(shim, "load_bundle", counted("load", shim.load_bundle))
    make = counted("make", forward.make_forward)
    monkeypatch.setattr(forward, "make_forward", make)
    nlp = make_nlp()
    barrier = threading.Barrier(8)

    def first(text):
        barrier.wait()
        return nlp(text)

    with ThreadPoolExecutor(8) as pool:
        docs = list(pool.map(first, ["The dog sleeps."] * 8))
    assert sorted(calls) == ["load", "make"]
    assert len({doc.cats["unsafe"] for doc in docs}) == 1
    assert docs[0].cats == make_nlp()("The dog sleeps.").cats
