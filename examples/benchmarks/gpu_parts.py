"""The questions that `gpu.py` answers, each a function from a `Bench` to figures."""

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoint import FULL, TINY
from gpu_processes import nlp_pipe
from measure import (
    alternate,
    best_product_rate,
    flop_per_token,
    latencies,
    median,
    percentile,
)
from systems import make_system
from workloads import TextPool

from spacy_duoguard import Classifier
from spacy_duoguard.engine.fallbacks import Fallbacks
from spacy_duoguard.engine.network.cuda_graph import GRAPH_LENGTHS
from spacy_duoguard.engine.network.trainable import prepare_training
from spacy_duoguard.engine.prefix_scores import Query
from spacy_duoguard.engine.training.trainer import Trainer

Figures = dict[str, Any]


class LeftOutError(Exception):
    """A part that this machine can't answer, with the reason."""


class Bench:
    """What the parts share."""

    def __init__(self, folder: Path, options: Namespace) -> None:
        """folder (Path): The checkpoint.
        options (Namespace): From the command line."""
        self.folder, self.options = folder, options
        self.device: str = options.device
        self.config = TINY if options.tiny else FULL
        self.counted: list[Fallbacks] = []
        self.classifier = self.load()
        encode = self.classifier.tokenizer.encode

        def length(text: str) -> int:
            return len(encode(text).ids)

        self.length = length
        self.pool = TextPool(options.texts, length=length)
        self.texts = self.pool.mix(options.count)
        self.lengths = list(map(length, self.texts))
        self.n_tokens = sum(self.lengths)

    def more(self, count: int) -> tuple[list[str], list[int]]:
        """RETURNS (Tuple[List[str], List[int]]): Texts that were not used before, and
        their lengths."""
        texts = self.pool.mix(count)
        return texts, list(map(self.length, texts))

    @property
    def cuda(self) -> bool:
        return self.device == "cuda"

    def load(
        self, precision: str = "bfloat16", *, counted: bool = True, **options: Any
    ) -> Classifier:
        """counted (bool): Whether it must not fall back on anything.
        RETURNS (Classifier): With the given settings."""
        options = {"device": self.device, **options}
        classifier = Classifier.from_pretrained(
            str(self.folder), precision=precision, **options
        )
        if counted:
            self.counted.append(classifier.runner.fallbacks)
        return classifier

    def name_device(self) -> str:
        """RETURNS (str): Where the classifier computes, as its weights tell."""
        device = self.classifier.decoder.device
        name = torch.cuda.get_device_name(device) if self.cuda else "CPU"
        return f"{device} ({name})"

    def fallbacks(self) -> dict[str, str]:
        """RETURNS (Dict[str, str]): What was slower than it should be, and why."""
        counts: Counter[str] = Counter()
        for fallbacks in self.counted:
            counts += fallbacks.counts
        causes = {fallbacks.first_cause for fallbacks in self.counted} - {None}
        shown = "; ".join(sorted(map(str, causes)))
        return {kind: f"{n} times, first: {shown}" for kind, n in counts.items()}

    def need_cuda(self) -> None:
        if not self.cuda:
            raise LeftOutError("needs a CUDA device")

    def kernels(self) -> tuple[list[str], dict[str, str]]:
        """RETURNS (Tuple[List[str], Dict[str, str]]): The kinds of kernels that can be
        compared, and those that can't, with the reason."""
        if not self.cuda:
            return ["torch"], {"Triton kernels": "needs a CUDA device"}
        if not find_spec("triton"):
            return ["torch"], {"Triton kernels": "triton is not installed"}
        return ["torch", "triton"], {}


def parity(bench: Bench) -> Figures:
    """Against float32 on the CPU, and in a batch against alone."""
    exact = bench.load("float32", device="cpu").score(bench.texts)
    kinds, left_out = bench.kernels()
    figures: Figures = {"texts": len(bench.texts), "left_out": left_out}
    few = bench.texts[:64]
    for precision in ("float32", "bfloat16"):
        for kernels in kinds:
            classifier = bench.load(precision, kernels=kernels)
            found = classifier.score(bench.texts)
            drift = np.abs(found - exact)
            alone = np.concatenate([classifier.score([text]) for text in few])
            shift = np.abs(found[: len(few)] - alone).max()
            name = f"{precision}, {kernels}"
            figures[f"{name}: mean difference"] = float(drift.mean())
            figures[f"{name}: largest difference"] = float(drift.max())
            figures[f"{name}: largest in a batch against alone"] = float(shift)
    return figures


def graphs(bench: Bench) -> Figures:
    """One text of each recorded length, from eight threads."""
    enough = 1 + 2 * GRAPH_LENGTHS[-1] // bench.n_tokens
    text, classifier = " ".join(bench.texts * enough), bench.classifier
    offsets = classifier.tokenizer.encode(text).offsets
    texts = [text[: offsets[length - 1][1]] for length in GRAPH_LENGTHS]
    expected = [classifier.score([text]) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: classifier.score([text]), texts * 8))
    pairs = zip(found, expected * 8, strict=True)
    largest = max(float(np.abs(one - other).max()) for one, other in pairs)
    return {"lengths": len(texts), "largest difference between threads": largest}


def trained_layers(bench: Bench) -> Figures:
    """The top layer in float32 above layers in bfloat16, and a few training steps."""
    classifier, texts = bench.load(), bench.texts[:32]
    before = classifier.score(texts)
    prepare_training(classifier.decoder, 1)
    changed = float(np.abs(classifier.score(texts) - before).max())
    trainer, start = Trainer(classifier, 1), time.perf_counter()
    for _ in range(3):
        logits, backprop = trainer.begin([Query(text) for text in texts])
        backprop(np.ones_like(logits) / logits.size)
        for parameter in classifier.decoder.parameters():
            parameter.grad = None
    seconds = (time.perf_counter() - start) / 3
    return {"largest difference in float32": changed, "seconds of a step": seconds}


def back_on_the_cpu(bench: Bench) -> Figures:
    """Scores after the decoder was moved."""
    classifier, texts = bench.load("float32"), bench.texts[:8]
    before = classifier.score(texts)
    classifier.decoder.to("cpu")
    return {"largest difference": float(np.abs(classifier.score(texts) - before).max())}


def out_of_memory(bench: Bench) -> Figures:
    """Less memory than a batch takes."""
    bench.need_cuda()
    classifier = bench.load("float32", counted=False)  # it is meant to fall back
    texts = bench.texts * 4
    expected = classifier.score(texts)
    torch.cuda.empty_cache()
    total, used = torch.cuda.mem_get_info()[1], torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction((used + 2**30) / total)
    try:
        found = classifier.score(texts)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    return {
        "halvings": classifier.runner.fallbacks.halvings,
        "largest difference": float(np.abs(found - expected).max()),
    }


def throughput(bench: Bench) -> Figures:
    """Tokens per second by budget, with the share of the best product rate."""
    rate = best_product_rate(bench.config, torch.bfloat16)
    kinds, left_out = bench.kernels()
    budgets = (4096, 13312, 65536) if bench.cuda else (1024,)
    repeats = max(1, 4 * budgets[-1] // bench.n_tokens) if bench.cuda else 1
    texts = [f"{i} {text}" for i in range(repeats) for text in bench.texts]
    encode = bench.classifier.tokenizer.encode
    total = sum(len(encode(text).ids) for text in texts)
    runs = {}
    for kernels in kinds:
        for budget in budgets:
            classifier = bench.load(kernels=kernels, max_batch_tokens=budget)
            runs[f"{budget} tokens, {kernels}"] = _scoring(classifier.score, texts)
    figures: Figures = {"product rate, TFLOP/s": rate / 1e12, "left_out": left_out}
    for name, seconds in alternate(runs, rounds=bench.options.rounds).items():
        speed = total / median(seconds)
        figures[f"{name}: tokens/s"] = speed
        figures[f"{name}: share of that rate"] = (
            speed * flop_per_token(bench.config) / rate
        )
    if bench.cuda:
        peak = torch.cuda.max_memory_allocated() / 2**30
        figures["peak GPU memory, GiB"] = peak
    return figures


def profile(bench: Bench) -> Figures:
    """Where the time goes: kernels, and the host."""
    classifier, texts = bench.classifier, bench.texts
    classifier.score(texts)
    start = time.perf_counter()
    classifier.score(texts)
    wall = time.perf_counter() - start
    with torch.profiler.profile() as profiler:
        classifier.score(texts)
    kind = "CUDA" if bench.cuda else "CPU"
    attribute = f"self_{'device' if bench.cuda else 'cpu'}_time_total"
    times = {
        event.key[:60]: getattr(event, attribute) / 1e6
        for event in profiler.key_averages()
        if event.device_type.name == kind  # an operator and its kernel are two events
    }
    busy = sum(times.values())
    figures: Figures = {}
    if bench.cuda:
        figures["share of the time with a busy GPU"] = busy / wall
    for name in sorted(times, key=lambda name: -times[name])[:10]:
        figures[f"share of {name}"] = times[name] / busy
    return figures


def peers(bench: Bench) -> Figures:
    """The model card's loop and its alternatives."""
    names = ["card's loop, bfloat16", "transformers, sorted, batch 32"]
    names.append("vLLM, bfloat16")
    systems: dict[str, Callable[[Sequence[str]], Any]] = {}
    figures: Figures = {"left_out": {}}
    for name in names:
        try:
            systems[name] = make_system(name, bench.folder, bench.folder.parent)
            systems[name](bench.texts[:1])
        except Exception as e:  # not installed, or another version than it needs
            systems.pop(name, None)
            figures["left_out"][name] = f"{type(e).__name__}: {e}"
    systems["Classifier.score"] = bench.classifier.score
    sample = bench.texts[:128]
    n_tokens = sum(bench.lengths[: len(sample)])
    runs = {name: _scoring(score, sample) for name, score in systems.items()}
    for name, times in alternate(runs, rounds=bench.options.rounds).items():
        figures[f"{name}: tokens/s"] = n_tokens / median(times)
    lengths = dict(zip(bench.texts, bench.lengths, strict=True))
    short = [text for text in bench.texts if 10 <= lengths[text] <= 40][:8]
    single = {n: s for n, s in systems.items() if "batch" not in n}
    for name, times in latencies(single, short, rounds=bench.options.rounds).items():
        figures[f"{name}: ms for a short text, median"] = median(times)
        figures[f"{name}: ms for a short text, 95 %"] = percentile(times, 0.95)
    return figures


def _scoring(
    score: Callable[[Sequence[str]], Any], texts: Sequence[str]
) -> Callable[[], Any]:
    return lambda: score(texts)


# In this order: what matters most comes first, in case the time runs out.
PARTS: dict[str, Callable[[Bench], Figures]] = {
    "parity": parity,
    "graphs": graphs,
    "trained layers": trained_layers,
    "back on the CPU": back_on_the_cpu,
    "out of memory": out_of_memory,
    "throughput": throughput,
    "nlp.pipe": nlp_pipe,
    "profile": profile,
    "peers": peers,
}
