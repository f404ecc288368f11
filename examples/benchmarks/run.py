"""Compare this package with its alternatives on the same weights and texts.

    python examples/benchmarks/run.py --texts FOLDER --tokenizer tokenizer.json

Prints tables, and a line of JSON last. Systems that aren't installed are left out. The
weights are random, with the full architecture. The texts come from a folder with the
evaluation files of the paper, or are made up.
"""

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoint import FULL, TINY, make_checkpoint
from measure import (
    alternate,
    best_product_rate,
    latencies,
    machine,
    median,
    peak_memory,
    percentile,
)
from systems import Score, make_system, system_names
from workloads import Workloads, make_workloads

from spacy_duoguard.engine.checkpoint.bundle import load_bundle
from spacy_duoguard.engine.settings import Settings

Results = dict[str, dict[str, Any]]


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary)
        folder = cache / ("tiny" if options.tiny else "full")
        if not (folder / "model.safetensors").is_file():
            make_checkpoint(folder, tokenizer=options.tokenizer, tiny=options.tiny)
        report = _measure(options, folder, cache)
    _print_tables(report)
    if options.chart:
        draw(report, options.chart)
    print(json.dumps(report))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--texts", type=Path, help="folder with En/, Fr/, Es/ of the evaluation files")
    add("--tokenizer", type=Path, help="tokenizer.json of Qwen2.5; default: the demo's")
    add("--cache", type=Path, help="folder for the checkpoint and conversions")
    add("--count", type=int, default=128, help="number of texts in the mix")
    add("--rounds", type=int, default=3)
    add("--threads", type=int, default=torch.get_num_threads())
    add("--systems", nargs="*", help="names or prefixes; default: all")
    add("--workloads", nargs="*", help="names or prefixes; default: all")
    add("--chart", type=Path, help="PNG file for a chart (needs matplotlib)")
    add(
        "--memory",
        action="store_true",
        help="measure peak memory too, in separate processes",
    )
    add("--tiny", action="store_true", help="use a tiny model, to try out the script")
    return parser.parse_args()


def _measure(options: argparse.Namespace, folder: Path, cache: Path) -> dict[str, Any]:
    config = TINY if options.tiny else FULL
    tokenizer = load_bundle(str(folder), Settings()).tokenizer

    def length(text: str) -> int:
        return len(tokenizer.encode(text).ids)

    chosen = [
        name
        for name in system_names(precisions=_precisions())
        if not options.systems or name.startswith(tuple(options.systems))
    ]
    workloads = {
        name: texts
        for name, texts in make_workloads(
            options.texts, count=options.count, length=length
        ).items()
        if not options.workloads or name.startswith(tuple(options.workloads))
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from the other systems
        systems = {name: make_system(name, folder, cache) for name in chosen}
        report: dict[str, Any] = {"machine": machine(), "tiny": options.tiny}
        report["product_rate"] = {
            name: best_product_rate(config, getattr(torch, name))
            for name in ("bfloat16", "int8")
            if not (name == "int8" and torch.cuda.is_available())
        }
        report["workloads"] = {
            name: _workload(name, texts, systems, length, options.rounds)
            for name, texts in workloads.items()
        }
        report["one text"] = _one_text(systems, workloads, length, options.rounds)
        if options.memory:
            texts = next(iter(workloads.values()))
            report["peak_memory_mb"] = {
                name: peak_memory(name, folder, cache, texts) for name in chosen
            }
    report["gflop_per_token"] = flop_per_token(config) / 1e9
    return report


def _precisions() -> list[str]:
    from spacy_duoguard.engine.network.int8_linear import int8_products

    eight = int8_products() and not torch.cuda.is_available()
    return ["bfloat16", *(["int8"] if eight else [])]


def _workload(
    name: str, texts: list[str], systems: dict[str, Score], length: Any, rounds: int
) -> Results:
    """Texts longer than a window are for our systems only: the others truncate them."""
    lengths = [length(text) for text in texts]
    whole = max(lengths) <= 512
    runs = {}
    for system, score in systems.items():
        if not whole and not system.startswith(("Classifier", "nlp")):
            continue
        few = system.startswith("padded")  # 2,048 tokens per text
        sample = texts[:4] if few else texts
        runs[system] = lambda score=score, sample=sample: score(sample)
    seconds = alternate(runs, rounds=rounds)
    reference = systems.get("card's loop, bfloat16")
    expected = reference(texts[:32]) if reference and whole else None
    results: Results = {}
    for system, times in seconds.items():
        count = 4 if system.startswith("padded") else len(texts)
        time = median(times)
        results[system] = {
            "tokens_per_second": sum(lengths[:count]) / time,
            "texts_per_second": count / time,
            "ms_per_text": 1e3 * time / count,
        }
        if expected is not None and not system.startswith("padded"):
            drift = np.abs(systems[system](texts[:32]) - expected).mean()
            results[system]["mean_difference_from_the_loop"] = float(drift)
    print(f"measured: {name}", flush=True)
    return results


def _one_text(
    systems: dict[str, Score], workloads: Workloads, length: Any, rounds: int
) -> Results:
    """Score texts of about 20 tokens, one at a time."""
    pool = [text for texts in workloads.values() for text in texts]
    texts = [text for text in pool if 18 <= length(text) <= 22][:16]
    if not texts:
        return {}
    single = {name: s for name, s in systems.items() if _takes_single(name)}
    return {
        name: {"p50_ms": median(times), "p95_ms": percentile(times, 0.95)}
        for name, times in latencies(single, texts, rounds=rounds).items()
    }


def _takes_single(name: str) -> bool:
    batched = name.startswith("transformers, sorted") or name.endswith(
        ("batch 8", "batch 32", "batch 128")
    )
    return not batched and not name.startswith("padded")


def flop_per_token(config: dict[str, Any]) -> float:
    """config (Dict[str, Any]): The model's config.json.
    RETURNS (float): The operations of its products."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = hidden // config["num_attention_heads"]
    qkv = (config["num_attention_heads"] + 2 * config["num_key_value_heads"]) * head
    layer = hidden * qkv + hidden * hidden + 3 * hidden * inner
    return 2.0 * config["num_hidden_layers"] * layer


def _print_tables(report: dict[str, Any]) -> None:
    flop = report["gflop_per_token"] * 1e9
    rates = report["product_rate"]
    for name, results in report["workloads"].items():
        loop = results.get("card's loop, bfloat16", {}).get("tokens_per_second")
        print(f"\n{name}\n")
        print("| system | tokens/s | texts/s | ms/text | vs. loop | of best rate |")
        print("|---|---|---|---|---|---|")
        for system, row in results.items():
            speed = row["tokens_per_second"]
            rate = rates["int8" if "int8" in system else "bfloat16"]
            ratio = f"{speed / loop:.2f}" if loop else ""
            print(
                f"| {system} | {speed:,.0f} | {row['texts_per_second']:.1f} "
                f"| {row['ms_per_text']:.1f} | {ratio} | {speed * flop / rate:.0%} |"
            )
    print(
        "\none text of about 20 tokens\n\n| system | p50 ms | p95 ms |\n|---|---|---|"
    )
    for system, row in report["one text"].items():
        print(f"| {system} | {row['p50_ms']:.1f} | {row['p95_ms']:.1f} |")
    for system, megabytes in report.get("peak_memory_mb", {}).items():
        print(f"peak memory of {system}: {megabytes:,.0f} MB")
    shown = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in rates.items())
    print(f"\nbest matrix product rate, billions of operations per second: {shown}")


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw a bar per system for the first workload.

    report (Dict[str, Any]): The report of `main`.
    path (Path): The PNG file.
    """
    from matplotlib import pyplot

    name, results = next(iter(report["workloads"].items()))
    systems = sorted(results, key=lambda s: results[s]["tokens_per_second"])
    speeds = [results[system]["tokens_per_second"] for system in systems]
    ours = ("Classifier", "nlp.pipe")
    colors = ["#2a6f97" if s.startswith(ours) else "#adb5bd" for s in systems]
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(systems) + 1.2))
    bars = axes.barh(systems, speeds, color=colors)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.set_xlabel(f"tokens per second, {name}")
    axes.set_xlim(0, 1.12 * max(speeds))
    axes.set_title(
        f"{report['machine']['cpu']}, {report['machine']['threads']} threads"
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
