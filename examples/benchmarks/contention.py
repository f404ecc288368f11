"""Measure how throughput holds when processes share the cores.

    python examples/benchmarks/contention.py demo
    python examples/benchmarks/contention.py FOLDER

Runs 1, 2 and 4 processes with torch's default threads, one process beside two busy
loops, and one with 8 threads that score a text at a time. Prints a table, and a line of
JSON last.
"""

import argparse
import json
import multiprocessing
import os
import threading
import time
import warnings
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

from measure import machine

BATCH = 32  # texts
SERVER_THREADS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("model", help="folder or 'demo'")
    add("--texts", type=Path, help="folder with En/, Fr/, Es/ of the evaluation files")
    add("--precision", default="auto")
    add("--kernels", default="torch")
    add("--seconds", type=float, default=10.0, help="how long each run takes")
    add("--wait-policy", choices=["active", "passive"], help="sets OMP_WAIT_POLICY")
    options = parser.parse_args()
    if options.wait_policy:
        os.environ["OMP_WAIT_POLICY"] = options.wait_policy
    runs: dict[str, dict[str, Any]] = {
        "1 process": {},
        "2 processes": {"processes": 2},
        "4 processes": {"processes": 4},
        "1 process, 2 busy loops": {"busy": 2},
        f"{SERVER_THREADS} threads": {"threads": SERVER_THREADS},
        "1 process, again": {},
    }
    report = {
        "machine": machine(),
        "model": options.model,
        "kernels": options.kernels,
        "wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "texts_per_second": {
            name: _measure(options, **run) for name, run in runs.items()
        },
    }
    speeds = report["texts_per_second"]
    print("| | texts/s in all | against 1 process |\n|---|---|---|")
    for name, speed in speeds.items():
        print(f"| {name} | {speed:,.1f} | {speed / speeds['1 process']:.2f} |")
    print(json.dumps(report))


def _measure(
    options: argparse.Namespace, *, processes: int = 1, busy: int = 0, threads: int = 1
) -> float:
    """RETURNS (float): The texts that all processes scored in a second."""
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(processes + 1), context.SimpleQueue()
    ended = context.Event()
    workers = [
        context.Process(
            target=_score, args=(options, threads, number, barrier, ended, counts)
        )
        for number in range(processes)
    ]
    loops = [context.Process(target=_spin, args=(ended,)) for _ in range(busy)]
    for process in workers:
        process.start()
    barrier.wait()
    for process in loops:
        process.start()
    time.sleep(options.seconds)
    ended.set()
    speeds = [counts.get() for _ in workers]
    for process in (*workers, *loops):
        process.join()
    return sum(speeds)


def _score(
    options: argparse.Namespace,
    threads: int,
    seed: int,
    barrier: Barrier,
    ended: Event,
    counts: Any,
) -> None:
    from workloads import TextPool

    warnings.simplefilter("ignore")  # the demo's
    from spacy_duoguard import Classifier

    model, precision = options.model, options.precision
    classifier = Classifier.from_pretrained(
        model, precision=precision, device="cpu", kernels=options.kernels
    )
    pool = TextPool(
        options.texts, length=lambda text: len(text.split()) * 3 // 2, seed=seed
    )
    texts = [text for _ in range(16) for text in pool.mix(BATCH)]
    size = BATCH if threads == 1 else 1
    classifier.score(texts[:BATCH])
    done = [0] * threads

    def run(thread: int) -> None:
        position = thread
        while not ended.is_set():
            first = position * size % len(texts)
            done[thread] += len(classifier.score(texts[first : first + size]))
            position += threads

    barrier.wait()
    start = time.perf_counter()
    servers = [threading.Thread(target=run, args=(i,)) for i in range(1, threads)]
    for server in servers:
        server.start()
    run(0)
    for server in servers:
        server.join()
    counts.put(sum(done) / (time.perf_counter() - start))


def _spin(ended: Event) -> None:
    while not ended.is_set():
        sum(range(10_000))


if __name__ == "__main__":
    main()
