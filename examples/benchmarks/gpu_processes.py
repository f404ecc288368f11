"""`nlp.pipe` in one process and in several that share a GPU, for `gpu.py`."""

import multiprocessing
import time
import warnings
from collections.abc import Sized
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from measure import best_product_rate, flop_per_token

WARM_UP = 1000  # texts of each process, at most a third of all


def nlp_pipe(bench: Any) -> dict[str, Any]:
    """Through spaCy in one process and in four, against the classifier, on texts that
    none of them has seen.

    bench (Bench): What the parts share.
    RETURNS (Dict[str, Any]): The figures.
    """
    rate = best_product_rate(bench.config, torch.bfloat16)
    figures: dict[str, Any] = {}
    for processes in (1, 4):
        texts, tokens = bench.more(processes * bench.options.pipe_count)
        found = speeds(bench.folder, bench.device, texts, tokens, processes)
        for name, speed in found.items():
            full = f"{name}, {processes} {'process' if processes == 1 else 'processes'}"
            figures[f"{full}: tokens/s"] = speed
            share = speed * flop_per_token(bench.config) / rate
            figures[f"{full}: share of the product rate"] = share
    texts, tokens = bench.more(bench.options.pipe_count)
    start = time.perf_counter()
    bench.classifier.score(texts)
    speed = sum(tokens) / (time.perf_counter() - start)
    figures["Classifier.score: tokens/s"] = speed
    share = speed * flop_per_token(bench.config) / rate
    figures["Classifier.score: share of the product rate"] = share
    return figures


def speeds(
    folder: Path, device: str, texts: list[str], tokens: list[int], processes: int
) -> dict[str, float]:
    """folder (Path): The checkpoint.
    device (str): The device that all share.
    texts (List[str]): Texts, of which each process takes as many.
    tokens (List[int]): The tokens of each text.
    processes (int): Their number.
    RETURNS (Dict[str, float]): Tokens per second of all of them, of `nlp.pipe` and of
        `nlp.make_doc` alone, from the first start to the last end."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(processes), context.Queue()
    shares = [texts[i::processes] for i in range(processes)]
    started = [
        context.Process(target=_run, args=(folder, device, share, barrier, answers))
        for share in shares
    ]
    for process in started:
        process.start()
    spans: dict[str, list[tuple[float, float]]] = {}
    for _ in started:
        for name, span in answers.get(timeout=300).items():
            spans.setdefault(name, []).append(span)
    for process in started:
        process.join()
    counted = [tokens[i::processes] for i in range(processes)]
    total = sum(sum(share[_n_warm(share) :]) for share in counted)
    return {
        name: total
        / (max(end for _, end in of_all) - min(start for start, _ in of_all))
        for name, of_all in spans.items()
    }


def _n_warm(texts: Sized) -> int:
    return min(WARM_UP, len(texts) // 3)


def _run(
    folder: Path, device: str, texts: list[str], barrier: Barrier, answers: Any
) -> None:
    import spacy

    warnings.simplefilter("ignore")
    nlp, blank = spacy.blank("xx"), spacy.blank("xx")
    precision = "bfloat16" if device == "cuda" else "float32"
    model = {"name": str(folder), "device": device, "precision": precision}
    nlp.add_pipe("duoguard", config={"model": model})
    n_warm = _n_warm(texts)
    list(nlp.pipe(texts[:n_warm]))
    rest, spans = texts[n_warm:], {}
    for name in ("nlp.make_doc", "nlp.pipe"):
        barrier.wait(timeout=300)
        start = time.time()
        if name == "nlp.pipe":
            for _ in nlp.pipe(rest):
                pass
        else:
            for text in rest:
                blank.make_doc(text)
        spans[name] = start, time.time()
    answers.put(spans)
