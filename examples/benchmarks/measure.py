"""Measure time, memory and the machine's best matrix product rate."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from systems import Score


def alternate(
    runs: Mapping[str, Callable[[], Any]], *, rounds: int
) -> dict[str, list[float]]:
    """Time functions in turn, so that a slow phase of the machine affects all of them.

    runs (Mapping[str, Callable]): The functions by name. Each is run once to warm up.
    rounds (int): How often each is timed.
    RETURNS (Dict[str, List[float]]): The seconds of each round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def latencies(
    systems: Mapping[str, Score], texts: Sequence[str], *, rounds: int
) -> dict[str, list[float]]:
    """Score one text at a time, with the systems in turn for each text.

    systems (Mapping[str, Score]): The systems by name.
    texts (Sequence[str]): The texts.
    rounds (int): How often each text is scored.
    RETURNS (Dict[str, List[float]]): The milliseconds of each text and round.
    """
    times: dict[str, list[float]] = {name: [] for name in systems}
    for score in systems.values():
        score(texts[:1])
    for text in texts:
        for _ in range(rounds):
            for name, score in systems.items():
                start = time.perf_counter()
                score([text])
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def best_product_rate(config: Mapping[str, int], dtype: torch.dtype) -> float:
    """Measure the best rate of `torch.mm` for matrices with the model's shapes.

    config (Mapping[str, int]): The model's config.json.
    dtype (torch.dtype): The dtype of the factors, e.g. int8.
    RETURNS (float): Operations per second.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    best = 0.0
    for rows in (512, 1024, 2048, *((16384,) if device == "cuda" else ())):
        for k, n in ((hidden, hidden), (hidden, 2 * inner), (inner, hidden)):
            run = _product(rows, k, n, dtype, device)
            seconds = min(_seconds(run) for _ in range(7))
            best = max(best, 2 * rows * k * n / seconds)
    return best


def _product(
    rows: int, k: int, n: int, dtype: torch.dtype, device: str
) -> Callable[[], Any]:
    if dtype == torch.int8:
        left, right = (torch.ones(size, dtype=dtype) for size in ((rows, k), (n, k)))
        return lambda: torch._int_mm(left, right.t())
    left, right = (
        torch.randn(size, device=device).to(dtype) for size in ((rows, k), (n, k))
    )
    output = torch.empty(rows, n, dtype=dtype, device=device)
    return lambda: torch.mm(left, right.t(), out=output)


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(name: str, folder: Path, cache: Path, texts: Sequence[str]) -> float:
    """Score in a separate process.

    name (str), folder (Path), cache (Path): As in `make_system`.
    texts (Sequence[str]): The texts.
    RETURNS (float): Its peak memory in MB, including the interpreter and libraries.
    """
    here = Path(__file__).parent
    job = json.dumps([name, str(folder), str(cache), list(texts)])
    code = (
        "import json, sys; from pathlib import Path; import torch;"
        "from systems import make_system;"
        f"torch.set_num_threads({torch.get_num_threads()});"
        "name, folder, cache, texts = json.loads(sys.stdin.read());"
        "make_system(name, Path(folder), Path(cache))(texts);"
        "lines = Path('/proc/self/status').read_text().splitlines();"
        "print(next(line.split()[1] for line in lines if line.startswith('VmHWM')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=job,
        capture_output=True,
        text=True,
        check=True,
        cwd=here,
    )
    return int(done.stdout.split()[-1]) / 1024


def median(values: Sequence[float]) -> float:
    """values (Sequence[float]): At least one value.
    RETURNS (float): The median."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """values (Sequence[float]): At least one value.
    share (float): The share of values below, in [0, 1].
    RETURNS (float): The percentile."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def machine() -> dict[str, Any]:
    """RETURNS (Dict[str, Any]): The hardware and versions."""
    try:
        from transformers import __version__ as transformers
    except ImportError:
        transformers = "not installed"
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ] or [platform.processor()]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": f"{os.cpu_count()} x {names[0]}",
        "amx": torch.cpu._is_amx_tile_supported(),
        "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers,
        "date": time.strftime("%Y-%m-%d"),
    }
