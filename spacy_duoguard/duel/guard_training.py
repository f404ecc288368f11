"""Train the guard with `spacy train`, on the texts that it got wrong and on seeds."""

import os
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from configparser import Error as ConfigParserError
from contextlib import redirect_stdout
from importlib.resources import files
from pathlib import Path
from typing import Any

import spacy
from spacy.tokens import Doc, DocBin
from spacy.util import load_config
from thinc.api import Config

from ..calibration.run import Request
from ..calibration.run import run as calibrate
from ..calibration.thresholds import Goal
from ..engine.checkpoint.atomic_folder import put_in_place
from ..engine.checkpoint.files import write_aside
from ..errors import Errors, SettingsError
from ..pipeline.registry import read_guard_blocks
from ..pipeline.serialization import read_settings
from ..pipeline.settings import FACTORY
from ..scoring.pipelines import is_pipeline
from .private_files import FILE_MODE, make_folder
from .processes import run_logged
from .seeds import Seed
from .settings import GuardSettings

# Settings of a saved model that training keeps. The others say how to train.
_KEPT_OF_MODEL: tuple[str, ...] = ("window", "stride", "max_windows")


def read_train_config(path: str | None) -> Config:
    """path (Optional[str]): A config for `spacy train`, None for ours.
    RETURNS (Config): The config, not interpolated.
    RAISES (SettingsError): It can't be read, or doesn't train a 'duoguard' component
        between the paths of a duel."""
    try:
        if path is None:
            text = files(__package__).joinpath("head.cfg").read_text(encoding="utf8")
            config: Config = Config().from_str(text, interpolate=False)
        else:
            config = load_config(path, interpolate=False)
    except (OSError, ValueError, ConfigParserError) as e:
        problem = type(e).__name__
        raise SettingsError(Errors.E298.format(path=path, problem=problem)) from e
    names = _guard_names(config)
    missing = {"train", "dev", "model"} - config.get("paths", {}).keys()
    problem = ""
    if missing:
        problem = f"[paths] lacks {min(missing)}"
    elif len(names) != 1:
        problem = f"{len(names)} guards"
    elif not isinstance(config["components"][names[0]].get("model"), dict):
        problem = f"[components.{names[0]}.model] is missing"
    if problem:
        raise SettingsError(
            Errors.E298.format(path=path or "head.cfg", problem=problem)
        )
    return config


def _guard_names(config: Mapping[str, Any]) -> list[str]:
    blocks = config.get("components", {})
    return [name for name, block in blocks.items() if block.get("factory") == FACTORY]


def checkpoint_of(pipeline: str | Path) -> tuple[str, dict[str, Any]]:
    """pipeline (str / Path): A checkpoint or a saved pipeline.
    RETURNS (Tuple[str, Dict[str, Any]]): The checkpoint to train, and the settings of
        the pipeline's component that training keeps.
    RAISES (SettingsError): The pipeline has no guard, or several."""
    name = str(pipeline)
    if not is_pipeline(name):
        return name, {}
    folder = Path(name)
    if not folder.is_dir():
        package = spacy.util.get_package_path(name)
        configs = sorted(package.glob("*/config.cfg"))
        folder = configs[0].parent if configs else package
    blocks = read_guard_blocks(folder / "config.cfg", source=name)
    if len(blocks) != 1:
        found, listed = f"{len(blocks)} components", ""
        message = Errors.E082.format(folder=name, found=found, names=listed)
        raise SettingsError(message)
    ((component, block),) = blocks.items()
    kept = read_settings(folder / component, block)
    model = block.get("model", {})
    kept["model"] = {key: model[key] for key in _KEPT_OF_MODEL if key in model}
    return str(folder / component / "model"), kept


def choose_replay(seeds: Sequence[Seed], n: int, *, seed: int) -> list[Seed]:
    """seeds (Sequence[Seed]): The seeds.
    n (int): How many to choose.
    seed (int): That of the choice.
    RETURNS (List[Seed]): That many seeds, each as often as any other, give or take one.
    """
    rng = random.Random(seed)
    chosen: list[Seed] = []
    while len(chosen) < n:
        chosen += rng.sample(seeds, min(len(seeds), n - len(chosen)))
    return chosen


def write_corpus(
    path: Path, texts: Sequence[tuple[str, Mapping[str, float]]], language: str
) -> None:
    """path (Path): The .spacy file to write.
    texts (Sequence[Tuple[str, Mapping[str, float]]]): Texts and their gold `doc.cats`.
    language (str): That of the tokenizer."""
    nlp = spacy.blank(language)
    docs: list[Doc] = []
    for text, cats in texts:
        doc = nlp.make_doc(text)
        doc.cats = dict(cats)
        docs.append(doc)
    with write_aside(path, mode=FILE_MODE) as aside:
        aside.write_bytes(DocBin(docs=docs, store_user_data=True).to_bytes())


def train_guard(
    guard: str | Path,
    hard: Sequence[Mapping[str, Any]],
    seeds: Sequence[Seed],
    dev: Sequence[Seed],
    folder: Path,
    settings: GuardSettings,
    *,
    seed: int,
) -> Path:
    """Train a guard and calibrate it where asked.

    guard (str / Path): The checkpoint or saved pipeline to start from.
    hard (Sequence[Mapping[str, Any]]): Generated texts with their `gold`.
    seeds (Sequence[Seed]): The seeds to replay.
    dev (Sequence[Seed]): The dev texts, which `spacy train` evaluates on.
    folder (Path): The folder of the round, for `guard`, `train.spacy` and `train.log`.
    settings (GuardSettings): How to train.
    seed (int): The seed of the replay.
    RETURNS (Path): The trained pipeline.
    RAISES (DuelError): `spacy train` has failed.
    RAISES (SettingsError): The guard can't be calibrated on dev.
    """
    config = read_train_config(settings.train)
    language = config["nlp"]["lang"]
    replayed = choose_replay(seeds, round(settings.replay * len(hard)), seed=seed)
    learned = [(text["text"], text["gold"]) for text in hard]
    learned += [(text.text, text.cats) for text in replayed]
    write_corpus(folder / "train.spacy", learned, language)
    write_corpus(folder / "dev.spacy", [(d.text, d.cats) for d in dev], language)
    paths = {"train": folder / "train.spacy", "dev": folder / "dev.spacy"}
    config["paths"].update({key: str(path.resolve()) for key, path in paths.items()})
    _start_from(config, guard)
    with write_aside(folder / "train.cfg", mode=FILE_MODE) as aside:
        aside.write_bytes(config.to_bytes(interpolate=False))
    for earlier in folder.glob("training-*"):  # of a run that was killed
        shutil.rmtree(earlier)
    # The process of a run that was killed may still be writing to its folder.
    output = make_folder(folder / f"training-{os.getpid()}")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "spacy",
        "train",
        folder / "train.cfg",
    ]
    command += ["--output", output, "--gpu-id", str(settings.gpu_id)]
    run_logged(command, folder / "train.log", what="spacy train")
    trained = output / f"model-{settings.select}"
    if settings.calibrate is not None:
        _calibrate(trained, folder / "dev.spacy", settings.calibrate)
    put_in_place(trained, folder / "guard")
    shutil.rmtree(output)
    return folder / "guard"


def _start_from(config: Config, guard: str | Path) -> None:
    """Set the checkpoint, and the settings that training keeps."""
    config["paths"]["model"], kept = checkpoint_of(guard)
    block = config["components"][_guard_names(config)[0]]
    block["model"].update(kept.pop("model", {}))
    block.update(kept)


def _calibrate(pipeline: Path, dev: Path, goal: str) -> None:
    request = Request(
        pipeline=pipeline,
        dev=dev,
        goal=parse_goal(goal),
        unsafe=True,
        component=None,
        output=None,
        force=False,
        picture=None,
    )
    log = dev.with_name("calibrate.log")
    with open(log, "w", encoding="utf8") as file, redirect_stdout(file):
        calibrate(request)


def parse_goal(goal: str) -> Goal:
    """goal (str): As in the config: "best-f", "target-fpr 0.05" or "target-recall 0.9".
    RETURNS (Goal): What to optimise."""
    name, _, value = goal.partition(" ")
    if name == "best-f":
        return Goal(best_f=True)
    if name == "target-fpr":
        return Goal(target_fpr=float(value))
    return Goal(target_recall=float(value))
