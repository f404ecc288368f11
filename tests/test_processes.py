"""Several processes and threads. Each case runs in a process of its own, with a time
limit: what fails here would otherwise hang."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import QWEN2, TEXTS, write_checkpoint

SCRIPT = """
import multiprocessing, sys, warnings
import spacy, torch

def main():
    folder, method, when = sys.argv[1:]
    multiprocessing.set_start_method(method)
    torch.set_num_threads(2)
    torch.randn(4_000_000).relu().sum()  # starts the threads of torch
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    model = {"name": folder, "precision": "float32", "device": "cpu"}
    nlp.add_pipe("duoguard", config={"sents": True, "model": model})
    texts = ["How to kill a python process? The dog sleeps. " * n for n in range(40)]
    if when == "after":
        expected = list(nlp.pipe(texts, batch_size=10))
    found = list(nlp.pipe(texts, batch_size=10, n_process=2))
    if when == "before":
        expected = list(nlp.pipe(texts, batch_size=10))
    assert [doc.text for doc in found] == texts
    for doc, other in zip(found, expected):
        assert doc._.duoguard_status == other._.duoguard_status != "error"
        assert doc._.duoguard_flags == other._.duoguard_flags
        pairs = [(doc.cats, other.cats)]
        for sent, same in zip(doc.sents, other.sents):
            pairs.append((sent._.duoguard_cats, same._.duoguard_cats))
        for mine, theirs in pairs:
            assert list(mine) == list(theirs)
            assert all(abs(mine[key] - theirs[key]) <= 1e-5 for key in mine)
    print("equal", len(found))

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def threaded_folder(tmp_path_factory):
    """Large enough that torch uses its thread pool."""
    folder = tmp_path_factory.mktemp("threaded")
    sizes = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64}
    return write_checkpoint(folder, QWEN2, **sizes)


@pytest.mark.parametrize(
    ("method", "when"),
    [
        ("fork", "before"),
        ("fork", "after"),
        ("spawn", "after"),
        ("forkserver", "after"),
    ],
)
def test_two_processes_equal_one(threaded_folder, tmp_path, method, when):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf8")
    command = [sys.executable, str(script), str(threaded_folder), method, when]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "equal 40\n"
    assert ("W002" in run.stderr) == (method == "fork")


def test_threads_share_a_classifier(classifier):
    expected = {text: classifier.score([text]) for text in TEXTS}

    def work(seed):
        order = np.random.default_rng(seed).permutation(len(TEXTS))
        return all(
            np.array_equal(classifier.score([TEXTS[i]]), expected[TEXTS[i]])
            for _ in range(10)
            for i in order
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_threads_load_once(make_nlp, monkeypatch):
    from spacy_duoguard import shim

    loads = []
    load = shim.load_bundle

    def counting(*args, **kwargs):
        loads.append(args)
        return load(*args, **kwargs)

    monkeypatch.setattr(shim, "load_bundle", counting)
    nlp = make_nlp()
    with ThreadPoolExecutor(8) as pool:
        docs = list(pool.map(nlp, ["The dog sleeps."] * 16))
    assert len(loads) == 1
    assert len({doc.cats["unsafe"] for doc in docs}) == 1
