"""Which way of scoring sentences finds the one that matters?

    python examples/benchmarks/find_sentence.py --texts FOLDER [--model NAME_OR_FOLDER]

An unsafe text of the evaluation files is put at a random place among safe sentences,
and each mode names its top sentence. `--texts` holds the files (`En/openai.json`,
`En/rtp_lx_prompt.json`, …); rows that the demo checkpoint was trained on are left out.
Prints a table, and one line of JSON last.
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

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.prefix_scores import Query

# A sentence of the safe kind has so many characters.
LENGTHS = range(20, 200)
MODES = ("isolated", "in context, by score", "in context, by change", "by chance")


@dataclass(frozen=True)
class Case:
    """A made document."""

    sentences: list[str]
    unsafe: int  # which of them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--texts", type=Path, required=True, help="the evaluation files")
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
    """folder (Path): The files of one language. count (int): How many to make.
    RETURNS (List[Case]): Seeded."""
    draw = random.Random(0)
    openai = held_out(folder / "openai.json")
    prompts = held_out(folder / "rtp_lx_prompt.json")
    safe = [row["prompt"] for row in openai if not row["moderation_flag"]]
    safe += [row["prompt"] for row in prompts if not row["class"]]
    unsafe = [row["prompt"] for row in prompts if row["class"]]
    flagged = [row["prompt"] for row in openai if row["moderation_flag"]]
    unsafe += [text for text in flagged if len(text) < LENGTHS.stop]
    pool = sorted({sentence for text in safe for sentence in cut_sentences(text)})
    cases = []
    for _ in range(count):
        sentences = draw.sample(pool, draw.randrange(5, 16))
        place = draw.randrange(len(sentences) + 1)
        sentences.insert(place, " ".join(draw.choice(unsafe).split()))
        cases.append(Case(sentences, place))
    return cases


def held_out(path: Path) -> list[dict[str, Any]]:
    """RETURNS (List[Dict]): The rows that no checkpoint of ours was trained on."""
    return json.loads(path.read_text(encoding="utf8"))[::5]


def cut_sentences(text: str) -> list[str]:
    """RETURNS (List[str]): The sentences of a text that are of a usual length."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("sentencizer")
    found = (" ".join(sent.text.split()) for sent in nlp(text).sents)
    return [sentence for sentence in found if len(sentence) in LENGTHS]


def measure(classifier: Classifier, cases: list[Case]) -> dict[str, float]:
    """RETURNS (Dict[str, float]): How often each mode's top sentence is the unsafe
    one."""
    hits = dict.fromkeys(MODES, 0.0)
    for case in cases:
        alone = classifier.score(case.sentences).max(axis=1)
        ends = np.cumsum([len(sentence) + 1 for sentence in case.sentences]) - 1
        places = [
            (int(end) - len(sentence), int(end))
            for sentence, end in zip(case.sentences, ends, strict=True)
        ]
        query = Query(" ".join(case.sentences), tuple(places))
        spans = classifier.answer([query])[0].spans
        values = {
            "isolated": alone,
            "in context, by score": [own.probabilities.max() for own in spans if own],
            "in context, by change": [own.delta[-1] for own in spans if own],
        }
        for mode, own in values.items():
            hits[mode] += float(np.argmax(own) == case.unsafe)
        hits["by chance"] += 1 / len(case.sentences)
    return {mode: count / len(cases) for mode, count in hits.items()}


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
