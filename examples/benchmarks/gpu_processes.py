"""`nlp.pipe` in one process and in several that share a GPU, for `gpu.py`."""

import gc
import multiprocessing
import time
import warnings
from dataclasses import dataclass
from itertools import chain, repeat
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from measure import best_product_rate, flop_per_token

WARM_UP = 4  # times as many texts are scored before
PASSES = 4  # over these: a graph is recorded when a size comes for the eighth time

# For much text. Once spaCy's tokenizer remembers 10,000 chunks between spaces, its
# default, each new one takes the long way for ever.
CACHE_SIZE = 1_000_000
BATCH_SIZE = 10_000  # after each batch, the device has nothing to do for a moment


def nlp_pipe(bench: Any) -> dict[str, Any]:
    """Through spaCy in one process and in four, against the classifier, on texts that
    none of them has seen.

    bench (Bench): What the parts share.
    RETURNS (Dict[str, Any]): The figures.
    """
    rate = best_product_rate(bench.config, torch.bfloat16)
    count, figures = bench.options.pipe_count, {}
    warm_up = bench.more(WARM_UP * count)[0]

    def add(name: str, speed: float) -> None:
        figures[f"{name}: tokens/s"] = speed
        share = speed * flop_per_token(bench.config) / rate
        figures[f"{name}: share of the product rate"] = share

    for name, processes, tuned in (
        ("1 process", 1, False),
        ("1 process, tuned", 1, True),
        ("4 processes, tuned", 4, True),
    ):
        texts, tokens = bench.more(processes * count)
        setup = Setup(bench.folder, bench.device, warm_up, tuned)
        for what, speed in speeds(setup, texts, tokens, processes).items():
            add(f"{what}, {name}", speed)
    texts, tokens = bench.more(count)
    for _ in range(PASSES):
        bench.classifier.score(warm_up)
    start = time.perf_counter()
    bench.classifier.score(texts)
    add("Classifier.score", sum(tokens) / (time.perf_counter() - start))
    return figures


@dataclass(frozen=True)
class Setup:
    """What each process does before it is measured."""

    folder: Path  # the checkpoint
    device: str  # that all share
    warm_up: list[str]  # texts to score
    # Whether spaCy's tokenizer remembers more, batches are larger, and the garbage
    # collector doesn't visit what was there before.
    tuned: bool


def speeds(
    setup: Setup, texts: list[str], tokens: list[int], processes: int
) -> dict[str, float]:
    """setup (Setup): What each process does before.
    texts (List[str]): Texts, of which each process takes as many.
    tokens (List[int]): The tokens of each text.
    processes (int): Their number.
    RETURNS (Dict[str, float]): Tokens per second of all of them, of `nlp.pipe` and of
        `nlp.make_doc` alone, from the first start to the last end."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(processes), context.Queue()
    started = [
        context.Process(
            target=_run, args=(setup, texts[i::processes], barrier, answers)
        )
        for i in range(processes)
    ]
    for process in started:
        process.start()
    spans: dict[str, list[tuple[float, float]]] = {}
    for _ in started:
        for name, span in answers.get(timeout=300).items():
            spans.setdefault(name, []).append(span)
    for process in started:
        process.join()
    return {
        name: sum(tokens)
        / (max(end for _, end in of_all) - min(start for start, _ in of_all))
        for name, of_all in spans.items()
    }


def _run(setup: Setup, texts: list[str], barrier: Barrier, answers: Any) -> None:
    import spacy

    warnings.simplefilter("ignore")
    nlp, blank = spacy.blank("xx"), spacy.blank("xx")
    precision = "bfloat16" if setup.device == "cuda" else "float32"
    model = {"name": str(setup.folder), "device": setup.device, "precision": precision}
    nlp.add_pipe("duoguard", config={"model": model})
    if setup.tuned:
        nlp.batch_size = BATCH_SIZE
        for each in (nlp, blank):
            each.tokenizer.max_cache_size = CACHE_SIZE
    for _ in nlp.pipe(chain.from_iterable(repeat(setup.warm_up, PASSES))):
        pass
    for text in setup.warm_up:
        blank.make_doc(text)
    gc.collect()
    if setup.tuned:
        gc.freeze()
    spans = {}
    for name in ("nlp.make_doc", "nlp.pipe"):
        barrier.wait(timeout=300)
        start = time.time()
        if name == "nlp.pipe":
            for _ in nlp.pipe(texts):
                pass
        else:
            for text in texts:
                blank.make_doc(text)
        spans[name] = start, time.time()
    answers.put(spans)
