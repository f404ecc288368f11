"""Torch's threads in a block of code."""

import threading

import pytest
import torch
from support.decoders import make_batch, make_decoder
from support.threads import two_threads

from spacy_duoguard.engine.network import cpu, threads
from spacy_duoguard.engine.network.cpu import CpuForward

needs_openmp = pytest.mark.skipif(
    threads._openmp() is None, reason="torch's OpenMP library wasn't recognized"
)


def in_another_thread(function):
    values = []
    thread = threading.Thread(target=lambda: values.append(function()))
    thread.start()
    thread.join()
    return values[0]


@needs_openmp
def test_only_the_calling_thread_uses_fewer():
    with two_threads(3):
        with threads.at_most_threads(1):
            assert torch.get_num_threads() == 1
            assert in_another_thread(torch.get_num_threads) == 3
        assert torch.get_num_threads() == 3
        with threads.at_most_threads(8):
            assert torch.get_num_threads() == 3


@needs_openmp
def test_an_error_in_the_block_restores_them():
    with two_threads():
        with pytest.raises(ValueError, match="broken"), threads.at_most_threads(1):
            raise ValueError("broken")
        assert torch.get_num_threads() == 2


def test_where_openmp_is_not_recognized(monkeypatch):
    monkeypatch.setattr(threads, "_openmp", lambda: None)
    with two_threads(), threads.at_most_threads(1):
        assert torch.get_num_threads() == 2


def test_a_library_that_torch_does_not_follow_is_left_alone(monkeypatch):
    class Other:
        def __init__(self, path):
            self.omp_set_num_threads = calls.append

    calls = []
    monkeypatch.setattr(threads, "CDLL", Other)
    assert threads._openmp.__wrapped__() is None
    assert len(calls) % 2 == 0
    assert calls[1::2] == [torch.get_num_threads()] * (len(calls) // 2)


def test_threads_follow_the_work():
    small = 131_072  # weights of a layer of the demo checkpoint
    assert [threads.worth_threads(small, n) for n in (0, 1, 1024, 4096)] == [1, 1, 1, 5]
    large = 14_900_000  # of DuoGuard-0.5B: they come from memory for a single row, too
    assert [threads.worth_threads(large, n) for n in (1, 20, 1024)] == [7, 7, 152]


@needs_openmp
def test_a_small_batch_uses_one_thread(monkeypatch):
    decoder, seen = make_decoder(), []
    monkeypatch.setattr(
        CpuForward, "_layers", lambda *args: seen.append(torch.get_num_threads())
    )
    with two_threads():
        forward = CpuForward(decoder)
        forward.pooled(make_batch([5], decoder))
        monkeypatch.setattr(cpu, "worth_threads", lambda weights, rows: 2)
        forward.pooled(make_batch([5], decoder))
    assert seen == [1, 2]
