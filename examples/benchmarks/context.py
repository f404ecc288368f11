"""Measure the cost of scores in context: of sentences in documents, and of streams.

    python examples/benchmarks/context.py --cache FOLDER --texts FOLDER

`--texts` is the folder with the evaluation files of the DuoGuard paper
(`En/openai.json`). The weights are random, as times don't depend on them: `--cache` is
where `run.py` keeps the checkpoint. Prints a table, and a line of JSON last.
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

from spacy_duoguard import Classifier, Stream, StreamBatch
from spacy_duoguard.engine.prefix_scores import Query

WORDS = ["house", "river", "the", "of", "stone", "walks", "under", "light", "a"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--cache", type=Path, required=True, help="folder for the checkpoint")
    add("--texts", type=Path, required=True, help="folder with the evaluation files")
    add("--tokenizer", type=Path, help="tokenizer.json of Qwen2.5; default: the demo's")
    add("--precision", default="auto")
    add("--documents", type=int, default=24)
    add("--words", type=int, default=1000, help="approximate tokens of the long stream")
    add("--rounds", type=int, default=5)
    add("--tiny", action="store_true", help="use a tiny model, to try out the script")
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
    """Draw texts of several sentences, seeded."""
    rows = json.loads((folder / "En" / "openai.json").read_text(encoding="utf8"))
    texts = [row["prompt"] for row in rows if row["prompt"].count(". ") >= 3]
    return random.Random(0).sample(texts, count)


def sentences(
    classifier: Classifier, texts: list[str], rounds: int
) -> dict[str, float]:
    """Score documents alone, with their sentences in context, with each sentence as a
    separate text, and with every prefix that ends a sentence rescored."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    docs = [nlp(text) for text in texts]
    spans = [tuple((s.start_char, s.end_char) for s in doc.sents) for doc in docs]
    context = list(map(Query, texts, spans))
    isolated = [Query(sent.text) for doc in docs for sent in doc.sents]
    prefixes = [
        Query(text[:end])
        for text, offsets in zip(texts, spans, strict=True)
        for _, end in offsets
    ]
    alone = [Query(text) for text in texts]
    runs: dict[str, Callable[[], Any]] = {
        "documents alone": lambda: classifier.answer(alone),
        "sentences in context": lambda: classifier.answer(context),
        "sentences as separate texts": lambda: classifier.answer(alone + isolated),
        "every prefix rescored": lambda: classifier.answer(alone + prefixes),
    }
    seconds = alternate(runs, rounds=rounds)
    first = seconds["documents alone"]
    figures = {"sentences": float(len(isolated)), "documents, s": median(first)}
    for name, times in seconds.items():
        ratios = [a / b for a, b in zip(times, first, strict=True)]
        figures[f"{name} / documents alone"] = median(ratios)
    return figures


def pushes(classifier: Classifier, rounds: int) -> dict[str, float]:
    """Push a word into a stream of 300 tokens, and score a text of five tokens."""
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
    """Push a text by words and by chunks of 64 words, score it in one pass, and rescore
    the text so far at every 25th word."""
    text = words(n_words)
    chunks = [word if i == 0 else " " + word for i, word in enumerate(text.split(" "))]
    one_pass = timed(lambda: classifier.score([text]))
    by_words = timed(lambda: push_all(classifier, chunks))
    longer = ["".join(chunks[i : i + 64]) for i in range(0, len(chunks), 64)]
    by_chunks = timed(lambda: push_all(classifier, longer))
    prefixes = ["".join(chunks[:n]) for n in range(25, len(chunks) + 1, 25)]
    scans = [timed(lambda text=text: classifier.score([text])) for text in prefixes]
    rescans = sum(scans) * len(chunks) / len(scans)
    return {
        "tokens of the long stream": float(len(classifier.tokenizer.encode(text).ids)),
        "one pass, s": one_pass,
        "by words, s": by_words,
        "rescans (every 25th measured, times 25), s": rescans,
        "rescans / by words": rescans / by_words,
        "chunks of 64 words / one pass": by_chunks / one_pass,
    }


def many_streams(classifier: Classifier, rounds: int) -> dict[str, float]:
    """Push a word to 16 streams of about 100 tokens, together and one by one."""
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


def push_all(classifier: Classifier, chunks: list[str]) -> None:
    with Stream(classifier) as stream:
        for chunk in chunks:
            stream.push(chunk)


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
