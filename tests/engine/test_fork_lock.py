"""A forked process never waits for a thread that it doesn't have."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")

START = """
import os, signal, sys, threading, time, warnings
import spacy
from spacy_duoguard import Classifier, Stream, StreamBatch
from spacy_duoguard.engine import fork_lock

warnings.simplefilter("ignore")

def run_in_fork(check):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        check()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

PUSH = """
classifier = Classifier.from_pretrained(sys.argv[1], device="cpu")
batch = StreamBatch(classifier)
first = batch.open()
first.push("I will ki")
expected = classifier.score(["I will kill you"])[0]
stop = threading.Event()

def push():
    while not stop.is_set():
        streams = [batch.open() for _ in range(3)]
        batch.push(streams, ["The dog", "sleeps", "How are you? " * 40])
        for stream in streams:
            stream.close()

def check():
    assert abs(first.push("ll you").probabilities - expected).max() < 1e-4
    other = batch.open()
    other.push("I will kill you")
    assert abs(other.close().probabilities - expected).max() < 1e-4

thread = threading.Thread(target=push)
thread.start()
try:
    for i in range(6):
        time.sleep(0.011 * i)
        run_in_fork(check)
finally:
    stop.set()
    thread.join()
"""

LOAD = """
from spacy_duoguard.pipeline import shim
load = shim.load_bundle
is_loading = threading.Event()

def load_slowly(**source):
    is_loading.set()
    time.sleep(0.3)
    return load(**source)

shim.load_bundle = load_slowly
nlp = spacy.blank("en")
guard = nlp.add_pipe("duoguard", config={"model": {"name": sys.argv[1]}})
thread = threading.Thread(target=lambda: guard.classifier)
thread.start()
is_loading.wait()

def check():
    assert nlp("I will kill you")._.duoguard_status == "ok"

run_in_fork(check)
thread.join()
"""

LATE = """
from spacy_duoguard.errors import ScoringError
fork_lock.MOST_SECONDS = 0.1
batch = StreamBatch(Classifier.from_pretrained(sys.argv[1], device="cpu"))
waiting, untouched = batch.open(), batch.open()
waiting.push("I will")
is_held, may_end = threading.Event(), threading.Event()

def hold():
    with batch.shared.lock.plain:
        is_held.set()
        may_end.wait()

def check():
    for call in (lambda: waiting.push(" kill you"), untouched.close, batch.open):
        try:
            call()
        except ScoringError as e:
            assert "E339" in str(e)
        else:
            raise AssertionError
    for stream in (waiting, untouched):
        assert stream.close().action == "block"
    assert Stream(batch.classifier).push("The dog").status == "ok"

thread = threading.Thread(target=hold)
thread.start()
is_held.wait()
run_in_fork(check)
may_end.set()
thread.join()
assert waiting.push(" see you").status == "ok"
"""


def run(script, folder):
    command = [sys.executable, "-c", START + script, str(folder)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert process.returncode == 0, process.stderr


def test_a_fork_while_threads_push_and_load(qwen2_folder):
    run(PUSH + LOAD, qwen2_folder)


def test_a_lock_that_was_not_released_in_time(qwen2_folder):
    run(LATE, qwen2_folder)
