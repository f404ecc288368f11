"""Measure how the memory of `nlp.pipe` grows with the number of docs.

    python examples/benchmarks/memory.py demo --threads 2

The texts are of mixed lengths and made up. Prints a table, and a line of JSON last.
"""

import argparse
import json
import time
import warnings
from collections.abc import Iterator

import spacy
import torch
from measure import machine
from scaling import memory
from workloads import TextPool

MARKS = (1_000, 5_000, 10_000, 20_000, 40_000, 70_000, 100_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("model", help="folder or 'demo'")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--precision", default="auto")
    add("--kernels", default="torch")
    add("--most", type=int, default=MARKS[-1], help="number of docs")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # the demo's
    nlp = spacy.blank("xx")
    model = {
        "name": options.model,
        "precision": options.precision,
        "device": "cpu",
        "kernels": options.kernels,
    }
    nlp.add_pipe("duoguard", config={"model": model})
    rows, start = [], time.perf_counter()
    for number, _ in enumerate(nlp.pipe(_texts(options.most)), start=1):
        if number in MARKS:
            seconds = time.perf_counter() - start
            rows.append({"docs": number, "mb": memory("VmRSS"), "seconds": seconds})
    print("| docs | MB | s |\n|---|---|---|")
    for row in rows:
        print(f"| {row['docs']:,} | {row['mb']:,.0f} | {row['seconds']:,.0f} |")
    at = {row["docs"]: row["mb"] for row in rows}
    print(f"peak: {memory('VmHWM'):,.0f} MB")
    if MARKS[1] in at:
        growth = rows[-1]["mb"] - at[MARKS[1]]
        print(f"after doc {MARKS[1]:,}: {growth:+,.0f} MB")
    print(json.dumps({"machine": machine(), "rows": rows}))


def _texts(count: int) -> Iterator[str]:
    """YIELDS (str): Texts; those of a pool are used again with another first word."""
    pool = TextPool(None, length=lambda text: len(text.split()) * 2)
    texts = pool.mix(3_000)
    for number in range(count):
        yield f"{number} {texts[number % len(texts)]}"


if __name__ == "__main__":
    main()
