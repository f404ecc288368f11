"""Measure how harmless text before an unsafe passage lowers its score.

    python examples/benchmarks/dilution.py --texts FOLDER [--model NAME_OR_FOLDER]

Unsafe texts of the evaluation files are put at the end of a full window of safe ones.
Each window size scores them, and documents of the safe texts alone. Rows that the demo
checkpoint was trained on are left out. Prints a table, and a line of JSON last.
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from find_sentence import make_cases

from spacy_duoguard import Classifier

SIZES = (512, 256, 128, 64)
TOKENS = 400  # of safe text before the unsafe passage
THRESHOLD = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--texts", type=Path, required=True, help="folder with the evaluation files")
    add("--model", default="demo", help="hub name or folder")
    add("--language", default="En")
    add("--cases", type=int, default=200)
    options = parser.parse_args()
    classifier = Classifier.from_pretrained(options.model)
    payloads, fillers = make_texts(
        options.texts / options.language, options.cases, classifier
    )
    report: dict[str, Any] = {"model": options.model, "cases": len(payloads)}
    report["alone"] = flagged(classifier, payloads)
    diluted = [
        f"{filler} {text}" for filler, text in zip(fillers, payloads, strict=True)
    ]
    print(f"Unsafe texts flagged alone: {report['alone']:.3f}")
    print("| window | unsafe, after safe text | safe text alone |\n|---|---|---|")
    for size in SIZES:
        windowed = Classifier.from_pretrained(
            options.model, window=size, stride=size * 3 // 4
        )
        shares = flagged(windowed, diluted), flagged(windowed, fillers)
        report[str(size)] = shares
        print(f"| {size} | {shares[0]:.3f} | {shares[1]:.3f} |")
    print(json.dumps(report))


def make_texts(
    folder: Path, count: int, classifier: Classifier
) -> tuple[list[str], list[str]]:
    """folder (Path): The files of one language.
    count (int): The number of cases.
    classifier (Classifier): Its tokenizer measures the safe texts.
    RETURNS (Tuple[List[str], List[str]]): Unsafe texts, and safe text for each."""
    cases = make_cases(folder, count)
    payloads = [case.sentences[case.unsafe] for case in cases]
    safe = [
        text
        for case in cases
        for i, text in enumerate(case.sentences)
        if i != case.unsafe
    ]
    draw = random.Random(0)
    fillers = []
    for _ in cases:
        filler = ""
        while len(classifier.tokenizer.encode(filler).ids) < TOKENS:
            filler = f"{filler} {draw.choice(safe)}".strip()
        fillers.append(filler)
    return payloads, fillers


def flagged(classifier: Classifier, texts: list[str]) -> float:
    """RETURNS (float): The share of texts with a category above the threshold."""
    return float(np.mean(classifier.score(texts).max(axis=1) > THRESHOLD))


if __name__ == "__main__":
    main()
