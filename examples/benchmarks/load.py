"""Measure how the time to an answer grows with the load on a server.

    python examples/benchmarks/load.py --cache FOLDER --texts FOLDER

Requests of one text each arrive at random times (a Poisson process). One worker takes
what is waiting: one request at a time, or all of them as a batch. Prints a table, and a
line of JSON last.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from checkpoint import make_checkpoint
from measure import machine, median, percentile
from processes import SystemProcess
from systems import default_systems, system_names
from workloads import TextPool

from spacy_duoguard.engine.checkpoint.bundle import load_bundle
from spacy_duoguard.engine.settings import Settings

LOADS = (0.2, 0.5, 0.8, 0.95, 1.2)  # shares of what the worker does one at a time
WARM_UP = 16  # texts


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary)
        folder = cache / ("tiny" if options.tiny else "full")
        if not (folder / "model.safetensors").is_file():
            make_checkpoint(folder, tokenizer=options.tokenizer, tiny=options.tiny)
        tokenizer = load_bundle(str(folder), Settings()).tokenizer
        length = lru_cache(maxsize=None)(lambda text: len(tokenizer.encode(text).ids))
        pool = TextPool(options.texts, length=length)
        report: dict = {"machine": machine(threads=options.threads), "rows": []}
        for name in options.systems:
            with SystemProcess(name, folder, cache, threads=options.threads) as system:
                report["rows"] += _measure(system, pool, options.count)
    _print(report["rows"])
    print(json.dumps(report))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--texts", type=Path, help="folder with En/, Fr/, Es/ of the evaluation files")
    add("--tokenizer", type=Path, help="tokenizer.json of Qwen2.5; default: the demo's")
    add("--cache", type=Path, help="folder for the checkpoint")
    add("--count", type=int, default=80, help="requests for each load")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--tiny", action="store_true", help="use a tiny model, to try out the script")
    add(
        "--systems",
        nargs="*",
        choices=system_names(),
        default=default_systems()[:1],
        metavar="NAME",
    )
    return parser.parse_args()


def _measure(system: SystemProcess, pool: TextPool, count: int) -> list[dict]:
    texts = pool.mix(WARM_UP)
    system.seconds(texts)
    capacity = 1 / median([system.seconds([text]) for text in texts])
    rows = []
    for load in LOADS:
        for batched in (False, True):
            requests = pool.mix(count)
            times = serve(system, requests, load * capacity, batched=batched)
            rows.append(
                {
                    "system": system.name,
                    "batched": batched,
                    "load": load,
                    "requests_per_second": load * capacity,
                    "p50_ms": 1e3 * median(times),
                    "p95_ms": 1e3 * percentile(times, 0.95),
                }
            )
    return rows


def serve(
    system: SystemProcess, texts: Sequence[str], rate: float, *, batched: bool
) -> list[float]:
    """Answer requests as they arrive.

    system (SystemProcess): The system that scores.
    texts (Sequence[str]): The text of each request.
    rate (float): Requests per second.
    batched (bool): Score all waiting requests together, instead of the first.
    RETURNS (List[float]): The seconds from arrival to answer.
    """
    draw = random.Random(0)
    arrivals, now = [], 0.0
    for _ in texts:
        now += draw.expovariate(rate)
        arrivals.append(now)
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < len(texts):
        first = len(times)
        now = time.perf_counter() - start
        if arrivals[first] > now:
            time.sleep(arrivals[first] - now)
            continue
        waiting = sum(arrival <= now for arrival in arrivals[first:]) if batched else 1
        system.seconds(texts[first : first + waiting])
        now = time.perf_counter() - start
        times += [now - arrival for arrival in arrivals[first : first + waiting]]
    return times


def _print(rows: list[dict]) -> None:
    print("| system | requests/s | load | taken | p50 ms | p95 ms |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        taken = "all that wait" if row["batched"] else "one at a time"
        print(
            f"| {row['system']} | {row['requests_per_second']:.1f} | {row['load']:.0%} "
            f"| {taken} | {row['p50_ms']:.0f} | {row['p95_ms']:.0f} |"
        )


if __name__ == "__main__":
    main()
