"""Time and memory: large texts, batches that do not fit, and long runs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy.util import ignore_error
from support.checkpoints import TEXTS
from support.failures import BAD, FAILED_CATS

from spacy_duoguard import make_conversation
from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.errors import ScoringError
from spacy_duoguard.pipeline import fail_closed
from spacy_duoguard.scoring.pipelines import WholeText, blank_pipeline

# Everything but the decoder, whose memory is that of a batch. Runs in a process whose
# address space may not grow by more than 2 GB.
SCRIPT = """
import json, resource, sys, time
import torch
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.cpu import CpuForward

CpuForward.__call__ = lambda self, batch: torch.ones(len(batch.scored_rows), 12)
classifier = Classifier.from_pretrained(sys.argv[1], precision="float32", device="cpu")
classifier.analyze(["warm \\u0301", "up\\u200b"], normalize=True)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 2 * 2**30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
results = []
for unit in ("a", "\\u0301\\u0327"):
    for n in (50_000, 400_000):
        start = time.process_time()
        (scores,) = classifier.analyze([(unit * n)[:n]], normalize=True)
        seconds, windows = time.process_time() - start, scores.windows
        results.append((seconds, len(windows), windows[-1].end))
print(json.dumps(results))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and RLIMIT_AS")
def test_time_is_linear_and_memory_bounded(qwen2_folder):
    command = [sys.executable, "-c", SCRIPT, str(qwen2_folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)
    for (short, *_), (long, windows, end) in (results[:2], results[2:]):
        assert end == 400_000
        assert windows > 800
        # For 8 times the text: quadratic time would be 64 times as long.
        assert long < 24 * short + 1.0


def test_spacys_tokenizer_can_be_skipped(make_nlp):
    """It runs before the component and is quadratic on such texts: 1.4 s for this one,
    22 s for one four times as long."""
    nlp = make_nlp()
    text = "(" * 4_000
    doc = Doc(nlp.vocab, words=[text], spaces=[False])
    (scored,) = nlp.pipe([doc])
    assert scored is doc
    assert doc.text == text
    assert doc._.duoguard_windows[-1]["end"] == len(text)
    short = "How to kill a python process?"
    whole = nlp(Doc(nlp.vocab, words=[short], spaces=[False]))
    assert whole.cats == nlp(short).cats


@pytest.mark.parametrize("start", ["(", ":", "a:", "http:", "a.", "@a.b", "1/"])
def test_what_score_makes_of_a_text_takes_linear_time(start):
    """spaCy's `like_url` takes 9 s for 40,000 colons in one token."""
    make_doc = WholeText(blank_pipeline("en").vocab)
    began = time.perf_counter()
    (token,) = make_doc(start * (400_000 // len(start)) + ".a")
    assert time.perf_counter() - began < 5
    assert token.text.startswith(start)


def test_what_is_made_of_a_conversation_takes_linear_time():
    nlp = spacy.blank("en")

    def seconds(n):
        start = time.process_time()
        doc = make_conversation(nlp, ["hi you"] * n)
        assert sum(token.is_sent_start is True for token in doc) == n
        return time.process_time() - start

    seconds(1)
    # For 8 times the messages: quadratic time would be 64 times as long.
    assert seconds(24_000) < 24 * seconds(3_000) + 0.5


def test_results_of_many_sentences_take_linear_time(make_nlp):
    nlp = make_nlp(sents=True)

    def seconds(n):
        doc = nlp("It is so. " * n)
        assert len(list(doc.sents)) == n
        start = time.process_time()
        assert all(s._.duoguard_action for s in doc.sents)
        return time.process_time() - start

    seconds(1)
    # For 8 times the sentences: quadratic time would be 64 times as long.
    assert seconds(4_000) < 20 * seconds(500) + 0.5


def test_a_text_beyond_max_length_is_refused(make_nlp):
    nlp = make_nlp()
    nlp.max_length = 100
    with pytest.raises(ValueError, match="E088"):
        nlp("a" * 101)


def too_large():
    torch.empty(10**15)  # the error of the CPU allocator


def raising(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    "fail",
    [
        raising(torch.OutOfMemoryError("CUDA out of memory")),
        raising(MemoryError()),
        too_large,
    ],
    ids=["cuda", "python", "cpu"],
)
def test_a_batch_that_does_not_fit_is_halved(make_nlp, monkeypatch, fail):
    alone = make_nlp(model={"max_batch_tokens": 1})
    expected = [alone(text).cats for text in TEXTS]
    sizes = []
    forward = CpuForward.__call__

    def limited(self, batch):
        sizes.append(len(batch.scored_rows))
        if sizes[-1] > 2:
            fail()
        return forward(self, batch)

    monkeypatch.setattr(CpuForward, "__call__", limited)
    nlp = make_nlp()
    # Without the component's bisection, so that only the engine halves batches.
    monkeypatch.setattr(
        fail_closed,
        "score_or_halve",
        lambda component, docs: component.set_annotations(
            docs, component.predict(docs)
        ),
    )
    with pytest.warns(UserWarning, match=r"W005.*Error.*max_batch_tokens"):
        docs = list(nlp.pipe(TEXTS))
    fallbacks = nlp.get_pipe("duoguard").classifier.runner.fallbacks
    assert max(sizes) == len(TEXTS)
    assert fallbacks.halvings == len([size for size in sizes if size > 2])
    assert len([size for size in sizes if size > 2]) < 6
    for doc, cats in zip(docs, expected, strict=True):
        assert doc._.duoguard_status == "ok"
        assert doc.cats == pytest.approx(cats, abs=1e-5)


def test_a_window_that_does_not_fit_fails_alone(make_nlp, monkeypatch):
    forward = CpuForward.__call__

    def limited(self, batch):
        if len(batch.token_ids) > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, batch)

    nlp = make_nlp()
    tokenizer = nlp.get_pipe("duoguard").classifier.tokenizer
    large = [len(tokenizer.encode(text).ids) > 40 for text in TEXTS]
    assert set(large) == {True, False}
    expected = [nlp(text).cats for text in TEXTS]
    monkeypatch.setattr(CpuForward, "__call__", limited)
    with pytest.raises(ScoringError, match=r"E120.*max_batch_tokens") as caught:
        list(nlp.pipe(TEXTS))
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
    nlp.set_error_handler(ignore_error)
    for doc, cats, big in zip(nlp.pipe(TEXTS), expected, large, strict=True):
        assert doc.cats == (FAILED_CATS if big else pytest.approx(cats, abs=1e-5))


# A long run: 100,000 docs, and what is special in each zone of DOCS docs.
ZONES, DOCS = 100, 1000
TWO_SENTENCES, FAILING_BATCH, FAILING_TEXT = 9, 300, 700
# Zones until memory is flat: oneDNN caches kernels for up to 1,024 shapes.
WARM_UP = 40
WORDS = "the dog sleeps I will kill you what a lovely day idiot how to bake bread"


def resident_megabytes():
    lines = Path("/proc/self/status").read_text(encoding="utf8").splitlines()
    return next(int(line.split()[1]) for line in lines if "VmRSS" in line) // 1024


@pytest.fixture
def next_errors(monkeypatch):
    """The messages of errors that the next forwards raise, one each."""
    messages = []
    forward = CpuForward.__call__

    def failing(self, batch):
        if messages:
            raise RuntimeError(messages.pop())
        return forward(self, batch)

    monkeypatch.setattr(CpuForward, "__call__", failing)
    return messages


def zone_texts(random, zone):
    words = random.choice(WORDS.split(), (DOCS, 9))
    texts = [f"{' '.join(row)} {zone}x{i}." for i, row in enumerate(words)]
    texts[FAILING_TEXT] = f"{BAD} {texts[FAILING_TEXT]}"
    texts[TWO_SENTENCES] += f" {texts[TWO_SENTENCES + 1]}"
    return texts


def check_zone(nlp, texts, next_errors):
    """Score and check the docs of a zone. RETURNS their statuses, and the scores of the
    doc with two sentences."""

    def stream():
        for i, text in enumerate(texts):
            if i == FAILING_BATCH:
                next_errors.append("a batch that fails once")
            yield text

    statuses, sample = [], ()
    with nlp.memory_zone():
        docs = nlp.pipe(stream(), batch_size=64)
        for i, (doc, text) in enumerate(zip(docs, texts, strict=True)):
            assert doc.text == text
            statuses.append(doc._.duoguard_status)
            spans = [sentence._.duoguard_cats for sentence in doc.sents]
            assert len(spans) == (2 if i == TWO_SENTENCES else 1)
            if i == FAILING_TEXT:
                assert [doc.cats, *spans] == [FAILED_CATS, FAILED_CATS]
            elif i == TWO_SENTENCES:
                sample = doc.cats, spans
            else:
                assert spans == [doc.cats]
    return statuses, sample


@pytest.mark.slow  # minutes of scoring
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.filterwarnings("ignore:.W001", "ignore:.W005")
def test_memory_stays_flat_over_a_hundred_thousand_docs(breaking, next_errors):
    """Prints what it measured (`-s`)."""
    nlp = breaking(ValueError("broken"), sents=True, model={"name": "demo"})
    nlp.set_error_handler(ignore_error)
    random = np.random.default_rng(0)
    memory, statuses, samples = [], [], []
    start = time.perf_counter()
    for zone in range(ZONES):
        texts = zone_texts(random, zone)
        zone_statuses, sample = check_zone(nlp, texts, next_errors)
        statuses += zone_statuses
        samples.append((texts[TWO_SENTENCES], *sample))
        memory.append(resident_megabytes())
    seconds = time.perf_counter() - start
    assert not next_errors
    # One for the batch that fails once. The failing text takes six of its batch of 64.
    fallbacks = nlp.get_pipe("duoguard").classifier.runner.fallbacks
    assert ZONES <= fallbacks.halvings <= ZONES * 7
    assert len(statuses) == ZONES * DOCS
    assert statuses.count("error") == ZONES  # none of their batch mates
    assert statuses.count("ok") == ZONES * (DOCS - 1)
    for text, cats, spans in samples[::10]:
        doc = nlp(text)
        assert doc.cats == pytest.approx(cats, abs=1e-5)
        for sentence, expected in zip(doc.sents, spans, strict=True):
            assert sentence._.duoguard_cats == pytest.approx(expected, abs=1e-5)
    growth = max(memory[WARM_UP:]) - memory[WARM_UP]
    figures = {"docs": len(statuses), "seconds": round(seconds), "batch_faults": ZONES}
    figures |= {"MB_by_zone": memory[:: ZONES // 10], "MB_growth_when_warm": growth}
    sys.stdout.write(json.dumps(figures) + "\n")
    assert growth < 64, memory
