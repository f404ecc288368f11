"""Many short texts, with faults of every kind all the time: none is lost, none is there
twice, none is below its true score, and memory stays flat.

Run `pytest -m slow -s tests/trust/test_faults_at_scale.py`, which prints its figures.
"""

import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from spacy.util import ignore_error
from support.failures import FAILED_CATS
from support.faults import FAULTS, STOPS, Unplugged, failing_by
from support.marker import MARKER
from support.pipelines import Guarded

from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.scoring import run
from spacy_duoguard.scoring.pipelines import GuardOptions
from spacy_duoguard.scoring.run import ScoreRequest, open_source, score_file

pytestmark = [
    pytest.mark.slow,  # minutes
    pytest.mark.filterwarnings("ignore:.W005"),  # batches are halved all the time
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
    pytest.mark.parametrize("n_docs", [10_000, 100_000]),
]

ZONE = 1000
WARM_UP = 0.4  # of a run
POISON = "9"  # forwards fail on every batch with this token
WORDS = ["the", "dog", "sleeps", "a", "lovely", "day", "to", "bake", "été", "日本"]
ODD = ["", " ", "\u200b", "\u0301" * 60, "(" * 80, "<|endoftext|>7", "\x00 7", "\ufeff"]
BROKEN = [
    b'{"id": %d, "text": "\\ud800 7"}',
    b'{"id": %d, "text": "7", "text": "a"}',
    b'{"id": %d, "text": null}',
    b'{"id": %d}',
    b'{"id": %d, "text": "7"',
    b'\xff\xfe {"id": %d, "text": "7"}',
]


def make_texts(seed):
    """A thousand texts: short ones, odd ones, long ones and some that always fail."""
    choose = random.Random(seed)
    texts = []
    for _ in range(ZONE):
        words = choose.choices(WORDS, k=choose.randint(1, 9))
        kind = choose.random()
        if kind < 0.2:
            words.insert(choose.randrange(len(words)), MARKER)
        elif kind < 0.205:
            words = words * 40 + [MARKER]
        elif kind < 0.21:
            words.append(POISON)
        texts.append(choose.choice(ODD) if kind > 0.95 else " ".join(words))
    return texts


def random_faults(choose, *, stops):
    """One of a hundred forwards fails, and with `stops` one of a thousand ends the
    run."""
    mild = [name for name in FAULTS if name not in STOPS and name != "ok"]
    while True:
        chance = choose.random()
        if stops and chance < 0.001:
            yield choose.choice(list(STOPS))
        else:
            yield choose.choice(mild) if chance < 0.01 else "ok"


@pytest.fixture
def guarded(tmp_path):
    guarded = Guarded(tmp_path / "model", "plain")
    guarded.nlp.set_error_handler(ignore_error)
    return guarded


@pytest.fixture
def arm(guarded, monkeypatch):
    """A function that starts the faults."""
    (poison,) = guarded.reference.backend.encode(POISON, add_special_tokens=False).ids
    forward = CpuForward.__call__

    def fail_on_poison(self, batch):
        if (batch.token_ids == poison).any():
            raise ValueError("poison")
        return forward(self, batch)

    def arm(*, stops):
        faults = random_faults(random.Random(1), stops=stops)
        call = failing_by(faults, fail_on_poison)
        monkeypatch.setattr(CpuForward, "__call__", call)

    return arm


class Tally:
    """Checks results one by one, and follows memory."""

    def __init__(self, guarded):
        self.reference = guarded.reference
        self.statuses = Counter()
        self.memory = []
        self.start = time.perf_counter()

    def add(self, text, status, cats):
        self.statuses[status] += 1
        if status == "error":
            assert cats == FAILED_CATS
            return
        assert POISON not in text
        assert cats == pytest.approx(self.reference.cats(text), abs=1.2e-5)

    def measure(self):
        lines = Path("/proc/self/status").read_text(encoding="utf8").splitlines()
        size = next(int(line.split()[1]) for line in lines if "VmRSS" in line)
        self.memory.append(size // 1024)

    def finish(self, n_docs, n_hopeless):
        """`n_hopeless` of the texts cannot be scored."""
        assert sum(self.statuses.values()) == n_docs
        assert n_hopeless <= self.statuses["error"] < n_hopeless + 0.02 * n_docs
        growth = max(self.memory) - self.memory[int(WARM_UP * len(self.memory))]
        figures = {"docs": n_docs, "seconds": round(time.perf_counter() - self.start)}
        figures |= {"hopeless": n_hopeless, **self.statuses}
        sys.stdout.write(json.dumps({**figures, "MB_growth": growth}) + "\n")
        # oneDNN caches kernels for up to 1,024 shapes, which a short run doesn't fill.
        assert growth < (64 if n_docs >= 100_000 else 256), self.memory


def zones(n_docs):
    """The texts, over and over: their true scores are known after the first time."""
    variants = [make_texts(seed) for seed in range(5)]
    return [variants[i % 5] for i in range(n_docs // ZONE)]


def test_no_doc_is_lost_or_below_its_score(guarded, arm, n_docs):
    tally, number = Tally(guarded), 0
    arm(stops=False)
    for texts in zones(n_docs):
        with guarded.nlp.memory_zone():
            pairs = [(text, number + i) for i, text in enumerate(texts)]
            docs = guarded.nlp.pipe(pairs, as_tuples=True, batch_size=64)
            for (doc, i), text in zip(docs, texts, strict=True):
                assert (doc.text, i) == (text, number)
                assert doc.cats == doc._.duoguard_cats
                tally.add(text, doc._.duoguard_status, doc.cats)
                number += 1
        tally.measure()
    hopeless = sum(POISON in text for texts in zones(n_docs) for text in texts)
    tally.finish(n_docs, hopeless)


def write_input(path, n_docs):
    """RETURNS the texts, None for records that are broken."""
    choose, texts = random.Random(2), []
    with path.open("wb") as handle:
        for number, text in enumerate(t for texts in zones(n_docs) for t in texts):
            line = json.dumps({"id": number, "text": text}).encode("utf8")
            if choose.random() < 0.01:
                line, text = choose.choice(BROKEN) % number, None
            handle.write(line + b"\n")
            texts.append(text)
    return texts


def score_until_done(source, output, tally):
    """Score, and resume after each interrupt. RETURNS the number of interrupts."""
    options = GuardOptions(model="here", device="cpu")
    opened, resume = open_source(str(source)), False
    for n_stops in range(1000):
        try:
            request = ScoreRequest(opened, str(output), options, resume=resume)
            for i, _ in enumerate(score_file(request)):
                if i % 8 == 0:
                    tally.measure()
        except (KeyboardInterrupt, SystemExit, GeneratorExit, Unplugged):
            resume = True
        else:
            return n_stops
    raise AssertionError("never done")


def test_no_record_is_lost_or_below_its_score(
    guarded, arm, n_docs, tmp_path, monkeypatch
):
    texts = write_input(tmp_path / "in.jsonl", n_docs)
    monkeypatch.setattr(run, "load_guard", lambda options: guarded.nlp)
    tally = Tally(guarded)
    arm(stops=True)
    n_stops = score_until_done(tmp_path / "in.jsonl", tmp_path / "out.jsonl", tally)
    assert n_stops
    with (tmp_path / "out.jsonl").open(encoding="utf8") as handle:
        for number, (line, text) in enumerate(zip(handle, texts, strict=True)):
            result = json.loads(line)
            if text is None:
                assert result["status"] == "error"
                assert result["record"] == number + 1
            else:
                assert (result["id"], result["text"]) == (number, text)
            tally.add(text, result["status"], result["cats"])
    hopeless = sum(text is None or POISON in text for text in texts)
    tally.finish(n_docs, hopeless)
