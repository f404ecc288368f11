"""Figures on the held-out rows beside those of `figures.py`: texts in disguise and with
noise, and the unsafe sentence of a document."""

import importlib.util
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from demo.data import (
    HELD_OUT,
    LANGUAGES,
    N_PARTS,
    TOXIC_CHAT,
    TRAINED_ON,
    Row,
    read_rows,
)
from demo.figures import THRESHOLD
from demo.noise import add_noise
from spacy_duoguard import Classifier
from spacy_duoguard.evaluation.disguised import (
    LEAST_SCORE,
    MOST_CHARS,
    DisguiseReport,
    measure_disguises,
)
from spacy_duoguard.evaluation.rates import Rate
from spacy_duoguard.evaluation.run import evaluate

_N_TEXTS = 60  # to disguise in each language
_N_CASES = 200
_BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "find_sentence.py"


@dataclass(frozen=True)
class NoiseRates:
    """What noise does to texts, with `normalize`."""

    passed: Rate  # unsafe texts that aren't flagged
    flagged: Rate  # safe texts with noise that are
    flagged_plain: Rate  # the same texts without it


def write_held_out(data: Path, folder: Path) -> None:
    """Write the held-out rows as evaluation files, with all of ToxicChat.

    data (Path): The folder with the evaluation files.
    folder (Path): The output folder, for `evaluate`."""
    for language in LANGUAGES:
        (folder / language).mkdir(parents=True)
        for file in (*TRAINED_ON, TOXIC_CHAT):
            name = f"{file}.json"
            rows = json.loads((data / language / name).read_text(encoding="utf8"))
            if file in TRAINED_ON:
                rows = rows[HELD_OUT::N_PARTS]
            text = json.dumps(rows, ensure_ascii=False)
            (folder / language / name).write_text(text, encoding="utf8")


def measure_in_disguise(data: Path, classifier: Classifier) -> DisguiseReport:
    """data (Path): The folder with the evaluation files.
    classifier (Classifier): The classifier.
    RETURNS (DisguiseReport): As from `evaluate --disguises`, on the held-out rows."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_held_out(data, folder)
        evaluation = evaluate(folder, LANGUAGES, lambda: classifier, model="demo")
        return measure_disguises(folder, evaluation, classifier, n_texts=_N_TEXTS)


def measure_localisation(
    data: Path, classifier: Classifier
) -> dict[str, dict[str, float]] | None:
    """data (Path): The folder with the evaluation files.
    classifier (Classifier): The classifier.
    RETURNS (Dict[str, Dict[str, float]]): By language and mode, how often the top
        sentence is the unsafe one, as from examples/benchmarks/find_sentence.py. None
        in a copy of the project that doesn't have the benchmark beside it."""
    if not _BENCHMARK.exists():
        return None
    benchmark = _load_benchmark()
    return {
        language: benchmark.measure(
            classifier, benchmark.make_cases(data / language, _N_CASES)
        )
        for language in LANGUAGES
    }


def measure_noise(data: Path, classifier: Classifier) -> dict[str, NoiseRates]:
    """data (Path): The folder with the evaluation files.
    classifier (Classifier): The classifier.
    RETURNS (Dict[str, NoiseRates]): By language, what noise does on held-out rows."""
    rows = [
        row
        for file in TRAINED_ON
        for row in read_rows(data, file)
        if row.part == HELD_OUT and len(row.text) <= MOST_CHARS
    ]
    return {
        language: _measure_noise(
            [r for r in rows if r.language == language], classifier
        )
        for language in LANGUAGES
    }


def _measure_noise(rows: Sequence[Row], classifier: Classifier) -> NoiseRates:
    rng = random.Random(0)
    noised = [add_noise(row.text, rng) for row in rows]
    plain, changed = (
        [
            float(scores.probabilities.max(initial=0.0))
            for scores in classifier.analyze(texts, normalize=True)
        ]
        for texts in ([row.text for row in rows], noised)
    )
    results = [
        (bool(row.unsafe), one, other)
        for row, one, other in zip(rows, plain, changed, strict=True)
    ]
    attacked = [other for unsafe, one, other in results if unsafe and one > LEAST_SCORE]
    safe = [(one, other) for unsafe, one, other in results if not unsafe]
    return NoiseRates(
        Rate(sum(other <= THRESHOLD for other in attacked), len(attacked)),
        Rate(sum(other > THRESHOLD for _, other in safe), len(safe)),
        Rate(sum(one > THRESHOLD for one, _ in safe), len(safe)),
    )


def _load_benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location(_BENCHMARK.stem, _BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module
