"""Measure the time and memory of head-only training.

    python examples/benchmarks/head_only.py --model FOLDER

The model is a hub name, or a checkpoint with the architecture to measure (its weights
don't matter). The texts are random words, as long as chat prompts: half have fewer than
15 words, a few more than 100. The last line is JSON.
"""

import argparse
import json
import platform
import random
import resource
import sys
import time
from importlib.metadata import version

import spacy
import torch
from spacy.language import Language
from spacy.training import Example
from spacy.util import fix_random_seed, minibatch
from thinc.api import Adam, prefer_gpu

from spacy_duoguard.taxonomy import CATEGORIES

WORDS = """
    the of to a in is how what kill process python good bad people make write story
    about house money please tell me why because never always water light some other
    password secret weapon doctor child love hate friend work time year day night
"""


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description="Time head-only training.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default="auto")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    fix_random_seed(0)
    prefer_gpu()
    nlp = load(args.model, args.precision)
    examples = make_examples(nlp, args.texts)
    seconds = run_epochs(nlp, examples, epochs=args.epochs, batch=args.batch)
    later = sorted(seconds[1:])[len(seconds[1:]) // 2]
    classifier = nlp.get_pipe("duoguard").classifier
    tokens = sum(len(classifier.tokenizer.encode(eg.text).ids) for eg in examples)
    figures = {
        "texts": len(examples),
        "tokens": tokens,
        "first_epoch_s": round(seconds[0], 3),
        "later_epoch_s": round(later, 5),
        "ratio": round(seconds[0] / later, 1),
        "peak_memory_gb": round(peak_memory(), 2),
        "parameters": sum(p.numel() for p in classifier.decoder.parameters()),
        "dtype": str(classifier.decoder.dtype),
        **hardware(),
    }
    print(json.dumps(figures))


def load(model: str, precision: str) -> Language:
    """model (str): A folder or hub name.
    precision (str): The precision to compute in.
    RETURNS (Language): A pipeline with a trainable head."""
    nlp = spacy.blank("en")
    settings = {"name": model, "precision": precision, "trainable_layers": 0}
    nlp.add_pipe("duoguard", config={"model": settings})
    return nlp


def make_examples(nlp: Language, count: int) -> list[Example]:
    """nlp (Language): The pipeline to make docs with.
    count (int): The number of examples.
    RETURNS (List[Example]): Distinct random texts with random gold labels."""
    words, examples = WORDS.split(), []
    for i in range(count):
        length = min(int(random.lognormvariate(2.7, 1.0)) + 1, 400)
        text = f"{i} " + " ".join(random.choices(words, k=length))
        cats = dict.fromkeys(CATEGORIES, 0.0)
        if i % 2:
            cats[random.choice(CATEGORIES)] = 1.0
        examples.append(Example.from_dict(nlp.make_doc(text), {"cats": cats}))
    return examples


def run_epochs(
    nlp: Language, examples: list[Example], *, epochs: int, batch: int
) -> list[float]:
    """nlp (Language): The pipeline, trained in place.
    examples (List[Example]): The examples, shuffled in place.
    epochs (int): The number of epochs.
    batch (int): The number of examples per update.
    RETURNS (List[float]): The seconds of each epoch's updates."""
    optimizer = nlp.initialize(lambda: examples, sgd=Adam(0.001))
    seconds = []
    for epoch in range(epochs):
        random.shuffle(examples)
        losses: dict[str, float] = {}
        started = time.perf_counter()
        for chunk in minibatch(examples, batch):
            nlp.update(chunk, sgd=optimizer, losses=losses)
        seconds.append(time.perf_counter() - started)
        loss = losses["duoguard"] / len(examples)
        print(f"epoch {epoch + 1}: {seconds[-1]:.4f} s, loss {loss:.4f}")
    return seconds


def peak_memory() -> float:
    """RETURNS (float): The peak memory in GB, of the GPU if one was used."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def hardware() -> dict[str, object]:
    """RETURNS (Dict[str, Any]): The hardware and versions."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "torch": version("torch"),
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
