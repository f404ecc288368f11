"""Compare forward passes in native kernels with those of torch, in turn.

    python examples/benchmarks/native.py FOLDER --precisions int8 bfloat16

Each pass takes new token ids of another number of rows. Prints a table, and a line of
JSON last.
"""

import argparse
import json
import time
from collections.abc import Sequence

import numpy as np
import torch
from measure import machine, median

from spacy_duoguard import Classifier
from spacy_duoguard.engine.network.inference import Forward
from spacy_duoguard.engine.network.packing import PackedBatch, pack

LENGTHS = (5, 20, 80, 320, 1024)  # tokens of a pass
WINDOW = 128  # tokens of a text, at most
KERNELS = ("torch", "native")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("model", help="folder or 'demo'")
    add("--precisions", nargs="+", default=["bfloat16"])
    add("--lengths", nargs="+", type=int, default=LENGTHS)
    add("--rounds", type=int, default=9)
    add("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for precision in options.precisions:
        rows += _measure(options.model, precision, options.lengths, options.rounds)
    print("| precision | tokens | torch, ms | native, ms | native against torch |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['precision']} | {row['tokens']} | {row['torch']:.1f} "
            f"| {row['native']:.1f} | {row['ratio']:.2f} |"
        )
    print(json.dumps({"machine": machine(threads=options.threads), "rows": rows}))


def _measure(
    model: str, precision: str, lengths: Sequence[int], rounds: int
) -> list[dict]:
    draw = np.random.default_rng(0)
    forwards: dict[str, Forward] = {}
    for kernels in KERNELS:
        classifier = Classifier.from_pretrained(
            model, precision=precision, device="cpu", kernels=kernels
        )
        forwards[kernels] = classifier.runner.forward()
    vocabulary = classifier.decoder.config.vocab_size
    rows = []
    for tokens in lengths:
        milliseconds: dict[str, list[float]] = {kernels: [] for kernels in KERNELS}
        for number in range(rounds + 1):
            batch = _batch(tokens + number % 3, vocabulary, draw)
            for kernels in KERNELS[:: 1 if number % 2 else -1]:
                elapsed = _milliseconds(forwards[kernels], batch)
                if number:  # the first is to warm up
                    milliseconds[kernels].append(elapsed)
        pairs = zip(milliseconds["native"], milliseconds["torch"], strict=True)
        rows.append(
            {
                "precision": precision,
                "tokens": tokens,
                **{kernels: median(times) for kernels, times in milliseconds.items()},
                "ratio": median([native / plain for native, plain in pairs]),
            }
        )
    return rows


def _batch(tokens: int, vocabulary: int, draw: np.random.Generator) -> PackedBatch:
    lengths = [WINDOW] * (tokens // WINDOW) + [tokens % WINDOW] * (tokens % WINDOW > 0)
    return pack([draw.integers(0, vocabulary, length) for length in lengths])


def _milliseconds(forward: Forward, batch: PackedBatch) -> float:
    with torch.inference_mode():
        start = time.perf_counter()
        forward(batch)
        return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
