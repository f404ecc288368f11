"""Texts that are tokenized together or in the background give the same as alone."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import TEXTS, without_tiktoken
from support.threads import no_thread_left, two_threads

from spacy_duoguard.engine.settings import Settings
from spacy_duoguard.engine.text import ahead as ahead_module
from spacy_duoguard.engine.text import batches as batches_module
from spacy_duoguard.engine.text import split as split_module
from spacy_duoguard.engine.text.ahead import SplitAhead, split_ahead, split_all
from spacy_duoguard.engine.text.batches import BatchTokenizer
from spacy_duoguard.engine.text.split import (
    Limits,
    begin_texts,
    split_text,
    split_texts,
)

ODD_TEXTS = st.lists(
    st.one_of(
        st.text(max_size=30),  # surrogates too
        st.text("a e\u0301\u200b\u0435", max_size=200),
        st.sampled_from([*TEXTS, "", "\ud800", "k\u200bi\u200bll " * 40]),
    ),
    max_size=8,
)
LIMITS = st.builds(Limits, st.sampled_from([None, 1, 7, 50]), st.booleans())
SMALL = Settings(window=16, stride=12)
CPU = torch.device("cpu")


def summary(result):
    """What can be compared of a text's windows, or of an error."""
    if isinstance(result, Exception):
        return type(result), str(result)
    windows = [
        (window.ids.tolist(), window.char_span, window.segment.tokens.offsets.tolist())
        for window in result.windows
    ]
    return windows, result.truncated


def alone(text, tokenizer, limits):
    try:
        return summary(split_text(text, tokenizer, SMALL, limits))
    except Exception as e:
        return summary(e)


@settings(max_examples=200, deadline=None)
@given(texts=ODD_TEXTS, limits=LIMITS, offsets=st.booleans(), in_threads=st.booleans())
def test_texts_are_split_together_as_alone(
    classifier, texts, limits, offsets, in_threads
):
    tokenizer = classifier.tokenizer
    results = split_texts(
        texts, tokenizer, SMALL, limits, offsets=offsets, in_threads=in_threads
    )
    expected = [alone(text, tokenizer, limits) for text in texts]
    assert list(map(summary, results)) == expected


@settings(max_examples=200, deadline=None)
@given(texts=ODD_TEXTS, limits=LIMITS, offsets=st.booleans(), fast=st.booleans())
def test_texts_that_were_begun_are_split_as_alone(
    classifier, texts, limits, offsets, fast
):
    tokenizer = classifier.tokenizer if fast else without_tiktoken(classifier.tokenizer)
    of_texts = (tokenizer, SMALL, limits)
    begun = begin_texts(texts, *of_texts, offsets=offsets)
    results = split_texts(texts, *of_texts, offsets=offsets, begun=begun)
    expected = [alone(text, classifier.tokenizer, limits) for text in texts]
    assert list(map(summary, results)) == expected


def test_texts_that_were_begun_are_not_tokenized_again(classifier, monkeypatch):
    of_texts = (classifier.tokenizer, Settings())
    texts = ["The dog sleeps.", "", "Où est le chien ? ’", "Собака спит. 🙂"]
    expected = [split_text(text, *of_texts).ids for text in texts]
    monkeypatch.setattr(batches_module, "encode_all", None)
    begun = begin_texts(texts, *of_texts)
    monkeypatch.setattr(BatchTokenizer, "begin", lambda self, texts, **_: [*texts])
    monkeypatch.setattr(BatchTokenizer, "try_encode", None)
    results = split_texts(texts, *of_texts, begun=begun)
    for result, ids in zip(results, expected, strict=True):
        assert [window.tolist() for window in result.ids] == [i.tolist() for i in ids]


@settings(max_examples=100, deadline=None)
@given(texts=ODD_TEXTS, added=st.integers(0, 8), limits=LIMITS)
def test_texts_are_split_ahead_as_alone(classifier, texts, added, limits):
    tokenizer = classifier.tokenizer
    with two_threads(), pytest.MonkeyPatch.context() as patch, no_thread_left():
        patch.setattr(ahead_module, "_LEAST", 1)
        ahead = split_ahead(tokenizer, SMALL, limits, device=CPU)
        for text in texts[:added]:
            ahead.add(text)
        results = ahead.finish(texts)
    for text in texts:
        assert summary(results[text]) == alone(text, tokenizer, limits)


def test_the_first_text_that_fails_is_reported(classifier):
    tokenizer = classifier.tokenizer
    texts = ["a", "\ud800", "b"]
    for n_threads in (1, 2):
        with two_threads(n_threads), pytest.raises(Exception, match="E052"):
            split_all(texts, tokenizer, SMALL, Limits(), device=CPU, offsets=False)


def test_one_thread_of_torch_means_no_other_thread(classifier):
    tokenizer = classifier.tokenizer
    with two_threads(1):
        assert split_ahead(tokenizer, SMALL, Limits(), device=CPU) is None
        gpu = torch.device("cuda")
        assert split_ahead(tokenizer, SMALL, Limits(), device=gpu) is not None
    with two_threads(2):
        assert split_ahead(tokenizer, SMALL, Limits(), device=CPU) is not None


def test_windows_made_with_other_limits_are_not_used(classifier):
    tokenizer, text = classifier.tokenizer, "The dog sleeps. " * 4
    with two_threads():
        ahead = split_ahead(tokenizer, SMALL, Limits(max_chars=5), device=CPU)
        ahead.add(text)
        result = split_all(
            *([text], tokenizer, SMALL, Limits()),
            **{"device": CPU, "offsets": False, "ahead": ahead},
        )
        ahead.close()
    assert summary(result[text]) == alone(text, tokenizer, Limits())


def test_each_text_is_split_once(monkeypatch):
    monkeypatch.setattr(ahead_module, "_LEAST", 3)
    begun, calls = [], []

    def begin(texts):
        begun.extend(texts)
        return [texts]

    def split(texts, done):
        calls.extend([texts, *done])
        return [len(text) for text in texts]

    with no_thread_left():
        ahead = SplitAhead(begin, split)
        texts = [str(i % 40) * (i % 7) for i in range(200)]
        for text in texts:
            ahead.add(text)
        results = ahead.finish(texts)
        assert ahead.finish(texts) == results
    assert results == {t: len(t) for t in texts}
    asked, *done = calls
    assert sorted(asked) == sorted(set(texts))
    # What had begun was complete, and no text began twice.
    assert [text for part in done for text in part] == begun
    assert len(set(begun)) == len(begun) >= 3


def test_an_error_in_the_thread_comes_up_where_it_can_be_handled(monkeypatch):
    monkeypatch.setattr(ahead_module, "_LEAST", 1)

    def fail(*_):
        raise MemoryError(threading.current_thread().name)

    ahead = SplitAhead(fail, fail)
    with no_thread_left():
        ahead.add("a")
        with pytest.raises(MemoryError, match="MainThread"):
            ahead.finish(["a"])


def test_texts_are_split_where_no_thread_can_start(monkeypatch):
    def fail(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    monkeypatch.setattr(ahead_module, "_LEAST", 1)
    ahead = SplitAhead(
        lambda texts: pytest.fail("in the caller's thread"),
        lambda texts, begun: [len(text) for text in texts] + list(begun),
    )
    for text in ("a", "bb", "ccc"):
        ahead.add(text)
    assert ahead.finish(["bb", "ccc", "a"]) == {"a": 1, "bb": 2, "ccc": 3}
    ahead.close()


def test_a_thread_ends_with_its_texts():
    """Nobody waits for it, as where reading a batch is given up."""
    before = set(threading.enumerate())
    ahead = SplitAhead(list, lambda texts, _: list(texts))
    for i in range(100):
        ahead.add(str(i))
    (thread,) = set(threading.enumerate()) - before
    del ahead
    thread.join(60)
    assert not thread.is_alive()


def test_offsets_that_were_not_asked_for_are_the_same(classifier):
    tokenizer = classifier.tokenizer
    texts = [text * 3 for text in TEXTS]
    batches = [
        tokenizer.encode_batch(texts, offsets=lambda _, o=o: o) for o in (True, False)
    ]
    for text, *tokens in zip(texts, *batches, strict=True):
        expected = tokenizer.encode(text)
        for other in tokens:
            assert np.array_equal(other.ids, expected.ids)
            assert np.array_equal(other.offsets, expected.offsets)
            assert (other.ids.dtype, other.offsets.dtype) == (np.int32, np.int32)


def test_offsets_are_read_only_of_texts_with_several_windows(classifier, monkeypatch):
    """Reading those of one text takes longer than all else that Python does with it."""
    tokenizer, n_read = without_tiktoken(classifier.tokenizer), []
    texts = ["the dog " * 12, "The dog sleeps. " * 8, "a fox"]
    counts = [len(tokenizer.encode(text).ids) for text in texts]
    size = counts[0] + tokenizer.n_special
    sizes = Settings(window=size, stride=size - tokenizer.n_special)
    expected = [split_text(text, tokenizer, sizes) for text in texts]
    read = batches_module.read_offsets

    def noting(encoding):
        n_read.append(len(encoding.ids))
        return read(encoding)

    monkeypatch.setattr(split_module, "_CHARS_PER_TOKEN", 0)  # all may have several
    monkeypatch.setattr(batches_module, "read_offsets", noting)
    split = split_texts(texts, tokenizer, sizes)
    assert n_read == counts[1:2]
    spans = [[window.char_span for window in text.windows] for text in split]
    assert n_read == counts[1:2]
    assert list(map(len, spans)) == [1, 3, 1]
    assert list(map(summary, split)) == list(map(summary, expected))


FORK = """
import os, signal, sys, threading, time
import torch
torch.set_num_threads(2)
from spacy_duoguard import Classifier
from spacy_duoguard.engine.text.split import Limits

def check(suffix):
    texts = [f"How to kill a python process? {i}{suffix}" for i in range(200)]
    expected = classifier.score(texts)
    ahead = classifier.split_ahead(Limits())
    for text in texts:
        ahead.add(text)
    environment = dict(os.environ)
    for _ in range(3):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            assert set(ahead.finish(texts)) == set(texts)
            assert abs(classifier.score(texts) - expected).max() < 1e-5
            torch.set_num_threads(2)  # as a user may: the pool is gone all the same
            assert (classifier.split_ahead(Limits()) is None) == bool(suffix)
            os._exit(0)
        assert dict(os.environ) == environment
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (classifier.score(texts) == expected).all()
    ahead.close()
    print(threading.active_count())

classifier = Classifier.from_pretrained(sys.argv[1], precision="float32", device="cpu")
# Only texts with an unstable letter are tokenized with threads.
check("")
check("\\u0526")
"""


@pytest.mark.parametrize("setting", [None, "true"])
def test_a_fork_while_texts_are_tokenized_scores_them(
    qwen2_folder, monkeypatch, setting
):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    if setting is not None:
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", setting)
    command = [sys.executable, "-c", FORK, str(qwen2_folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "1\n1\n"
    assert "TOKENIZERS_PARALLELISM" not in run.stderr  # tokenizers' warning
