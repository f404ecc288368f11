"""Memory of a pipeline that is shared by several processes.

    python examples/benchmarks/workers.py FOLDER --processes 4

FOLDER is a checkpoint or a saved `duoguard/model` folder. PSS counts a page that n
processes share as 1/n in each: its sum is what all of them take together. Linux only.
Prints a table, and one line of JSON last.
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
    add("folder", help="a folder or 'demo'")
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
    """Score in workers, and look at all processes when each has scored a text."""
    multiprocessing.set_start_method(method, force=True)
    nlp = spacy.blank("en")
    model = {"name": options.folder, "precision": options.precision, "device": "cpu"}
    nlp.add_pipe("duoguard", config={"model": model})
    _ = nlp.get_pipe("duoguard").classifier
    alone = memory(os.getpid())
    start = time.perf_counter()
    found: dict = {"parent_alone": alone}
    texts = [f"This is the text of number {i}." for i in range(40 * options.processes)]
    # Batches of one text go around the workers.
    docs = nlp.pipe(texts, n_process=options.processes, batch_size=1)
    for i, _ in enumerate(docs):
        if i == len(texts) // 2:
            pids = [process.pid for process in multiprocessing.active_children()]
            found["seconds"] = time.perf_counter() - start
            found["parent"] = memory(os.getpid())
            found["workers"] = [memory(pid) for pid in pids if pid is not None]
    everyone = [found["parent"], *found["workers"]]
    found["together"] = {field: sum(p[field] for p in everyone) for field in FIELDS}
    return found


def memory(pid: int) -> dict[str, float]:
    """pid (int): A process. RETURNS (Dict[str, float]): MB, by the keys of `FIELDS`."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    values = dict(line.split(":") for line in lines)
    return {key: int(values[name].split()[0]) / 1024 for key, name in FIELDS.items()}


def _print(method: str, found: dict) -> None:
    print(f"\n{method} ({found['seconds']:.1f} s to half of the texts)\n")
    print(f"| MB | {' | '.join(FIELDS)} |\n|---|{'---|' * len(FIELDS)}")
    rows = {"the process before": found["parent_alone"], "the process": found["parent"]}
    rows["each worker, at the most"] = max(found["workers"], key=lambda w: w["pss"])
    rows["all together"] = found["together"]
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{value:,.0f}' for value in row.values())} |")


if __name__ == "__main__":
    main()
