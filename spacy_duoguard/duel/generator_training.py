"""Train the generator with `trl dpo`, in an environment of its own, over files."""

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import srsly

from ..engine.checkpoint.atomic_folder import put_in_place
from ..engine.checkpoint.files import read_text
from ..errors import DuoGuardError, Errors, SettingsError
from .private_files import FOLDER_MODE, make_folder, read_lines, write_text
from .processes import run_logged
from .settings import GeneratorSettings, RoundSettings

_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def read_dpo_text(path: str | None) -> str:
    """path (Optional[str]): A config of `trl dpo`, None for ours.
    RETURNS (str): Its content.
    RAISES (SettingsError): It can't be read, or isn't a mapping in YAML."""
    try:
        if path is None:
            text = files(__package__).joinpath("dpo.yml").read_text(encoding="utf8")
        else:
            text = read_text(Path(path))
    except DuoGuardError as e:
        problem = type(e).__name__
        raise SettingsError(Errors.E302.format(path=path, problem=problem)) from e
    _parse(text, path or "dpo.yml")
    return text


def _parse(text: str, path: str) -> dict[str, Any]:
    try:
        content = srsly.yaml_loads(text)
    except Exception as e:  # the errors of the YAML parser share no public base
        raise SettingsError(Errors.E302.format(path=path, problem="no YAML")) from e
    if not isinstance(content, dict):
        raise SettingsError(Errors.E302.format(path=path, problem="not a mapping"))
    return content


def make_dpo_config(
    text: str, *, model: str, pairs: Path, output: Path, seed: int
) -> dict[str, Any]:
    """text (str): The config to complete.
    model (str): The folder of the generator.
    pairs (Path): The file of pairs.
    output (Path): The folder for the adapter.
    seed (int): The seed of the training.
    RETURNS (Dict[str, Any]): A config that `trl dpo` takes as it is."""
    return {
        **_parse(text, "dpo.yml"),
        "model_name_or_path": model,
        "datasets": [
            {"path": "json", "data_files": str(pairs.resolve()), "split": "train"}
        ],
        "output_dir": str(output.resolve()),
        "seed": seed,
    }


def to_yaml(config: dict[str, Any]) -> str:
    """Write a config so that TRL's parser, which reads YAML 1.1, reads what srsly's,
    which reads YAML 1.2, has read: an unquoted `no` would be false, and 5e-06 a string.

    config (Dict[str, Any]): Plain data.
    RETURNS (str): YAML, with a line for each key.
    """
    lines = []
    for key, value in config.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, float) and "e" in text and "." not in text:
            text = text.replace("e", ".0e")
        lines.append(f"{json.dumps(key)}: {text}\n")
    return "".join(lines)


def train_generator(
    model: str, folder: Path, settings: GeneratorSettings, rounds: RoundSettings
) -> dict[str, Any]:
    """Train the generator on the pairs of a round.

    model (str): The folder of the generator that wrote the texts.
    folder (Path): The folder of the round, for `generator` and the logs.
    settings (GeneratorSettings): Where TRL is installed, and its config.
    rounds (RoundSettings): The seed.
    RETURNS (Dict[str, Any]): Whether it was trained: not without pairs.
    RAISES (DuelError): `trl dpo` has failed.
    """
    pairs = folder / "pairs.jsonl"
    n_pairs = len(read_lines(pairs))
    if not n_pairs:
        return {"trained": False, "pairs": 0}
    adapter, merged = folder / "generator-adapter", folder / "generator-merged"
    for earlier in (adapter, merged):  # of a run that was killed
        shutil.rmtree(earlier, ignore_errors=True)
    config = make_dpo_config(
        read_dpo_text(settings.dpo),
        model=model,
        pairs=pairs,
        output=make_folder(adapter),
        seed=rounds.seed,
    )
    write_text(folder / "dpo.yml", to_yaml(config))
    python = settings.python or ""
    command: list[str | Path] = [
        python,
        "-m",
        "trl.cli.main",
        "dpo",
        "--config",
        folder / "dpo.yml",
    ]
    run_logged(command, folder / "dpo.log", what="trl dpo", environment=_OFFLINE)
    script = Path(__file__).with_name("merge_adapter.py")
    command = [python, script, model, adapter, make_folder(merged)]
    log = folder / "merge.log"
    run_logged(command, log, what="merging the adapter", environment=_OFFLINE)
    put_in_place(merged, folder / "generator")
    (folder / "generator").chmod(FOLDER_MODE)
    shutil.rmtree(adapter)
    return {"trained": True, "pairs": n_pairs}
