"""What scores in context cost: sentences in their document's pass, and streams.

    python examples/benchmarks/context.py --cache FOLDER --texts FOLDER

`--texts` holds the evaluation files of the DuoGuard paper (`En/openai.json`). Uses the
checkpoint that `run.py --cache FOLDER` made there, or makes it. Prints a table, and one
line of JSON last. Random weights: times do not depend on them.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import spacy
import torch
from checkpoint import make_checkpoint
from measure import alternate, machine, median

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.prefix_scores import Query
from spacy_duoguard.engine.streaming.stream import Stream, StreamBatch

WORDS = ["house", "river", "the", "of", "stone", "walks", "under", "light", "a"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--cache", type=Path, required=True, help="where the checkpoint is kept")
    add("--texts", type=Path, required=True, help="the evaluation files")
    add("--tokenizer", type=Path, help="tokenizer.json of Qwen2.5; default: the demo's")
    add("--precision", default="auto")
    add("--documents", type=int, default=24)
    add("--words", type=int, default=1000, help="tokens of the long stream, about")
    add("--rounds", type=int, default=5)
    add("--tiny", action="store_true", help="a tiny model, to try the script")
    options = parser.parse_args()
    folder = options.cache / ("tiny" if options.tiny else "full")
    if not (folder / "model.safetensors").is_file():
        make_checkpoint(folder, tokenizer=options.tokenizer, tiny=options.tiny)
    classifier = Classifier.from_pretrained(
        str(folder), precision=options.precision, device="cpu"
    )
    texts = read_documents(options.texts, options.documents)
    report: dict[str, Any] = {"machine": machine(), "precision": options.precision}
    report |= sentences(classifier, texts, options.rounds)
    report |= pushes(classifier, options.rounds)
    report |= long_stream(classifier, options.words)
    report |= many_streams(classifier, options.rounds)
    for name, value in report.items():
        if isinstance(value, float):
            print(f"{name:<45} {value:10.3f}")
    print(json.dumps(report))


def read_documents(folder: Path, count: int) -> list[str]:
    """Texts of several sentences, seeded."""
    rows = json.loads((folder / "En" / "openai.json").read_text(encoding="utf8"))
    texts = [row["prompt"] for row in rows if row["prompt"].count(". ") >= 3]
    return random.Random(0).sample(texts, count)


def sentences(
    classifier: Classifier, texts: list[str], rounds: int
) -> dict[str, float]:
    """Documents alone, with their sentences in context, with each sentence as a text
    of its own, and with every prefix that ends a sentence scored anew."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    docs = [nlp(text) for text in texts]
    places = [tuple((s.start_char, s.end_char) for s in doc.sents) for doc in docs]
    context = [Query(text, own) for text, own in zip(texts, places, strict=True)]
    isolated = [Query(sent.text) for doc in docs for sent in doc.sents]
    prefixes = [
        Query(text[:end])
        for text, own in zip(texts, places, strict=True)
        for _, end in own
    ]
    alone = [Query(text) for text in texts]
    runs: dict[str, Callable[[], Any]] = {
        "documents alone": lambda: classifier.answer(alone),
        "sentences in context": lambda: classifier.answer(context),
        "sentences as texts of their own": lambda: classifier.answer(alone + isolated),
        "every prefix scored anew": lambda: classifier.answer(alone + prefixes),
    }
    seconds = alternate(runs, rounds=rounds)
    first = seconds["documents alone"]
    found = {"sentences": float(len(isolated)), "documents, s": median(first)}
    for name, own in seconds.items():
        ratios = [a / b for a, b in zip(own, first, strict=True)]
        found[f"{name} / documents alone"] = median(ratios)
    return found


def pushes(classifier: Classifier, rounds: int) -> dict[str, float]:
    """A word pushed into a stream of 300 tokens, against a text of five tokens."""
    stream = Stream(classifier)
    stream.push(words(300))
    short = "How to walk a dog"
    seconds = alternate(
        {
            "push": lambda: stream.push(" river"),
            "short": lambda: classifier.score([short]),
        },
        rounds=10 * rounds,
    )
    push, alone = median(seconds["push"]), median(seconds["short"])
    return {
        "a word pushed, ms": 1e3 * push,
        "a text of five tokens, ms": 1e3 * alone,
        "a word pushed / a text of five tokens": push / alone,
    }


def long_stream(classifier: Classifier, n_words: int) -> dict[str, float]:
    """A stream by words and by chunks of 64 tokens, against one pass, and against
    scanning the text so far anew at every 25th word."""
    text = words(n_words)
    parts = [part if i == 0 else " " + part for i, part in enumerate(text.split(" "))]
    one_pass = timed(lambda: classifier.score([text]))
    by_words = timed(lambda: push_all(classifier, parts))
    chunks = ["".join(parts[i : i + 64]) for i in range(0, len(parts), 64)]
    by_chunks = timed(lambda: push_all(classifier, chunks))
    sampled = range(25, len(parts) + 1, 25)
    scans = [timed(lambda n=n: classifier.score(["".join(parts[:n])])) for n in sampled]
    rescans = sum(scans) * len(parts) / len(scans)
    return {
        "tokens of the long stream": float(len(classifier.tokenizer.encode(text).ids)),
        "one pass, s": one_pass,
        "by words, s": by_words,
        "rescans (each 25th measured, times 25), s": rescans,
        "rescans / by words": rescans / by_words,
        "chunks of 64 words / one pass": by_chunks / one_pass,
    }


def many_streams(classifier: Classifier, rounds: int) -> dict[str, float]:
    """A word pushed to each of 16 streams of about 100 tokens: together, and one after
    the other."""
    batch = StreamBatch(classifier)
    streams = [batch.open() for _ in range(16)]
    batch.push(streams, [words(90 + i) for i in range(16)])
    single = [Stream(classifier) for _ in range(16)]
    for i, stream in enumerate(single):
        stream.push(words(90 + i))
    seconds = alternate(
        {
            "together": lambda: batch.push(streams, [" river"] * 16),
            "apart": lambda: [stream.push(" river") for stream in single],
        },
        rounds=2 * rounds,
    )
    together, apart = median(seconds["together"]), median(seconds["apart"])
    return {
        "16 streams together, ms": 1e3 * together,
        "16 streams one after the other, ms": 1e3 * apart,
        "one after the other / together": apart / together,
    }


def push_all(classifier: Classifier, parts: list[str]) -> None:
    with Stream(classifier) as stream:
        for part in parts:
            stream.push(part)


def timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def words(count: int) -> str:
    draw = random.Random(count)
    return " ".join(draw.choice(WORDS) for _ in range(count))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
