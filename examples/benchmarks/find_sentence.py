"""Measure which way of scoring sentences finds the unsafe one.

    python examples/benchmarks/find_sentence.py --texts FOLDER [--model NAME_OR_FOLDER]

An unsafe text of the evaluation files is inserted among safe sentences, and each mode
picks its top sentence. `--texts` is the folder with the files (`En/openai.json`,
`En/rtp_lx_prompt.json`, …). Rows that the demo checkpoint was trained on are left out.
Prints a table, and a line of JSON last.
"""

import argparse
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import spacy
import torch

from spacy_duoguard import Classifier
from spacy_duoguard.engine.prefix_scores import Query

# Characters of a safe sentence.
LENGTHS = range(20, 200)
MODES = ("isolated", "in context, by score", "in context, by change", "by chance")


@dataclass(frozen=True)
class Case:
    """A made-up document."""

    sentences: list[str]
    unsafe: int  # index of the unsafe sentence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--texts", type=Path, required=True, help="folder with the evaluation files")
    add("--model", default="demo", help="hub name or folder")
    add("--cases", type=int, default=200)
    options = parser.parse_args()
    classifier = Classifier.from_pretrained(options.model)
    report: dict[str, Any] = {"model": options.model, "cases": options.cases}
    print(f"| language | {' | '.join(MODES)} |\n|---|{'---|' * len(MODES)}")
    for language in ("En", "Fr", "Es"):
        if (options.texts / language).is_dir():
            cases = make_cases(options.texts / language, options.cases)
            shares = measure(classifier, cases)
            report[language] = shares
            row = " | ".join(f"{shares[mode]:.3f}" for mode in MODES)
            print(f"| {language} | {row} |")
    print(json.dumps(report))


def make_cases(folder: Path, count: int) -> list[Case]:
    """folder (Path): The files of one language.
    count (int): The number of cases.
    RETURNS (List[Case]): The cases, seeded."""
    draw = random.Random(0)
    openai = held_out(folder / "openai.json")
    prompts = held_out(folder / "rtp_lx_prompt.json")
    safe = [row["prompt"] for row in openai if not row["moderation_flag"]]
    safe += [row["prompt"] for row in prompts if not row["class"]]
    unsafe = [row["prompt"] for row in prompts if row["class"]]
    flagged = [row["prompt"] for row in openai if row["moderation_flag"]]
    unsafe += [text for text in flagged if len(text) < LENGTHS.stop]
    pool = sorted({sentence for text in safe for sentence in split_sentences(text)})
    cases = []
    for _ in range(count):
        sentences = draw.sample(pool, draw.randrange(5, 16))
        index = draw.randrange(len(sentences) + 1)
        sentences.insert(index, " ".join(draw.choice(unsafe).split()))
        cases.append(Case(sentences, index))
    return cases


def held_out(path: Path) -> list[dict[str, Any]]:
    """RETURNS (List[Dict]): The rows that the demo checkpoint wasn't trained on."""
    return json.loads(path.read_text(encoding="utf8"))[::5]


def split_sentences(text: str) -> list[str]:
    """RETURNS (List[str]): The sentences of a text with a typical length."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("sentencizer")
    sentences = (" ".join(sent.text.split()) for sent in nlp(text).sents)
    return [sentence for sentence in sentences if len(sentence) in LENGTHS]


def measure(classifier: Classifier, cases: list[Case]) -> dict[str, float]:
    """RETURNS (Dict[str, float]): How often each mode's top sentence is the unsafe
    one."""
    hits = dict.fromkeys(MODES, 0.0)
    for case in cases:
        alone = classifier.score(case.sentences).max(axis=1)
        ends = np.cumsum([len(sentence) + 1 for sentence in case.sentences]) - 1
        spans = [
            (int(end) - len(sentence), int(end))
            for sentence, end in zip(case.sentences, ends, strict=True)
        ]
        query = Query(" ".join(case.sentences), tuple(spans))
        scores = [s for s in classifier.answer([query])[0].spans if s]
        values = {
            "isolated": alone,
            "in context, by score": [score.probabilities.max() for score in scores],
            "in context, by change": [score.delta[-1] for score in scores],
        }
        for mode, risks in values.items():
            hits[mode] += float(np.argmax(risks) == case.unsafe)
        hits["by chance"] += 1 / len(case.sentences)
    return {mode: count / len(cases) for mode, count in hits.items()}


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
