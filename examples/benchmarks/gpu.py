"""Is the GPU path right, and how fast is it? Answers in under ten minutes, offline.

    python examples/benchmarks/gpu.py

Prints a table, and a line of JSON last, which names every part that was left out and
why. Ends with an error if a part failed, or if scoring fell back on a slower way. The
weights are random, with the full architecture. With `--device cpu --tiny`, the script
itself can be tried out without a GPU.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any


def main() -> None:
    options = _options()
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # for the other systems as well
    from checkpoint import make_checkpoint  # imports torch, which reads the above

    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.cache or Path(temporary)) / (
            "tiny" if options.tiny else "full"
        )
        if not (folder / "model.safetensors").is_file():
            make_checkpoint(folder, tokenizer=options.tokenizer, tiny=options.tiny)
        report = run(options, folder)
    print_table(report)
    print(json.dumps(report))
    if report["failed"] or report["fallbacks"]:
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--device", default="cuda", choices=("cuda", "cpu"))
    add("--texts", type=Path, help="folder with En/, Fr/, Es/ of the evaluation files")
    add("--tokenizer", type=Path, help="tokenizer.json of Qwen2.5; default: the demo's")
    add("--cache", type=Path, help="folder to keep the checkpoint in")
    add("--count", type=int, default=512, help="number of texts")
    add(
        "--pipe-count",
        type=int,
        default=2000,
        help="texts for `nlp.pipe` in each process",
    )
    add("--rounds", type=int, default=3)
    add("--minutes", type=float, default=9.0, help="start no part after this time")
    add("--only", nargs="*", help="names of parts; default: all")
    add("--tiny", action="store_true", help="a tiny model, to try out the script")
    return parser.parse_args()


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """options (Namespace): From the command line.
    folder (Path): The checkpoint.
    RETURNS (Dict[str, Any]): The report."""
    import torch
    from gpu_parts import PARTS, Bench, LeftOutError
    from measure import machine

    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device. To try this out: --device cpu --tiny")
    bench = Bench(folder, options)
    report: dict[str, Any] = {
        "machine": {**machine(), "device": bench.name_device()},
        "tiny": options.tiny,
        "texts": len(bench.texts),
        "tokens": bench.n_tokens,
        "parts": {},
        "left_out": {},
        "failed": {},
    }
    start = time.perf_counter()
    for name, part in PARTS.items():
        began = time.perf_counter()
        if options.only and name not in options.only:
            report["left_out"][name] = "not asked for"
        elif began - start > 60 * options.minutes:
            report["left_out"][name] = "no time left"
        else:
            _run_part(name, part, bench, report, LeftOutError)
            seconds = time.perf_counter() - began
            print(f"{name}: {seconds:.1f} s", file=sys.stderr, flush=True)
    report["seconds"] = round(time.perf_counter() - start, 1)
    report["fallbacks"] = bench.fallbacks()
    return report


def _run_part(
    name: str, part: Any, bench: Any, report: dict[str, Any], left_out: Any
) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they report is counted
            figures = part(bench)
    except left_out as e:
        report["left_out"][name] = str(e)
    except Exception as e:  # the other parts still have answers
        report["failed"][name] = f"{type(e).__name__}: {e}"
    else:
        report["left_out"] |= figures.pop("left_out", {})
        report["parts"][name] = figures


def print_table(report: dict[str, Any]) -> None:
    """report (Dict[str, Any]): From `run`."""
    print("| | | |\n|---|---|---|")
    for name, value in report["machine"].items():
        print(f"| machine | {name} | {value} |")
    for part, figures in report["parts"].items():
        for name, value in figures.items():
            print(f"| {part} | {name} | {_format(value)} |")
    for kind in ("left_out", "failed", "fallbacks"):
        for name, reason in report[kind].items():
            print(f"| **{kind.replace('_', ' ')}** | {name} | {reason} |")


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


if __name__ == "__main__":
    main()
