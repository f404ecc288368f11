"""Measure the overhead of Ray: two single-threaded actors against one process.

    python examples/benchmarks/ray_overhead.py [--model demo] [--records 6400]

Both score the same JSON lines from disk to disk, in turn. The time per record is the
difference between a long and a short run, so it excludes loading and starting, which
are reported separately. Prints medians; the last line is JSON.
"""

import argparse
import json
import platform
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch

from spacy_duoguard.scoring.pipelines import GuardOptions
from spacy_duoguard.scoring.ray_dataset import Actors, connect
from spacy_duoguard.scoring.ray_folder import FolderRun
from spacy_duoguard.scoring.run import ScoreRequest, open_source, score_file

SHORT = 256  # records of the short run
WORDS = """the of to how make kill process good bad people house money story hate"""


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description="Time Ray against one process.")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--records", type=int, default=6400)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    options = GuardOptions(model=args.model, device="cpu")
    actors = Actors(count=2, cpus=1)
    started = time.perf_counter()
    connect(actors)
    start = time.perf_counter() - started
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = {n: write_texts(Path(folder), n) for n in (SHORT, args.records)}
        output = Path(folder, "out")
        for _ in range(args.rounds):
            for name, score in (("one", run_alone), ("ray", run_ray)):
                for n, source in sources.items():
                    seconds = timed(score, source, output, options, actors)
                    times.setdefault(f"{name} {n}", []).append(seconds)
                    print(f"{name}, {n} records: {seconds:.2f} s")
    print(json.dumps({"ray_start_s": round(start, 1), **figures(times, args.records)}))


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
    score: Callable[[Path, Path, GuardOptions, Actors], None],
    source: Path,
    output: Path,
    options: GuardOptions,
    actors: Actors,
) -> float:
    """RETURNS (float): The seconds of one run."""
    shutil.rmtree(output, ignore_errors=True)
    started = time.perf_counter()
    score(source, output, options, actors)
    return time.perf_counter() - started


def run_alone(source: Path, output: Path, options: GuardOptions, _: Actors) -> None:
    """Score like `score IN OUT`."""
    output.mkdir()
    request = ScoreRequest(
        source=open_source(str(source / "texts.jsonl")),
        output=str(output / "results.jsonl"),
        options=options,
    )
    for _progress in score_file(request):
        pass


def run_ray(source: Path, output: Path, options: GuardOptions, actors: Actors) -> None:
    """Score like `score IN OUT --ray 2`."""
    FolderRun(source, output, options, actors=actors).run()


def figures(times: dict[str, list[float]], records: int) -> dict[str, object]:
    """times (Dict[str, List[float]]): The seconds of each kind of run.
    records (int): The records of a long run.
    RETURNS (Dict[str, Any]): The medians, with the hardware and versions."""
    medians = {name: median(seconds) for name, seconds in times.items()}
    each = {
        name: (medians[f"{name} {records}"] - medians[f"{name} {SHORT}"])
        / (records - SHORT)
        for name in ("one", "ray")
    }
    return {
        "records": records,
        "ms_per_record": {name: round(1000 * s, 3) for name, s in each.items()},
        "speedup_of_two_actors": round(each["one"] / each["ray"], 2),
        "short_run_s": {n: round(medians[f"{n} {SHORT}"], 1) for n in ("one", "ray")},
        "long_run_s": {n: round(medians[f"{n} {records}"], 1) for n in ("one", "ray")},
        "cpu": platform.processor() or platform.machine(),
        "torch": version("torch"),
        "ray": version("ray"),
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
