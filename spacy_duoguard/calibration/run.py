"""Calibrate a saved pipeline: score labelled texts, then update its files."""

import json
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.training import Corpus, Example
from spacy.util import load_config, minibatch
from thinc.api import Config
from wasabi import msg

from ..engine.checkpoint.atomic_folder import (
    locate,
    replace_folder,
    restore_folder,
    staged,
)
from ..engine.checkpoint.files import check_regular_files, write_aside
from ..engine.checkpoint.output_paths import check_output
from ..engine.decisions import ALLOW
from ..errors import Errors, SettingsError, describe_type
from ..pipeline.component import DuoGuard
from ..pipeline.corpus_files import check_corpus_file
from ..pipeline.gold import read_cats
from ..pipeline.registry import read_guard_blocks
from ..pipeline.saved import load_saved
from ..pipeline.scored_gold import refuse_scores
from ..pipeline.scorer import read_gold
from ..pipeline.settings import check_settings
from ..taxonomy import UNSAFE
from .picture import has_matplotlib, save_picture
from .report import format_report
from .review import (
    LabelledScores,
    Review,
    check_recall,
    choose_review,
    count_actions,
    keep_review,
    to_policy,
)
from .review_report import format_review
from .thresholds import Calibration, Goal, ThresholdChoice, calibrate

_BATCH_SIZE = 128  # docs; the engine plans its own batches of tokens


@dataclass(frozen=True)
class Request:
    """What to calibrate, and where to write the result."""

    pipeline: Path
    dev: Path
    goal: Goal
    unsafe: bool  # one threshold for all categories, chosen by `unsafe`
    component: str | None  # None if the pipeline has only one
    output: Path | None  # None to change the pipeline in place
    force: bool  # replace an existing output
    picture: Path | None
    code: Path | None = None  # a Python file that was imported
    review_recall: float | None = None  # of the texts that are reviewed or blocked

    def __post_init__(self) -> None:
        """RAISES (SettingsError): The recall isn't in [0, 1]."""
        check_recall(self.review_recall)


def run(request: Request) -> Calibration:
    """Choose thresholds, write them, print a report and save the picture.

    request (Request): What to calibrate.
    RETURNS (Calibration): The chosen thresholds.
    RAISES (SettingsError): The pipeline or the texts can't be used, or an output would
        replace one of them. Nothing has been written.
    """
    _check_outputs(request)
    name = find_component(request.pipeline, request.component)
    pipe, texts = score_corpus(request.pipeline, name, request.dev)
    calibration = calibrate(
        texts.labels,
        texts.scores,
        texts.gold,
        request.goal,
        threshold=pipe.cfg["threshold"],
        thresholds=pipe.cfg["thresholds"],
        unsafe=request.unsafe,
    )
    _check_choices(calibration.choices, calibration, request, n_docs=len(texts.scores))
    review = _review(texts, calibration, pipe.cfg, request)
    changes = {
        "threshold": calibration.threshold,
        "thresholds": calibration.thresholds,
        "review_threshold": review.threshold,
        "review_thresholds": review.thresholds,
    }
    check_settings({**pipe.cfg, **changes}, texts.labels)
    folder = request.pipeline
    if request.output is not None:
        folder = request.output
        _copy(request.pipeline, folder, lambda copy: _write(copy, name, changes))
    else:
        _write(folder, name, changes)
    print(format_report(calibration, request.goal))  # noqa: T201
    recall = request.review_recall
    print(format_review(texts, calibration, review, recall))  # noqa: T201
    msg.good(f"Saved the thresholds of '{name}'", folder)
    if request.picture is not None:
        _draw(calibration, request.picture)
    return calibration


def _review(
    texts: LabelledScores,
    calibration: Calibration,
    cfg: Mapping[str, Any],
    request: Request,
) -> Review:
    """Choose review thresholds, or keep those of the pipeline."""
    old = {
        "threshold": cfg["review_threshold"],
        "thresholds": cfg["review_thresholds"],
    }
    if request.review_recall is None:
        return keep_review(texts.labels, calibration, **old)
    review = choose_review(texts, request.review_recall, calibration, **old)
    _check_choices(review.choices, calibration, request, n_docs=len(texts.scores))
    _check_recall(texts, calibration, review, request.review_recall)
    return review


def _check_recall(
    texts: LabelledScores, calibration: Calibration, review: Review, recall: float
) -> None:
    """RAISES (SettingsError): Too few unsafe texts are reviewed or blocked: thresholds
    of categories are chosen for each category alone."""
    unsafe = count_actions(texts, to_policy(texts.labels, calibration, review)).unsafe
    total = sum(unsafe.values())
    if unsafe[ALLOW] > total - math.ceil(recall * total - 1e-9):
        raise SettingsError(
            Errors.E350.format(recall=recall, allowed=unsafe[ALLOW], total=total)
        )


def find_component(pipeline: Path, wanted: str | None) -> str:
    """pipeline (Path): A saved pipeline.
    wanted (Optional[str]): A component's name, None for the only one.
    RETURNS (str): The name of a component of the factory "duoguard".
    RAISES (SettingsError): There is none of that name, or not just one."""
    blocks = read_guard_blocks(pipeline / "config.cfg", source=pipeline)
    names = [name for name in blocks if wanted in (None, name)]
    if len(names) == 1:
        return names[0]
    found = f"{len(names)} components" if wanted is None else f"no '{wanted}'"
    listed = f" (it has: {', '.join(blocks)})" if blocks else ""
    raise SettingsError(Errors.E082.format(folder=pipeline, found=found, names=listed))


def score_corpus(
    pipeline: Path, name: str, dev: Path
) -> tuple[DuoGuard, LabelledScores]:
    """Score the docs of a corpus with one component, without their spans.

    pipeline (Path): A saved pipeline.
    name (str): The name of the component.
    dev (Path): A .spacy file or a folder of them.
    RETURNS (Tuple[DuoGuard, LabelledScores]): The component, and the texts.
    RAISES (SettingsError): The pipeline or the corpus can't be read, or the corpus has
        gold that can't be trained on, or scores for gold.
    RAISES (ScoringError): A text can't be scored.
    """
    check_regular_files(dev)
    if not any(dev.rglob("*.spacy")) and dev.suffix != ".spacy":
        raise SettingsError(Errors.E195.format(path=dev))
    for file in _list_corpus(dev):
        check_corpus_file(file)
    nlp = load_saved(pipeline)
    pipe = nlp.get_pipe(name)
    if not isinstance(pipe, DuoGuard):
        problem = f"'{name}' is not a 'duoguard' component"
        raise SettingsError(Errors.E086.format(path=pipeline, problem=problem))
    pipe.span_getter = None  # only whole docs need scores
    columns = (*pipe.labels, UNSAFE)
    gold, scores, statuses = [], [], []
    for batch in minibatch(_read_examples(dev, nlp), size=_BATCH_SIZE):
        for eg in batch:
            refuse_scores(eg.reference)
            read_cats(eg.reference.cats, pipe.labels)  # refuses what training does
            known = read_gold(eg.reference.cats, pipe.labels)
            gold.append([float(known.get(label, np.nan)) for label in columns])
        results = pipe.predict([eg.predicted for eg in batch])
        scores += [result.probabilities for result in results]
        statuses += [result.status for result in results]
    shape = len(gold), len(columns)
    return pipe, LabelledScores(
        pipe.labels,
        np.array(scores, dtype=np.float64).reshape(shape[0], shape[1] - 1),
        np.array(gold, dtype=np.float64).reshape(shape),
        statuses,
    )


def _read_examples(dev: Path, nlp: Language) -> Iterable[Example]:
    try:
        yield from Corpus(dev)(nlp)
    except Exception as e:  # the errors of zlib and msgpack share no base class
        message = Errors.E083.format(path=dev, problem=describe_type(e))
        raise SettingsError(message) from e


def _check_choices(
    choices: Sequence[ThresholdChoice],
    calibration: Calibration,
    request: Request,
    *,
    n_docs: int,
) -> None:
    if any(choice.kept is None for choice in choices):
        return
    counts = calibration.unsafe_before
    remedy = ""
    if not request.unsafe and counts.positives and counts.negatives:
        remedy = "; to use their labels of 'unsafe', add --unsafe"
    reasons = sorted({str(choice.kept) for choice in choices})
    message = Errors.E084.format(
        path=request.dev, docs=n_docs, problem=", or ".join(reasons), remedy=remedy
    )
    raise SettingsError(message)


def _write(folder: Path, name: str, changes: Mapping[str, Any]) -> None:
    """Write thresholds into a saved pipeline. Replacing config.cfg, which comes last,
    is what puts them into effect: its values override those of the component."""
    saved = json.loads(locate(folder / name, "cfg").read_bytes())
    for part in ("settings", "configured"):
        saved[part].update(changes)
    with staged(folder / name, keep=True) as aside:
        (aside / "cfg").write_bytes(json.dumps(saved).encode("utf8"))
    config: Config = load_config(folder / "config.cfg", interpolate=False)
    config["components"][name].update(changes)
    with write_aside(folder / "config.cfg") as aside:
        aside.write_bytes(config.to_bytes(interpolate=False))


def _copy(source: Path, target: Path, change: Callable[[Path], None]) -> None:
    """Copy a pipeline and change the copy before it gets its name."""
    with replace_folder(target.resolve()) as aside:
        shutil.copytree(source, aside, dirs_exist_ok=True)
        change(aside)


def _check_outputs(request: Request) -> None:
    """Check what will be written, before anything is scored or changed."""
    inputs = [request.pipeline, *_list_corpus(request.dev)]
    inputs += [request.code] if request.code else []
    if request.output is not None:
        check_output(request.output, [*inputs, request.dev], is_folder=True)
        _check_replaced(request.output.resolve(), request)
        inputs.append(request.output)
    if request.picture is not None:
        check_output(request.picture, inputs)


def _list_corpus(dev: Path) -> list[Path]:
    return sorted(dev.rglob("*.spacy")) if dev.is_dir() else [dev]


def _check_replaced(output: Path, request: Request) -> None:
    restore_folder(output)
    if not output.exists() or not any(output.iterdir()):
        return
    if not request.force:
        raise SettingsError(Errors.E085.format(path=request.output))
    if not all((output / name).is_file() for name in ("config.cfg", "meta.json")):
        raise SettingsError(Errors.E229.format(path=request.output))


def _draw(calibration: Calibration, path: Path) -> None:
    if not has_matplotlib():
        msg.info("No picture: install matplotlib (pip install 'spacy-duoguard[plot]')")
        return
    save_picture(calibration, path)
    msg.good("Saved the precision-recall curves", path)
