"""Calibrate a saved pipeline: one pass over labelled texts, then its files."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from spacy.language import Language
from spacy.training import Corpus, Example
from spacy.util import load_config, load_model, minibatch
from thinc.api import Config
from wasabi import msg

from ..engine.checkpoint.atomic_folder import place, staged
from ..engine.checkpoint.files import write_aside
from ..errors import Errors, SettingsError
from ..pipeline.component import DuoGuard
from ..pipeline.registry import read_guard_blocks
from ..pipeline.scorer import read_gold
from ..taxonomy import UNSAFE
from .report import format_report, has_matplotlib, save_picture
from .thresholds import Calibration, Goal, calibrate

_BATCH = 128  # docs; the engine packs them into batches of its own


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    pipeline: Path
    dev: Path
    goal: Goal
    unsafe: bool  # one threshold for all categories, chosen on `unsafe`
    component: str | None  # None: the only one
    output: Path | None  # None: the pipeline itself
    force: bool  # replace what is there
    picture: Path | None


def run(request: Request) -> Calibration:
    """Choose thresholds, write them, print a report and save the picture.

    request (Request): What the user asked for.
    RETURNS (Calibration): What was chosen.
    RAISES (SettingsError): The pipeline or the texts are not what is needed. Nothing
        is written then.
    """
    if request.output is not None:
        _check_output(request.output, request)
    name = find_component(request.pipeline, request.component)
    pipe, gold, scores = score_corpus(request.pipeline, name, request.dev)
    found = calibrate(
        pipe.labels,
        scores,
        gold,
        request.goal,
        threshold=pipe.cfg["threshold"],
        thresholds=pipe.cfg["thresholds"],
        unsafe=request.unsafe,
    )
    _check_found(found, request, n_docs=len(scores))
    folder = request.pipeline
    if request.output is not None:
        folder = request.output
        _copy(request.pipeline, folder, lambda copy: _write(copy, name, found))
    else:
        _write(folder, name, found)
    print(format_report(found, request.goal))  # noqa: T201
    msg.good(f"Thresholds of '{name}' written", folder)
    if request.picture is not None:
        _draw(found, request.picture)
    return found


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
    listed = f" ({', '.join(names)})" if names else ""
    raise SettingsError(Errors.E082.format(folder=pipeline, found=found, names=listed))


def score_corpus(
    pipeline: Path, name: str, dev: Path
) -> tuple[DuoGuard, np.ndarray, np.ndarray]:
    """Score the texts of a corpus with one component, without its spans.

    pipeline (Path): A saved pipeline.
    name (str): The component.
    dev (Path): A .spacy file or a folder of them.
    RETURNS (Tuple[DuoGuard, ndarray, ndarray]): The component; gold labels of the
        categories and of `unsafe`, (n_docs, n_labels + 1), NaN where they are not
        known; scores, (n_docs, n_labels).
    RAISES (SettingsError): One of the two cannot be read.
    RAISES (ScoringError): A text could not be scored.
    """
    try:
        nlp = load_model(pipeline)
    except (OSError, ValueError) as e:
        problem = str(e).splitlines()[0]
        raise SettingsError(Errors.E086.format(path=pipeline, problem=problem)) from e
    pipe = nlp.get_pipe(name)
    if not isinstance(pipe, DuoGuard):
        problem = f"'{name}' is no component of this package"
        raise SettingsError(Errors.E086.format(path=pipeline, problem=problem))
    pipe.span_getter = None  # only the scores of whole docs are asked for
    columns = (*pipe.labels, UNSAFE)
    gold, scores = [], []
    for batch in minibatch(_read_examples(dev, nlp), size=_BATCH):
        for eg in batch:
            known = read_gold(eg.reference.cats, pipe.labels)
            gold.append([float(known.get(label, np.nan)) for label in columns])
        found = pipe.predict([eg.predicted for eg in batch])
        scores += [own.probabilities for own in found]
    shape = len(gold), len(columns)
    return (
        pipe,
        np.array(gold, dtype=np.float64).reshape(shape),
        np.array(scores, dtype=np.float64).reshape(shape[0], shape[1] - 1),
    )


def _read_examples(dev: Path, nlp: Language) -> Iterable[Example]:
    try:
        yield from Corpus(dev)(nlp)
    except Exception as e:  # those of zlib and msgpack have no base in common
        message = Errors.E083.format(path=dev, problem=type(e).__name__)
        raise SettingsError(message) from e


def _check_found(found: Calibration, request: Request, *, n_docs: int) -> None:
    if any(choice.kept is None for choice in found.choices):
        return
    counts = found.unsafe_before
    remedy = ""
    if not request.unsafe and counts.positives and counts.negatives:
        remedy = "; for those of 'unsafe' alone, which are there, add --unsafe"
    reasons = sorted({str(choice.kept) for choice in found.choices})
    message = Errors.E084.format(
        path=request.dev, docs=n_docs, problem=", or ".join(reasons), remedy=remedy
    )
    raise SettingsError(message)


def _write(folder: Path, name: str, found: Calibration) -> None:
    """Write thresholds into a saved pipeline, so that one rename makes them valid:
    until config.cfg is replaced, its old values win over those of the component."""
    changes = {"threshold": found.threshold, "thresholds": found.thresholds}
    saved = json.loads(place(folder / name, "cfg").read_bytes())
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
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        shutil.copytree(source, aside)
        change(aside)
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check_output(output: Path, request: Request) -> None:
    taken = output.exists() and (not output.is_dir() or any(output.iterdir()))
    if taken and not request.force:
        raise SettingsError(Errors.E085.format(path=output))
    if request.pipeline.resolve() in output.resolve().parents:
        raise SettingsError(Errors.E087.format(path=output, folder=request.pipeline))


def _draw(found: Calibration, path: Path) -> None:
    if not has_matplotlib():
        msg.info("No picture: it needs matplotlib (pip install 'spacy-duoguard[plot]')")
        return
    save_picture(found, path)
    msg.good("Precision-recall curves saved", path)
