"""Find the fastest batch size on this machine: `model.max_batch_tokens`.

    python examples/benchmarks/budget.py MODEL [--precision bfloat16]

The default comes from a table by device, so that scores repeat exactly on the same
machine. If another value is faster for your machine and texts, set it.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from measure import alternate, median
from workloads import TextPool

from spacy_duoguard import Classifier

BUDGETS = (256, 512, 1024, 2048, 4096)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("model", help="hub name, folder or demo")
    add("--precision", default="auto")
    add("--device", default="auto")
    add(
        "--texts", type=Path, help="file with one text per line; default: made-up texts"
    )
    add("--count", type=int, default=128)
    options = parser.parse_args()
    classifier = Classifier.from_pretrained(
        options.model, precision=options.precision, device=options.device
    )

    def length(text: str) -> int:
        return len(classifier.tokenizer.encode(text).ids)

    if options.texts:
        lines = options.texts.read_text(encoding="utf8").splitlines()
        texts = [line for line in lines if line][: options.count]
    else:
        texts = TextPool(None, length=length).mix(options.count)
    total = sum(map(length, texts))
    settings = classifier.settings
    runs = {}
    for budget in BUDGETS:
        changed = Classifier(
            classifier.bundle, replace(settings, max_batch_tokens=budget)
        )
        # Share one copy of the prepared weights.
        changed.runner.current = classifier.runner.current
        runs[str(budget)] = lambda changed=changed: changed.score(texts)
    print("| max_batch_tokens | tokens/s |\n|---|---|")
    for budget, seconds in alternate(runs, rounds=3).items():
        print(f"| {budget} | {total / median(seconds):,.0f} |")


if __name__ == "__main__":
    main()
