"""The trust table, row 28: texts that are large, or made to be slow."""

import json
import subprocess
import sys

import pytest
from spacy.tokens import Doc

# Our part without the network, whose memory is that of a batch. In a process of its
# own, whose address space may grow by 2 GB and no more.
SCRIPT = """
import json, resource, sys, time
import torch
from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.network.cpu import CpuForward

CpuForward.__call__ = lambda self, batch: torch.zeros(len(batch.scored_rows), 12)
classifier = Classifier.from_pretrained(sys.argv[1], precision="float32", device="cpu")
classifier.analyze(["warm \\u0301", "up\\u200b"], normalize=True)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 2 * 2**30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = []
for unit in ("a", "\\u0301\\u0327"):
    for n in (125_000, 1_000_000):
        start = time.process_time()
        (scores,) = classifier.analyze([(unit * n)[:n]], normalize=True)
        seconds, windows = time.process_time() - start, scores.windows
        found.append((seconds, len(windows), windows[-1].end))
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and RLIMIT_AS are Linux's")
def test_row_28_time_is_linear_and_memory_bounded(qwen2_folder):
    command = [sys.executable, "-c", SCRIPT, str(qwen2_folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    for (short, *_), (long, windows, end) in (found[:2], found[2:]):
        assert end == 1_000_000
        assert windows > 2_000
        # Eight times the text. Quadratic would be 64 times the time.
        assert long < 24 * short + 1.0


def test_row_28_the_tokenizer_of_spacy_can_be_left_out(make_nlp):
    """It is quadratic on such texts (1.4 s for this one, 22 s for one of four times the
    length), and runs before us."""
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


def test_a_text_beyond_max_length_is_refused_before_anything_runs(make_nlp):
    nlp = make_nlp()
    nlp.max_length = 100
    with pytest.raises(ValueError, match="E088"):
        nlp("a" * 101)


def test_half_a_surrogate_pair_never_passes(make_nlp, classifier):
    """spaCy's tokenizer stops it, and ours where spaCy is not there."""
    nlp = make_nlp()
    for text in ("\ud800", "a dog \udfff sleeps"):
        with pytest.raises(UnicodeEncodeError):
            nlp(text)
        with pytest.raises(RuntimeError, match="E052"):
            classifier.score(["fine", text])
        mended = text.encode("utf8", "replace").decode("utf8")
        assert nlp(mended)._.duoguard_status == "ok"


@pytest.mark.parametrize(
    "text",
    [
        "\u202eelbisivni\u202c",
        "NUL\0 in\0side",
        "\ufeffBOM",
        "\u2028\u2029",
        "\x85\x1f\x7f",
    ],
)
def test_controls_are_text_like_any_other(make_nlp, text):
    doc = make_nlp(normalize=True)(f"How to {text} sleep")
    assert doc.text == f"How to {text} sleep"
    assert doc._.duoguard_status == "ok"
    assert doc.cats["unsafe"] >= make_nlp()(doc.text).cats["unsafe"] - 1e-6
    without = make_nlp()("How to  sleep").cats
    assert doc.cats != pytest.approx(without, abs=1e-4)
