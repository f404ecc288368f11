"""How much of the time is the host's: spaCy, the tokenizer and the docs.

    python examples/benchmarks/host.py [--texts FOLDER --tokenizer FOLDER] [--apart]

`Classifier.score` and `nlp.pipe` against `nlp.make_doc` on the same texts, in turn, new
ones in each round. The network takes no time: every logit is 0. Made-up texts and the
demo's tokenizer by default. With `--apart`, texts are prepared as for a GPU, which
computes meanwhile: a few hundred at a time. The last line is JSON.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import spacy
import torch
from checkpoint import FULL, TINY, make_checkpoint
from measure import machine, median
from spacy.language import Language
from workloads import LANGUAGES, read_texts

from spacy_duoguard import Classifier
from spacy_duoguard.engine import classifier as classifier_module
from spacy_duoguard.engine import launched
from spacy_duoguard.engine.network.packing import PackedBatch
from spacy_duoguard.engine.prefix_scores import Query, QueryBatch, QueryPlan
from spacy_duoguard.engine.text.split import Limits, split_texts

FILES = ("openai", "toxic_chat")
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
}


class NoNetwork:
    """Takes the place of `Runner.current`. Batches are packed, but not computed."""

    def __init__(self, n_labels: int) -> None:
        """n_labels (int): The number of categories."""
        self.n_labels = n_labels

    def get(self) -> "NoNetwork":
        """RETURNS (NoNetwork): The forward pass."""
        return self

    def __call__(self, batch: PackedBatch) -> torch.Tensor:
        """batch (PackedBatch): A batch.
        RETURNS (Tensor): (n_scored, n_labels), zeros."""
        return torch.ones(len(batch.scored_rows), self.n_labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--texts", type=Path, help="folder of evaluation files; default: made-up texts")
    add("--language", default="Fr", choices=LANGUAGES)
    add("--tokenizer", type=Path, help="folder of Qwen2.5's; default: the demo's")
    add("--count", type=int, default=512, help="texts of a round")
    add("--rounds", type=int, default=7)
    add("--threads", type=int, default=2)
    add("--apart", action="store_true", help="prepare texts as for a GPU")
    options = parser.parse_args()
    if options.apart:
        for module in (classifier_module, launched):
            module.computes_apart = lambda device: True
    torch.set_num_threads(options.threads)
    texts = list(dict.fromkeys(load(options.texts, options.language)))
    random.Random(0).shuffle(texts)
    count = min(options.count, len(texts) // 2)
    with tempfile.TemporaryDirectory() as folder:
        nlp = make_nlp(Path(folder), options.tokenizer, options.language.lower())
        warm, texts = texts[:count], texts[count:]
        for run in contestants(nlp).values():
            run(warm)
        ratios = measure(nlp, texts, count, options.rounds)
        stages = stage_times(nlp, texts, count, options.rounds)
    report = {"ratios": ratios, "microseconds": stages, **machine()}
    print("| Against `nlp.make_doc` | Time | CPU time |\n|---|---|---|")
    for name, (wall, cpu) in ratios.items():
        print(f"| `{name}` | {wall:.2f} | {cpu:.2f} |")
    print("\n| Where the time goes, one after another | µs per text |\n|---|---|")
    for name, microseconds in stages.items():
        print(f"| {name} | {microseconds:.0f} |")
    print(json.dumps(report))


def load(folder: Path | None, language: str) -> list[str]:
    """folder (Optional[Path]): The evaluation files; None for made-up texts.
    language (str): The subfolder to read.
    RETURNS (List[str]): The texts."""
    draw = random.Random(0)
    repeats = 1 if folder else 12  # made-up files are short
    return [
        text
        for _ in range(repeats)
        for name in FILES
        for text in read_texts(folder, language, name, draw)
    ]


def make_nlp(folder: Path, tokenizer: Path | None, language: str) -> Language:
    """folder (Path): Where to write a small network.
    tokenizer (Optional[Path]): The folder of Qwen2.5's tokenizer; None for the demo's.
    language (str): Of the texts.
    RETURNS (Language): A pipeline with the component."""
    file = tokenizer / "tokenizer.json" if tokenizer else None
    rows = FULL["vocab_size"] if tokenizer else TINY["vocab_size"]
    changes = {**SMALL, "vocab_size": rows}
    make_checkpoint(folder / "model", tokenizer=file, tiny=True, changes=changes)
    model = {
        "name": str(folder / "model"),
        "precision": "float32",
        "device": "cpu",
        "max_batch_tokens": 65536,  # as on a GPU: few batches
    }
    nlp = spacy.blank(language)
    nlp.add_pipe("duoguard", config={"model": model})
    nlp("load the weights")
    classifier: Any = nlp.get_pipe("duoguard").classifier
    classifier.runner.current = NoNetwork(len(classifier.labels))
    return nlp


def contestants(nlp: Language) -> dict[str, Callable[[Sequence[str]], Any]]:
    """nlp (Language): The pipeline.
    RETURNS (Dict[str, Callable]): What is measured, by name."""
    blank = spacy.blank(nlp.lang)  # with a vocabulary of its own, as nothing is shared
    classifier: Classifier = nlp.get_pipe("duoguard").classifier
    return {
        "nlp.make_doc": lambda texts: [blank.make_doc(text) for text in texts],
        "Classifier.score": classifier.score,
        "nlp.pipe": lambda texts: list(nlp.pipe(texts)),
    }


def measure(
    nlp: Language, texts: Sequence[str], count: int, rounds: int
) -> dict[str, tuple[float, float]]:
    """nlp (Language): The pipeline.
    texts (Sequence[str]): New texts for each round, from the start again at the end.
    count (int): Texts of a round.
    rounds (int): How often to measure.
    RETURNS (Dict[str, Tuple[float, float]]): The medians of time and CPU time against
        `nlp.make_doc`."""
    runs = contestants(nlp)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    draw = random.Random(0)
    for i in range(rounds):
        batch = [texts[(i * count + j) % len(texts)] for j in range(count)]
        for name in draw.sample(list(runs), len(runs)):
            seconds[name].append(timed(runs[name], batch))
    base = seconds.pop("nlp.make_doc")
    return {
        name: (
            median([own[0] / other[0] for own, other in zip(times, base, strict=True)]),
            median([own[1] / other[1] for own, other in zip(times, base, strict=True)]),
        )
        for name, times in seconds.items()
    }


def timed(run: Callable[[Any], Any], batch: Any) -> tuple[float, float]:
    """run (Callable): What to measure. batch (Any): Its argument.
    RETURNS (Tuple[float, float]): Its seconds, and those of all processors."""
    start = time.perf_counter(), time.process_time()
    run(batch)
    return time.perf_counter() - start[0], time.process_time() - start[1]


def stage_times(
    nlp: Language, texts: Sequence[str], count: int, rounds: int
) -> dict[str, float]:
    """Time the stages one after another. `nlp.pipe` tokenizes while it makes docs.

    nlp, texts, count, rounds: As for `measure`.
    RETURNS (Dict[str, float]): The medians, in microseconds per text.
    """
    guard: Any = nlp.get_pipe("duoguard")
    classifier: Classifier = guard.classifier
    blank, seconds = spacy.blank(nlp.lang), {}

    def stage(name: str, run: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = run()
        seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    tokenizer, settings = classifier.tokenizer, classifier.settings
    for i in range(rounds):
        batch = [texts[-1 - (i * count + j) % len(texts)] for j in range(count)]
        docs = stage(
            "`nlp.make_doc`", lambda batch=batch: list(map(blank.make_doc, batch))
        )
        stage("`doc.text`", lambda docs=docs: [doc.text for doc in docs])
        windows = stage(
            "tokenize, in several threads",
            lambda batch=batch: split_texts(batch, tokenizer, settings, Limits()),
        )
        plans = stage(
            "plan windows",
            lambda batch=batch, windows=windows: QueryBatch(
                [
                    QueryPlan.of(Query(text), split)
                    for text, split in zip(batch, windows, strict=True)
                ]
            ),
        )
        stage(
            "pack, and read the scores",
            lambda plans=plans: classifier.runner.probabilities(
                plans.ids, plans.positions
            ),
        )
        scores = guard.predict(docs)
        stage(
            "annotate",
            lambda docs=docs, scores=scores: guard.set_annotations(docs, scores),
        )
    return {name: 1e6 * median(times) / count for name, times in seconds.items()}


if __name__ == "__main__":
    main()
