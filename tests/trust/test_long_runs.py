"""A long run: memory stays flat, and every doc is accounted for. Slow: minutes of
scoring, on the demo checkpoint. It prints what it measured (`-s`)."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.util import ignore_error
from support.checkpoints import BAD

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.cpu import CpuForward
from spacy_duoguard.taxonomy import CATEGORIES

ZONES, DOCS = 100, 1000  # 100,000 docs
# Zones. Until then oneDNN keeps the products of ever new shapes, up to 1,024 of them.
WARM_UP = 40

WORDS = "the dog sleeps I will kill you what a lovely day idiot how to bake bread"
ONES = dict.fromkeys([*CATEGORIES, "unsafe"], 1.0)


def resident() -> int:
    """Megabytes that this process holds."""
    lines = Path("/proc/self/status").read_text(encoding="utf8").splitlines()
    return next(int(line.split()[1]) for line in lines if "VmRSS" in line) // 1024


@pytest.fixture
def faults(monkeypatch):
    """A list whose entries are errors to come, one for each of the next forwards; and
    texts with BAD fail whenever they are tried."""
    coming: list[str] = []
    forward, answer = CpuForward.__call__, Classifier.answer

    def failing_forward(self, batch):
        if coming:
            raise RuntimeError(coming.pop())
        return forward(self, batch)

    def failing_answer(self, queries, **kwargs):
        if any(BAD in query.text for query in queries):
            raise ValueError("broken")
        return answer(self, queries, **kwargs)

    monkeypatch.setattr(CpuForward, "__call__", failing_forward)
    monkeypatch.setattr(Classifier, "answer", failing_answer)
    return coming


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.filterwarnings("ignore:.W001")
def test_a_hundred_thousand_docs(faults):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    model = {"name": "demo", "precision": "float32", "device": "cpu"}
    nlp.add_pipe("duoguard", config={"sents": True, "model": model})
    nlp.set_error_handler(ignore_error)
    random = np.random.default_rng(0)
    memory, statuses, sample = [], [], []
    start = time.perf_counter()
    for zone in range(ZONES):
        words = random.choice(WORDS.split(), (DOCS, 9))
        texts = [f"{' '.join(row)} {zone}x{i}." for i, row in enumerate(words)]
        texts[700] = f"{BAD} {texts[700]}"
        texts[9] = f"{texts[9]} {texts[10]}"  # two sentences

        def stream(texts=texts):
            for i, text in enumerate(texts):
                if i == 300:
                    faults.append("a batch that fails once")
                yield text

        with nlp.memory_zone():
            docs = nlp.pipe(stream(), batch_size=64)
            for i, (doc, text) in enumerate(zip(docs, texts, strict=True)):
                assert doc.text == text
                statuses.append(doc._.duoguard_status)
                spans = [sentence._.duoguard_cats for sentence in doc.sents]
                assert len(spans) == 2 if i == 9 else len(spans) == 1
                if BAD in text:
                    assert [doc.cats, *spans] == [ONES, ONES]
                elif i == 9:
                    sample.append((text, doc.cats, spans))
                else:
                    assert spans == [doc.cats]
        memory.append(resident())
    seconds = time.perf_counter() - start
    assert not faults
    assert len(statuses) == ZONES * DOCS
    assert statuses.count("error") == ZONES  # the bad text of each, and no mate of it
    assert statuses.count("ok") == ZONES * (DOCS - 1)
    for text, cats, spans in sample[::10]:
        doc = nlp(text)
        assert doc.cats == pytest.approx(cats, abs=1e-5)
        found = [sentence._.duoguard_cats for sentence in doc.sents]
        assert found == [pytest.approx(cats, abs=1e-5) for cats in spans]
    flat = memory[WARM_UP:]
    figures = {"docs": len(statuses), "seconds": round(seconds), "batch_faults": ZONES}
    figures |= {
        "MB_by_zone": memory[:: ZONES // 10],
        "MB_growth_when_warm": max(flat) - flat[0],
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    assert max(flat) - flat[0] < 64, memory
