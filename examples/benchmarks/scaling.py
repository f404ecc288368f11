"""Measure how time and memory grow with the number of documents and their length.

    python examples/benchmarks/scaling.py --cache FOLDER

`--cache` is where `run.py` keeps its checkpoint. Prints tables, and a line of JSON
last.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch
from checkpoint import make_checkpoint
from measure import machine, median

from spacy_duoguard import Classifier

COUNTS = (100, 1000, 10_000)
LENGTHS = (16, 64, 256, 512, 1024, 2048, 4096, 8192)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--cache", type=Path, required=True, help="folder for the checkpoint")
    add("--tokenizer", type=Path, help="tokenizer.json of Qwen2.5; default: the demo's")
    add("--precision", default="auto")
    add("--most", type=int, default=COUNTS[-1], help="maximum number of documents")
    add("--tiny", action="store_true", help="use a tiny model, to try out the script")
    options = parser.parse_args()
    folder = options.cache / ("tiny" if options.tiny else "full")
    if not (folder / "model.safetensors").is_file():
        make_checkpoint(folder, tokenizer=options.tokenizer, tiny=options.tiny)
    classifier = Classifier.from_pretrained(
        str(folder), precision=options.precision, device="cpu"
    )
    loaded = memory("VmRSS")
    classifier.score([_words(200, seed=0)])
    report = {
        "machine": machine(),
        "precision": options.precision,
        "loaded_mb": loaded,
        "first_text_mb": memory("VmRSS"),
        "lengths": [_by_length(classifier, length) for length in LENGTHS],
        "documents": [
            _by_count(classifier, count) for count in COUNTS if count <= options.most
        ],
    }
    _print(report)
    print(json.dumps(report))


def _by_length(classifier: Classifier, length: int) -> dict[str, float]:
    text = _words(length, seed=length)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        classifier.score([text])
        seconds.append(time.perf_counter() - start)
    tokens = len(classifier.tokenizer.encode(text).ids)
    # Windows overlap, so the tokens of a long text are computed 512 / 384 times.
    return {"tokens": tokens, "seconds": median(seconds), "mb": memory("VmRSS")}


def _by_count(classifier: Classifier, count: int) -> dict[str, float]:
    texts = [_words(12, seed=i) for i in range(count)]
    start = time.perf_counter()
    classifier.score(texts)
    seconds = time.perf_counter() - start
    return {"documents": count, "seconds": seconds, "mb": memory("VmRSS")}


def _words(count: int, *, seed: int) -> str:
    draw = random.Random(seed)
    words = ["house", "river", "the", "of", "stone", "walks", "under", "light", "a"]
    return " ".join(draw.choice(words) for _ in range(count))


def memory(field: str) -> float:
    """field (str): "VmRSS" or "VmHWM".
    RETURNS (float): The memory of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(field))
    return int(line.split()[1]) / 1024


def _print(report: dict) -> None:
    print("| tokens | ms | ms / 1,000 tokens | MB |\n|---|---|---|---|")
    for row in report["lengths"]:
        each = 1e6 * row["seconds"] / row["tokens"]
        print(
            f"| {row['tokens']:,} | {1e3 * row['seconds']:,.0f} | {each:,.0f} "
            f"| {row['mb']:,.0f} |"
        )
    print("\n| documents | s | ms / document | MB |\n|---|---|---|---|")
    for row in report["documents"]:
        each = 1e3 * row["seconds"] / row["documents"]
        print(
            f"| {row['documents']:,} | {row['seconds']:,.1f} | {each:,.1f} "
            f"| {row['mb']:,.0f} |"
        )
    print(
        f"\nloaded: {report['loaded_mb']:,.0f} MB, after a first text: "
        f"{report['first_text_mb']:,.0f} MB, peak: {memory('VmHWM'):,.0f} MB"
    )


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
