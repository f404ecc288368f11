"""Measure the memory of a pipeline in several processes.

    python examples/benchmarks/workers.py FOLDER --processes 4

FOLDER is a checkpoint or a saved `duoguard/model` folder. PSS counts a page shared by n
processes as 1/n in each, so its sum is the memory of all of them. Linux only. Prints a
table, and a line of JSON last.
"""

import argparse
import json
import multiprocessing
import os
import time
import warnings
from pathlib import Path

import spacy
import torch
from measure import machine

FIELDS = {"pss": "Pss", "anonymous": "Pss_Anon", "file": "Pss_File", "shm": "Pss_Shmem"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("folder", help="folder or 'demo'")
    add("--processes", type=int, default=4)
    add("--method", default="all", choices=["all", "fork", "spawn", "forkserver"])
    add("--precision", default="auto")
    options = parser.parse_args()
    methods = ["fork", "spawn"] if options.method == "all" else [options.method]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    report: dict = {"machine": machine(), "precision": options.precision}
    for method in methods:
        report[method] = _measure(method, options)
        _print(method, report[method])
    print(json.dumps(report))


def _measure(method: str, options: argparse.Namespace) -> dict:
    """Score in workers, and measure all processes once each has scored a text."""
    multiprocessing.set_start_method(method, force=True)
    nlp = spacy.blank("en")
    model = {"name": options.folder, "precision": options.precision, "device": "cpu"}
    nlp.add_pipe("duoguard", config={"model": model})
    _ = nlp.get_pipe("duoguard").classifier
    alone = memory(os.getpid())
    start = time.perf_counter()
    figures: dict = {"parent_alone": alone}
    texts = [f"This is the text of number {i}." for i in range(40 * options.processes)]
    # Batches of one text reach every worker.
    docs = nlp.pipe(texts, n_process=options.processes, batch_size=1)
    for i, _ in enumerate(docs):
        if i == len(texts) // 2:
            pids = [process.pid for process in multiprocessing.active_children()]
            figures["seconds"] = time.perf_counter() - start
            figures["parent"] = memory(os.getpid())
            figures["workers"] = [memory(pid) for pid in pids if pid is not None]
    processes = [figures["parent"], *figures["workers"]]
    figures["together"] = {
        field: sum(process[field] for process in processes) for field in FIELDS
    }
    return figures


def memory(pid: int) -> dict[str, float]:
    """pid (int): A process.
    RETURNS (Dict[str, float]): Its memory in MB, by the keys of `FIELDS`."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    values = dict(line.split(":") for line in lines)
    return {key: int(values[name].split()[0]) / 1024 for key, name in FIELDS.items()}


def _print(method: str, figures: dict) -> None:
    print(f"\n{method} ({figures['seconds']:.1f} s for half of the texts)\n")
    print(f"| MB | {' | '.join(FIELDS)} |\n|---|{'---|' * len(FIELDS)}")
    rows = {"parent before": figures["parent_alone"], "parent": figures["parent"]}
    rows["largest worker"] = max(figures["workers"], key=lambda w: w["pss"])
    rows["total"] = figures["together"]
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{value:,.0f}' for value in row.values())} |")


if __name__ == "__main__":
    main()
