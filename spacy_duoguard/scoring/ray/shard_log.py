"""Which shards of a folder are scored, in a file beside their results. A line is added
for each shard that is complete, so that what is lost with a run is never more than the
shards it was working on."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...engine.checkpoint.files import write_aside
from ...errors import Errors, SettingsError
from ..results import Counts
from ..run_state import digest_json
from .shard_scorer import Outcome
from .shards import Plan, Shard

LOG_NAME = ".shards.jsonl"


class ShardLog:
    """The log in a folder of results."""

    def __init__(self, folder: Path) -> None:
        """folder (Path): The folder."""
        self.path = folder / LOG_NAME

    def read(self) -> dict[int, Outcome]:
        """RETURNS (Dict[int, Outcome]): The shards that are scored, by number, without
        their slices. A line that is torn or damaged is left out: its shard counts as
        not scored."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return {}
        outcomes = filter(None, map(_read_line, lines))
        return {outcome.shard.index: outcome for outcome in outcomes}

    def replace(self, outcomes: Iterable[Outcome]) -> None:
        """outcomes (Iterable[Outcome]): The shards that are scored, instead of those of
        before."""
        with write_aside(self.path) as aside:
            aside.write_bytes(b"".join(map(_to_line, outcomes)))

    def add(self, outcome: Outcome) -> None:
        """outcome (Outcome): A shard whose file is on disk."""
        with self.path.open("ab") as handle:
            handle.write(_to_line(outcome))
            handle.flush()
            os.fsync(handle.fileno())


def check_input(known: dict[int, Outcome], plan: Plan, *, path: Path) -> None:
    """Check that the records that were scored are those of the input.

    known (Dict[int, Outcome]): What was scored.
    plan (Plan): The plan of the input, with the last of the scored records as `until`.
    path (Path): The output, for messages.
    RAISES (SettingsError): A record was changed or removed.
    """
    end = last_record(known)
    if plan.records < end:
        raise SettingsError(Errors.E132.format(path=path))
    for outcome in known.values():
        old = outcome.shard
        new = plan.shards[old.index] if old.index < len(plan.shards) else None
        digest = None
        if new is not None and new.first == old.first:
            digest = plan.prefix if old.records < new.records else new.digest
        if digest != old.digest:
            raise SettingsError(Errors.E172.format(path=path, count=end))


def last_record(known: dict[int, Outcome]) -> int:
    """known (Dict[int, Outcome]): What was scored.
    RETURNS (int): The number of the last record that was scored."""
    ends = (o.shard.first + o.shard.records - 1 for o in known.values())
    return max(ends, default=0)


def _to_line(outcome: Outcome) -> bytes:
    shard, counts = asdict(outcome.shard), outcome.counts
    del shard["slices"]
    body = {
        "shard": shard,
        "output": outcome.output,
        "counts": {**vars(counts), "categories": dict(counts.categories)},
        "failures": outcome.failures,
    }
    body = json.loads(json.dumps(body))  # with lists for tuples
    line = json.dumps({**body, "sha256": digest_json(body)}, ensure_ascii=True)
    # A line that was torn before ends here.
    return b"\n" + line.encode("ascii") + b"\n"


def _read_line(line: bytes) -> Outcome | None:
    try:
        body: dict[str, Any] = json.loads(line)
        if body.pop("sha256") != digest_json(body):
            return None
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None
    return Outcome(
        Shard(**body["shard"], slices=()),
        body["output"],
        Counts(**body["counts"]),
        tuple((name, problem) for name, problem in body["failures"]),
    )
