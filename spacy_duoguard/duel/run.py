"""Run a duel from its config to its report."""

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine.checkpoint.atomic_folder import replace_folder
from ..errors import Errors, SettingsError, Warnings
from .asking import Watcher
from .chat import read_key
from .endpoint_url import host_of, is_local
from .guard import Guard
from .guard_training import checkpoint_of, read_train_config
from .near_duplicates import NearDuplicates
from .prompts import read_prompts
from .report import make_report, write_report
from .rounds import Duel, play
from .seeds import Seed, check_labels, read_seeds
from .settings import DuelSettings, read_settings
from .state import check_folder, open_folder


def run_duel(
    config: Path,
    folder: Path,
    watcher: Watcher,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Play a duel, or continue an interrupted one.

    config (Path): Its config.
    folder (Path): Where everything is written.
    watcher (Watcher): What follows.
    overrides (Optional[Mapping[str, Any]]): As for `read_settings`.
    RETURNS (Dict[str, Any]): The report.
    RAISES (SettingsError): A setting or an input can't be used. Nothing was asked.
    RAISES (DuelError): Nothing can go on. The same command continues.
    """
    settings = read_settings(config, overrides)
    prompts = read_prompts(settings.generator.prompts)
    read_train_config(settings.guard.train)
    checkpoint_of(settings.guard.pipeline)
    seeds, dev = (
        read_seeds(Path(path)) for path in (settings.seeds.train, settings.seeds.dev)
    )
    known, apart, left_out = _set_apart(seeds, dev, settings)
    _check_servers(settings)
    check_folder(folder, config, settings)
    first = settings.guard.pipeline
    guard = Guard(first, settings.guard.device)
    # Before the folder knows the digests of files that still have to be corrected.
    check_labels(Path(settings.seeds.train), seeds, guard.labels, first)
    check_labels(Path(settings.seeds.dev), dev, guard.labels, first)
    with open_folder(folder, settings):
        scores = guard.score_dev(dev, watcher)
        del guard  # each round loads its own
        duel = Duel(
            *(folder, settings, apart, dev, prompts, known, watcher),
            guards=[first],
            scores=[scores],
        )
        end = play(duel)
        report = make_report(duel, end, left_out=left_out)
        _keep(folder, report["kept"]["guard"])
        write_report(folder, report)
    _warn_of_false_positives(report)
    return report


def _set_apart(
    seeds: list[Seed], dev: list[Seed], settings: DuelSettings
) -> tuple[NearDuplicates, list[Seed], int]:
    """Leave out seeds that are near-duplicates of dev texts."""
    known = NearDuplicates(settings.filters.near_duplicates)
    known.extend((seed.text for seed in dev), "a dev text")
    apart = [seed for seed in seeds if known.find(seed.text) is None]
    if {seed.unsafe for seed in apart} != {True, False}:
        problem = "without near-duplicates of dev texts, it needs safe and unsafe texts"
        path = settings.seeds.train
        raise SettingsError(Errors.E289.format(path=path, problem=problem))
    left_out = len(seeds) - len(apart)
    if left_out:
        warnings.warn(Warnings.W029.format(count=left_out), stacklevel=2)
    known.extend((seed.text for seed in apart), "a seed")
    return known, apart, left_out


def _check_servers(settings: DuelSettings) -> None:
    """Check what can be checked without asking, and say where texts go."""
    players = {"generator": settings.generator, "judge": settings.judge}
    hosts = []
    for section, player in players.items():
        if player.endpoint is not None:
            read_key(player, section=section)
            if not is_local(player.endpoint):
                hosts.append(host_of(player.endpoint))
    if hosts:
        names = " and ".join(dict.fromkeys(hosts))
        warnings.warn(Warnings.W028.format(hosts=names), stacklevel=2)


def _warn_of_false_positives(report: Mapping[str, Any]) -> None:
    """Say if the guard that is kept flags more safe texts, beyond the noise of dev."""
    if report["kept"]["guard"] is None:
        return
    measured = report["rounds"][report["kept"]["round"] - 1]["measured"]
    if measured["change since the start"]["fpr"]["low"] > 0.0:
        before, after = report["first guard"]["fpr"], measured["dev"]["after"]["fpr"]
        warnings.warn(Warnings.W030.format(before=before, after=after), stacklevel=3)


def _keep(folder: Path, guard: str | None) -> None:
    """Copy the guard to keep to where users look for it."""
    if guard is None:
        return
    with replace_folder(folder.resolve() / "guard") as aside:
        shutil.copytree(folder / guard, aside, dirs_exist_ok=True)
