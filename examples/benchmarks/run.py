"""Compare this package with its alternatives on the same weights and texts.

    python examples/benchmarks/run.py --texts FOLDER --tokenizer tokenizer.json

Prints tables, and a line of JSON last. Systems that aren't installed are left out. Each
is loaded in a process of its own when its turn comes, and measured beside one that
stays (`--against`), in turn, on the same new texts. The weights are random, with the
full architecture. The texts come from a folder with the evaluation files of the paper,
or are made up.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoint import FULL, TINY, make_checkpoint
from compare import Comparison
from measure import best_product_rate, flop_per_token, machine
from processes import SystemProcess
from systems import default_systems, system_names, takes_long_texts, takes_one_text
from tables import draw, print_tables
from workloads import NAMES, TextPool, Workloads

from spacy_duoguard.engine.checkpoint.bundle import load_bundle
from spacy_duoguard.engine.settings import Settings

LOOP = "card's loop, bfloat16"
LENGTHS = (5, 20, 80, 320)  # tokens of single texts
DRIFT = 32  # texts


def main() -> None:
    options = _options()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary)
        folder = cache / ("tiny" if options.tiny else "full")
        if not (folder / "model.safetensors").is_file():
            make_checkpoint(folder, tokenizer=options.tokenizer, tiny=options.tiny)
        report = _measure(options, folder, cache)
    report["seconds"] = time.perf_counter() - start
    print_tables(report)
    if options.chart:
        draw(report, options.chart)
    print(json.dumps(report))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--texts", type=Path, help="folder with En/, Fr/, Es/ of the evaluation files")
    add("--tokenizer", type=Path, help="tokenizer.json of Qwen2.5; default: the demo's")
    add("--cache", type=Path, help="folder for the checkpoint and conversions")
    add("--count", type=int, default=48, help="texts in the mix of a round")
    add("--rounds", type=int, default=3)
    add("--singles", type=int, default=9, help="single texts of each length")
    add(
        "--seconds",
        type=float,
        default=2.0,
        help="how long a system may take for a round: slow ones get fewer texts",
    )
    add("--threads", type=int, default=torch.get_num_threads())
    add("--systems", nargs="*", metavar="NAME", help="exact names; default: installed")
    add("--against", metavar="NAME", help="the system that is measured beside each")
    add("--workloads", nargs="*", choices=NAMES, default=NAMES[:2], metavar="NAME")
    add("--chart", type=Path, help="PNG file for a chart (needs matplotlib)")
    add("--tiny", action="store_true", help="use a tiny model, to try out the script")
    options = parser.parse_args()
    options.systems = options.systems or default_systems()
    options.against = options.against or options.systems[0]
    for name in (*options.systems, options.against):
        if name not in system_names():
            listed = "\n  ".join(system_names())
            parser.error(f"No system is named {name!r}. The names are\n  {listed}")
    return options


def _measure(options: argparse.Namespace, folder: Path, cache: Path) -> dict[str, Any]:
    config = TINY if options.tiny else FULL
    tokenizer = load_bundle(str(folder), Settings()).tokenizer
    length = lru_cache(maxsize=None)(lambda text: len(tokenizer.encode(text).ids))
    pool = TextPool(options.texts, length=length)
    singles = {tokens: pool.of_length(tokens, options.singles) for tokens in LENGTHS}
    rounds = [pool.next_round(options.count) for _ in range(options.rounds + 1)]
    expected = None
    report: dict[str, Any] = {
        "machine": machine(threads=options.threads),
        "tiny": options.tiny,
        "anchor": options.against,
        "gflop_per_token": flop_per_token(config) / 1e9,
        "workloads": {name: {} for name in options.workloads},
        "one text": {tokens: {} for tokens, texts in singles.items() if texts},
        "peak_memory_mb": {},
    }
    rates = _product_rates(config, options.threads)

    def load(name: str) -> SystemProcess:
        return SystemProcess(name, folder, cache, threads=options.threads)

    if LOOP in system_names():
        with load(LOOP) as loop:
            expected = loop.probabilities(rounds[0]["real mix"][:DRIFT])
    with load(options.against) as anchor:
        for number, name in enumerate(options.systems, start=1):
            _progress(f"{number}/{len(options.systems)} {name}")
            with contextlib.ExitStack() as stack:
                is_anchor = name == options.against
                system = anchor if is_anchor else stack.enter_context(load(name))
                comparison = Comparison(system, anchor, length, options.seconds)
                _measure_system(comparison, report, rounds, singles, expected)
    after = _product_rates(config, options.threads)
    report["product_rate"] = {name: max(rates[name], after[name]) for name in rates}
    return report


def _measure_system(
    comparison: Comparison,
    report: dict[str, Any],
    rounds: list[Workloads],
    singles: dict[int, list[str]],
    expected: np.ndarray | None,
) -> None:
    name = comparison.system.name
    for workload, results in report["workloads"].items():
        # The others truncate texts that are longer than a window.
        if workload.startswith("document") and not takes_long_texts(name):
            continue
        results[name] = comparison.throughput([texts[workload] for texts in rounds])
        if workload == "real mix" and expected is not None:
            texts = rounds[0][workload][: len(expected)]
            results[name]["drift"] = comparison.drift(texts, expected)
    for tokens, results in report["one text"].items():
        if takes_one_text(name):
            results[name] = comparison.latency(singles[tokens])
    report["peak_memory_mb"][name] = comparison.system.peak_memory()


def _product_rates(config: dict[str, Any], threads: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    dtypes = ("float32", "bfloat16", *(() if torch.cuda.is_available() else ("int8",)))
    return {name: best_product_rate(config, getattr(torch, name)) for name in dtypes}


def _progress(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
