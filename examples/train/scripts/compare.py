"""Compare a trained pipeline with the one before training, and say what to do next.

    python scripts/compare.py training/head/model-best corpus/dev.spacy
    python scripts/compare.py calibrated corpus/dev.spacy --before calibrated-before

The second command compares two saved pipelines, each with its thresholds.

`spacy train` saves the pipeline with the highest SCORE as model-best. That can be the
untrained one: it is evaluated first, and stays the best if no later step beats it.
"""

import argparse
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.training import Corpus
from spacy.util import load_config, load_model_from_config
from wasabi import msg

# The figures of the texts that are flagged at all, and of their order.
FIGURES = {
    "precision": "duoguard_unsafe_p",
    "recall": "duoguard_unsafe_r",
    "F": "duoguard_unsafe_f",
    "false positive rate": "duoguard_unsafe_fpr",
    "AUROC, unsafe": "duoguard_unsafe_auc",
    "AUPRC, unsafe": "duoguard_unsafe_auprc",
    "AUPRC, categories": "duoguard_macro_auprc",
}
NEXT = "Choose thresholds with: python -m spacy duoguard calibrate"


def main(arguments: Sequence[str] | None = None) -> None:
    """arguments (Optional[Sequence[str]]): The command line arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trained", type=Path, help="folder of the trained pipeline")
    parser.add_argument("dev", type=Path, help=".spacy file")
    parser.add_argument(
        "--before",
        type=Path,
        help="folder of another pipeline, instead of the untrained one",
    )
    parser.add_argument("--gpu-id", type=int, default=-1, help="-1 for the CPU")
    args = parser.parse_args(arguments)
    if args.gpu_id >= 0:
        spacy.require_gpu(args.gpu_id)
    warnings.filterwarnings("ignore", ".*W001")  # each command has shown it
    trained = spacy.load(args.trained)
    other = (
        load_untrained(args.trained, trained)
        if args.before is None
        else spacy.load(args.before)
    )
    before = evaluate(other, args.dev)
    after = evaluate(trained, args.dev)
    rows = [
        (name, show(before[key]), show(after[key])) for name, key in FIGURES.items()
    ]
    msg.table(
        rows,
        header=("", "untrained" if args.before is None else "before", "trained"),
        divider=True,
        aligns=("l", "r", "r"),
    )
    if args.before is None:
        for line in advise(before, after):
            msg.info(line)


def load_untrained(folder: Path, trained: Language) -> Language:
    """folder (Path): The folder of the trained pipeline.
    trained (Language): The trained pipeline.
    RETURNS (Language): The pipeline that its config makes, with the weights that
        training started from and the same categories."""
    nlp = load_model_from_config(load_config(folder / "config.cfg"), auto_fill=True)
    for name in nlp.pipe_names:
        if nlp.get_pipe_meta(name).factory == "duoguard":
            guard: Any = nlp.get_pipe(name)
            for label in trained.get_pipe(name).labels:
                guard.add_label(label)
    return nlp


def evaluate(nlp: Language, dev: Path) -> dict[str, Any]:
    """nlp (Language): A pipeline.
    dev (Path): A .spacy file.
    RETURNS (Dict[str, Any]): Its scores."""
    return nlp.evaluate(list(Corpus(dev)(nlp)))


def show(value: float | None) -> str:
    """value (Optional[float]): A figure.
    RETURNS (str): In per cent, or "-" if it is undefined."""
    return "-" if value is None else f"{100 * value:.2f}"


def advise(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """before (Mapping[str, Any]), after (Mapping[str, Any]): The scores before and
        after training.
    RETURNS (List[str]): What they mean, and what to do next."""
    keys = FIGURES.values()
    if all(before[key] == after[key] for key in keys):
        return [
            "model-best is the untrained pipeline: no step reached a higher SCORE. "
            "Train longer, with another learning rate, or on more texts."
        ]
    area, recall = (FIGURES[name] for name in ("AUPRC, unsafe", "recall"))
    if before[area] is None or after[area] is None:
        return [f"The dev set needs both safe and unsafe texts. {NEXT}"]
    if after[area] <= before[area]:
        return [
            "Training didn't improve the order of the texts (AUPRC). Train longer, "
            "with another learning rate, or on more texts."
        ]
    if after[recall] < before[recall]:
        return [
            "The order of the texts (AUPRC) has improved and the recall has fallen: "
            f"the thresholds don't fit the new scores. {NEXT}"
        ]
    return [f"The order of the texts (AUPRC) has improved. {NEXT}"]


if __name__ == "__main__":
    main()
