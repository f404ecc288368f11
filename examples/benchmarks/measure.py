"""Measure time, memory and the machine's best matrix product rate."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch


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


def flop_per_token(config: Mapping[str, int]) -> float:
    """config (Mapping[str, int]): The model's config.json.
    RETURNS (float): The operations of the layers' products for a token."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = hidden // config["num_attention_heads"]
    qkv = (config["num_attention_heads"] + 2 * config["num_key_value_heads"]) * head
    layer = hidden * qkv + hidden * hidden + 3 * hidden * inner
    return 2.0 * config["num_hidden_layers"] * layer


def median(values: Sequence[float]) -> float:
    """values (Sequence[float]): At least one value.
    RETURNS (float): The median."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """values (Sequence[float]): At least one value.
    share (float): The share of values below, in [0, 1].
    RETURNS (float): The percentile."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def machine(*, threads: int | None = None) -> dict[str, Any]:
    """threads (Optional[int]): The number of threads, by default torch's.
    RETURNS (Dict[str, Any]): The hardware and versions."""
    import transformers

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
        "threads": threads or torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
