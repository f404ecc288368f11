"""Folders with the results of shards: what they hold, and what of it is intact."""

import os
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...engine.checkpoint.manifest import digest_file
from ...errors import CheckpointError, Errors, SettingsError
from ..run_state import LOCK_NAME, STATE_NAME, Output, read_state
from .shard_log import LOG_NAME
from .shard_scorer import Outcome, file_name
from .shards import Plan, Shard

Outcomes = Mapping[int, Outcome]

SUFFIXES = (".jsonl", ".parquet")  # of inputs and results
_HIDDEN = (STATE_NAME, LOCK_NAME, LOG_NAME)


def holds_parts(folder: Path) -> bool:
    """folder (Path): A folder.
    RETURNS (bool): Whether it holds only results, which a run may replace."""
    return folder.is_dir() and all(
        path.is_file() and (path.suffix in SUFFIXES or path.name in _HIDDEN)
        for path in folder.iterdir()
    )


def read_known(folder: Path) -> dict[str, Any]:
    """folder (Path): A folder of results.
    RETURNS (Dict[str, Any]): What its state says, nothing if it can't be read."""
    try:
        return read_state(Output(folder, is_folder=True))[1]
    except SettingsError:
        return {}


def digest_state(folder: Path) -> str | None:
    """folder (Path): A folder of results.
    RETURNS (Optional[str]): SHA-256 of its state, None if it has none."""
    try:
        return sha256((folder / STATE_NAME).read_bytes()).hexdigest()
    except OSError:
        return None


def keep_intact(
    known: Outcomes, plan: Plan, folder: Path, form: str
) -> dict[int, Outcome]:
    """Find the shards that need not be scored again.

    known (Mapping[int, Outcome]): What was scored, of this input.
    plan (Plan): The plan of the input.
    folder (Path): Where the results are.
    form (str): Their format, "jsonl" or "parquet".
    RETURNS (Dict[int, Outcome]): Those that have not grown, and whose files are neither
        missing, torn nor changed.
    """
    return {
        shard.index: known[shard.index]
        for shard in plan.shards
        if shard.index in known
        and known[shard.index].shard.digest == shard.digest
        and _digest(folder, shard, form) == known[shard.index].output
    }


def digest_outputs(outcomes: Outcomes, folder: Path, form: str, *, path: Path) -> str:
    """Check all results before they are put in place.

    outcomes (Mapping[int, Outcome]): The shards.
    folder (Path): Where the results are.
    form (str): Their format.
    path (Path): The output, for messages.
    RETURNS (str): A SHA-256 of the digests of all files, in order.
    RAISES (SettingsError): A file is not as an actor has written it.
    """
    digest = sha256()
    for index in sorted(outcomes):
        outcome = outcomes[index]
        if _digest(folder, outcome.shard, form) != outcome.output:
            raise SettingsError(Errors.E191.format(path=path))
        digest.update(outcome.output.encode())
    return digest.hexdigest()


def link_files(outcomes: Outcomes, source: Path, target: Path, form: str) -> None:
    """outcomes (Mapping[int, Outcome]): The shards to take over.
    source (Path), target (Path): The folders with their results.
    form (str): Their format."""
    for outcome in outcomes.values():
        name = file_name(outcome.shard, form)
        (target / name).unlink(missing_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:  # a file system without links
            shutil.copy2(source / name, target / name)


def remove_others(outcomes: Outcomes, folder: Path, form: str) -> None:
    """Remove what killed actors have left.

    outcomes (Mapping[int, Outcome]): The shards.
    folder (Path): Where the results are.
    form (str): Their format.
    """
    names = {file_name(outcome.shard, form) for outcome in outcomes.values()}
    for path in folder.iterdir():
        if path.name not in names.union(_HIDDEN):
            path.unlink()


def _digest(folder: Path, shard: Shard, form: str) -> str | None:
    try:
        return str(digest_file(folder / file_name(shard, form))["sha256"])
    except (OSError, CheckpointError):
        return None
