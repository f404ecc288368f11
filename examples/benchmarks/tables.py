"""The tables and the chart of a report of `run.py`."""

from pathlib import Path
from typing import Any

LOOP = "card's loop, bfloat16"


def print_tables(report: dict[str, Any]) -> None:
    """report (Dict[str, Any]): The report of `run.py`."""
    for name, results in report["workloads"].items():
        _print_workload(report, name, results)
    for tokens, results in report["one text"].items():
        print(f"\none text of about {tokens} tokens\n")
        print("| system | p50 ms | p95 ms | texts | time against the anchor's |")
        print("|---|---|---|---|---|")
        for system, row in results.items():
            print(
                f"| {system} | {row['p50_ms']:.1f} | {row['p95_ms']:.1f} "
                f"| {row['texts']} | {row['time_against_anchor']:.2f} |"
            )
    print("\n| system | peak memory, MB |\n|---|---|")
    for system, megabytes in report["peak_memory_mb"].items():
        print(f"| {system} | {megabytes:,.0f} |")
    rates = report["product_rate"].items()
    shown = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in rates)
    print(f"\nbest matrix product rate, billions of operations per second: {shown}")
    print(f"the anchor: {report['anchor']}; {report['seconds'] / 60:.1f} minutes")


def _print_workload(
    report: dict[str, Any], name: str, results: dict[str, dict[str, Any]]
) -> None:
    flop = report["gflop_per_token"] * 1e9
    loop = results.get(LOOP, {}).get("against_anchor")
    print(f"\n{name}\n")
    print(
        "| system | tokens/s | ms/text | against the anchor | against the loop "
        "| of best rate | new against same texts | drift |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for system, row in results.items():
        speed, ratio = row["tokens_per_second"], row["against_anchor"]
        rate = report["product_rate"][_precision(system)]
        against_loop = f"{ratio / loop:.2f}" if loop else ""
        drift = f"{row['drift']:.3f}" if "drift" in row else ""
        print(
            f"| {system} | {speed:,.0f} | {row['ms_per_text']:.1f} | {ratio:.2f} "
            f"| {against_loop} | {speed * flop / rate:.0%} "
            f"| {row['new_against_same_texts']:.2f} | {drift} |"
        )


def _precision(system: str) -> str:
    last = system.rpartition(", ")[2]
    return last if last in ("float32", "int8") else "bfloat16"


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw a bar per system for the first workload.

    report (Dict[str, Any]): The report of `run.py`.
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
