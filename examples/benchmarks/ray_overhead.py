"""Measure the overhead of Ray: two single-threaded actors against one process, with one
thread and with two.

    python examples/benchmarks/ray_overhead.py [--model demo] [--records 6400]
    python examples/benchmarks/ray_overhead.py --cache FOLDER --records 768 --short 256

All score the same JSON lines from disk to disk, in turn. The time per record is the
difference between a long and a short run, so it excludes loading and starting, which
are reported separately. `--cache` is where `run.py` keeps its checkpoint of the full
architecture, which is used then. Prints medians; the last line is JSON.
"""

import argparse
import json
import platform
import random
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch
from checkpoint import make_checkpoint

from spacy_duoguard.scoring.pipelines import GuardOptions
from spacy_duoguard.scoring.ray.dataset import Actors, connect
from spacy_duoguard.scoring.ray.folder import FolderRun
from spacy_duoguard.scoring.run import ScoreRequest, open_source, score_file

CORES = {"one": 1, "threads": 2, "ray": 2}
WORDS = """the of to how make kill process good bad people house money story hate"""


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description="Time Ray against one process.")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--records", type=int, default=6400)
    parser.add_argument("--short", type=int, default=256, help="records, short run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, help="use the full architecture")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json of Qwen2.5")
    parser.add_argument("--tiny", action="store_true", help="try --cache out")
    args = parser.parse_args()
    if args.cache:
        folder = args.cache / ("tiny" if args.tiny else "full")
        if not (folder / "model.safetensors").is_file():
            make_checkpoint(folder, tokenizer=args.tokenizer, tiny=args.tiny)
        args.model = str(folder)
    options = GuardOptions(model=args.model, device="cpu")
    actors = Actors(count=2, cpus=1)
    started = time.perf_counter()
    connect(actors)
    start = time.perf_counter() - started
    counts = (args.short, args.records)
    times: dict[str, dict[int, list[float]]] = {
        name: {n: [] for n in counts} for name in CORES
    }
    with tempfile.TemporaryDirectory() as scratch:
        sources = {n: write_texts(Path(scratch), n) for n in counts}
        output = Path(scratch, "out")
        for _ in range(args.rounds):
            for name in CORES:
                for n, source in sources.items():
                    seconds = timed(name, source, output, options, actors)
                    times[name][n].append(seconds)
                    print(f"{name}, {n} records: {seconds:.2f} s", flush=True)
    print(json.dumps({"ray_start_s": round(start, 1), **figures(times, *counts)}))


def write_texts(folder: Path, count: int) -> Path:
    """Write distinct texts of mixed lengths.

    folder (Path): The output folder.
    count (int): The number of texts.
    RETURNS (Path): A folder with one file.
    """
    source = folder / str(count)
    source.mkdir()
    shuffled = random.Random(0)
    with (source / "texts.jsonl").open("w", encoding="utf8") as file:
        for i in range(count):
            length = min(int(shuffled.lognormvariate(3.5, 0.8)) + 1, 400)
            text = f"{i} " + " ".join(shuffled.choices(WORDS.split(), k=length))
            file.write(json.dumps({"text": text}) + "\n")
    return source


def timed(
    name: str, source: Path, output: Path, options: GuardOptions, actors: Actors
) -> float:
    """RETURNS (float): The seconds of one run."""
    shutil.rmtree(output, ignore_errors=True)
    torch.set_num_threads(CORES[name])
    started = time.perf_counter()
    if name == "ray":
        FolderRun(source, output, options, actors=actors).run()
    else:
        run_alone(source, output, options)
    return time.perf_counter() - started


def run_alone(source: Path, output: Path, options: GuardOptions) -> None:
    """Score like `score IN OUT`."""
    output.mkdir()
    request = ScoreRequest(
        source=open_source(str(source / "texts.jsonl")),
        output=str(output / "results.jsonl"),
        options=options,
    )
    for _progress in score_file(request):
        pass


def figures(
    times: dict[str, dict[int, list[float]]], short: int, records: int
) -> dict[str, object]:
    """times (Dict[str, Dict[int, List[float]]]): The seconds of each kind of run.
    short (int), records (int): The records of a short and of a long run.
    RETURNS (Dict[str, Any]): The medians, with the hardware and versions."""
    medians = {
        name: {n: median(seconds) for n, seconds in by_count.items()}
        for name, by_count in times.items()
    }
    each = {
        name: (by_count[records] - by_count[short]) / (records - short)
        for name, by_count in medians.items()
    }
    per_core = {name: 1 / (each[name] * cores) for name, cores in CORES.items()}
    return {
        "records": records,
        "ms_per_record": {name: round(1000 * s, 3) for name, s in each.items()},
        "records_per_s_and_core": {n: round(r, 2) for n, r in per_core.items()},
        "speedup_of_two_actors": round(each["one"] / each["ray"], 2),
        "speedup_of_two_threads": round(each["one"] / each["threads"], 2),
        "short_run_s": {name: round(m[short], 1) for name, m in medians.items()},
        "long_run_s": {name: round(m[records], 1) for name, m in medians.items()},
        "cpu": platform.processor() or platform.machine(),
        "torch": version("torch"),
        "ray": version("ray"),
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
