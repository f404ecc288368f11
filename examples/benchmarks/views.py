"""What `normalize = true` costs where no text is disguised.

    python examples/benchmarks/views.py [--texts FOLDER --tokenizer FOLDER] [--demo]

`nlp.pipe` with and without it on the same texts, none of which has a view, in turn, new
ones in each round. By default on the full architecture with random weights, with
`--demo` on the demo checkpoint. The last line is JSON.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import spacy
import torch
from checkpoint import make_checkpoint
from host import load, timed
from measure import machine, median, percentile
from spacy.language import Language
from workloads import LANGUAGES

from spacy_duoguard.engine.text.views.readings import readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--texts", type=Path, help="folder of evaluation files; default: made-up texts")
    add("--language", default="En", choices=LANGUAGES)
    add("--tokenizer", type=Path, help="folder of Qwen2.5's; default: the demo's")
    add("--demo", action="store_true", help="the demo checkpoint")
    add("--tiny", action="store_true", help="a small network")
    add("--precision", default="auto")
    add("--count", type=int, default=16, help="texts of a round")
    add("--rounds", type=int, default=30)
    add("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    texts = list(dict.fromkeys(load(options.texts, options.language)))
    random.Random(0).shuffle(texts)
    count, rounds = options.count, options.rounds
    plain = [text for text in texts if not readings(text)][: count * (rounds + 1)]
    with tempfile.TemporaryDirectory() as folder:
        name = "demo" if options.demo else folder
        if not options.demo:
            file = options.tokenizer and options.tokenizer / "tokenizer.json"
            make_checkpoint(Path(folder), tokenizer=file, tiny=options.tiny)
        model = {"name": name, "precision": options.precision, "device": "cpu"}
        nlp = spacy.blank(options.language.lower())
        nlp.add_pipe("duoguard", config={"model": model})
        ratios, seconds = measure(nlp, plain, count)
    report = {"ratio": median(ratios), "ms": 1e3 * median(seconds) / count, **machine()}
    middle = [percentile(ratios, share) for share in (0.25, 0.75)]
    print("| Rounds | Texts | ms per text | Time with `normalize` | Half of them |")
    print("|---|---|---|---|---|")
    print(
        f"| {len(ratios)} | {count * len(ratios)} | {report['ms']:.2f} | "
        f"{report['ratio']:.3f} | {middle[0]:.3f} to {middle[1]:.3f} |"
    )
    print(json.dumps(report))


def measure(
    nlp: Language, texts: Sequence[str], count: int
) -> tuple[list[float], list[float]]:
    """nlp (Language): The pipeline.
    texts (Sequence[str]): Texts without a view; the first round warms up.
    count (int): Texts of a round.
    RETURNS (Tuple[List[float], List[float]]): For each round the time with `normalize`
        against that without, and the seconds without."""
    guard: Any = nlp.get_pipe("duoguard")
    ratios, seconds = [], []

    def run(batch: Sequence[str], normalize: bool) -> float:
        guard.cfg["normalize"] = normalize
        return timed(lambda texts: list(nlp.pipe(texts)), batch)[0]

    for i in range(0, len(texts) - count + 1, count):
        batch = texts[i : i + count]
        # Who comes first pays for what is new to spaCy and oneDNN.
        order = (True, False) if i // count % 2 else (False, True)
        run(batch, normalize=False)
        times = {normalize: run(batch, normalize) for normalize in order}
        if i:
            ratios.append(times[True] / times[False])
            seconds.append(times[False])
    return ratios, seconds


if __name__ == "__main__":
    main()
