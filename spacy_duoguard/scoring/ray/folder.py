"""Score a folder of files into a folder of results, on a Ray cluster.

Results are written aside, and put in place when they are complete. A run that was
interrupted leaves them there for the next one to continue.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...engine.checkpoint.atomic_folder import put_in_place, restore_folder
from ...errors import Errors, ScoringError, SettingsError
from ..file_names import suffix_of
from ..locks import locked
from ..parquet_schema import unify_schemas
from ..pipelines import GuardOptions
from ..record import Source, list_files
from ..results import Counts
from ..run_state import (
    STATE_NAME,
    Mark,
    Output,
    compare,
    read_state,
    save_state,
)
from .dataset import Actors, resolve
from .pool import ActorPool
from .shard_log import ShardLog, check_input, last_record
from .shard_results import (
    SUFFIXES,
    digest_outputs,
    digest_state,
    holds_parts,
    keep_intact,
    link_files,
    read_known,
    remove_others,
)
from .shard_scorer import Outcome
from .shards import Plan, Shard, make_plan, shard_bytes

# In the state of a run, beside what its results depend on.
_BYTES = "bytes in a part"
_CONTINUES = "continues"  # SHA-256 of the state of the results in OUT

Report = Callable[[str, str], None]  # the name of a failed record, and its problem


@dataclass
class FolderRun:
    """Scores a folder of JSON lines or Parquet files into a folder of parts, which
    appears once it is complete. All nodes must see both folders under the same path."""

    source: Path
    output: Path
    options: "GuardOptions | Mapping[str, Any] | None" = None
    text_key: str = "text"
    actors: Actors = field(default_factory=Actors)
    overwrite: bool = False
    resume: bool = False  # with `overwrite`: a run that replaces older results
    strict: bool = False  # stop at the first record that cannot be scored

    def run(self) -> Counts:
        """RETURNS (Counts): How many records were scored.
        RAISES: As `score`."""
        counts = Counts()
        for counts in self.score():  # noqa: B007
            pass
        return counts

    def score(self, *, report: Report = lambda name, problem: None) -> Iterator[Counts]:
        """Score the folder.

        report (Callable): Called for the first records of each shard that cannot be
            scored.
        YIELDS (Counts): The counts at the start and after each shard.
        RAISES (SettingsError): As in `check`, or the results of an earlier run cannot
            be continued.
        RAISES (ScoringError): Ray failed, or with `strict`, a record cannot be scored.
            `output` is unchanged, and what is complete can be resumed.
        """
        self._check_unlocked()
        with locked(self._locked):
            files = self._check()
            yield from _Work(self, files, report).score()

    def check(self) -> list[Path]:
        """RETURNS (List[Path]): The files to read, by name.
        RAISES (SettingsError): A folder cannot be read or written, or another run
            writes to it."""
        self._check_unlocked()
        with locked(self._locked):
            return self._check()

    @property
    def aside(self) -> Path:
        """Where results are until they are complete."""
        output = self.output.resolve()
        return output.with_name(f".{output.name}.duoguard-run")

    @property
    def _locked(self) -> Output:
        return Output(self.output, is_folder=True, is_replaced=True)

    def _check_unlocked(self) -> None:
        """Leave no lock in a folder that is none of ours."""
        self._check_source()
        self.check_output()

    def _check(self) -> list[Path]:
        files = self._check_source()
        restore_folder(self.output.resolve())
        if not (self.aside / STATE_NAME).is_file() and self.aside.exists():
            shutil.rmtree(self.aside)  # nothing was scored yet
        self.check_output()
        if self.aside.exists() and not (self.resume or self.overwrite):
            raise SettingsError(Errors.E189.format(path=self.output))
        return files

    def _check_source(self) -> list[Path]:
        source, output = self.source.resolve(), self.output.resolve()
        files = list_files(source, *SUFFIXES)
        if len({suffix_of(path) for path in files}) != 1:
            raise SettingsError(Errors.E159.format(path=self.source))
        if output == source or output in source.parents:
            raise SettingsError(Errors.E162.format(path=self.output))
        return files

    def check_output(self) -> None:
        """Check that nothing else than results is lost if the output is replaced.

        RAISES (SettingsError): It holds something else, or may not be replaced."""
        output = Output(self.output, is_folder=True)
        if not (output.exists or self.output.is_symlink()):
            return
        if self.aside.exists():
            known = read_known(self.aside)
            is_continued = known.get(_CONTINUES, "") == digest_state(self.output)
        else:
            is_continued = self.resume
        if not ((self.overwrite or is_continued) and holds_parts(self.output)):
            raise SettingsError(Errors.E160.format(path=self.output))


class _Work:
    """A run while it has the lock on its output."""

    def __init__(self, run: FolderRun, files: list[Path], report: Report) -> None:
        self.run, self.report = run, report
        self.aside = run.aside
        if run.overwrite and not run.resume and self.aside.exists():
            shutil.rmtree(self.aside)
        form, name = suffix_of(files[0])[1:], str(run.source.resolve())
        self.source = Source(name, form, run.text_key)
        self.schema = None
        if form == "parquet":
            self.schema = unify_schemas(files, required=run.text_key)
        # What is continued: an interrupted run, or complete results.
        output = run.output.resolve()
        bases = [self.aside, output] if run.resume else []
        exists = (base for base in bases if Output(base, is_folder=True).exists)
        self.base: Path | None = next(exists, None)
        self.earlier: dict[str, Any] | None = None
        self.more: dict[str, Any] = {}  # for the state
        self.outcomes: dict[int, Outcome] = {}
        self.limit = shard_bytes(files, run.actors.count)
        if self.base is not None:
            self._read_base(self.base)
        until = last_record(self.outcomes) if self.base is not None else None
        self.plan: Plan = make_plan(files, self.limit, until=until)
        if self.base is not None:
            check_input(self.outcomes, self.plan, path=run.output)
            self.outcomes = keep_intact(
                self.outcomes, self.plan, self.base, self.source.form
            )
        self.known: dict[str, Any] | None = None

    def _read_base(self, base: Path) -> None:
        _, self.earlier = read_state(Output(base, is_folder=True))
        continued = self.earlier.pop(_CONTINUES, None)
        if base != self.aside:
            continued = digest_state(base)
        self.more = {_CONTINUES: continued} if continued else {}
        self.limit = self.earlier.get(_BYTES, self.limit)
        self.outcomes = ShardLog(base).read()

    def score(self) -> Iterator[Counts]:
        """Score what is not scored yet, and put it in place."""
        run = self.run
        counts = Counts()
        for outcome in self.outcomes.values():
            counts = _add(counts, outcome)
        yield counts
        pool = ActorPool(run.actors, self._arguments(), self._check_actor)
        for outcome in pool.score(self._waiting(), self.aside):
            # One failure is enough for `strict`, and they can be many.
            kept = replace(outcome, failures=outcome.failures[:1])
            self.outcomes[outcome.shard.index] = kept
            if not outcome.is_written:
                continue
            ShardLog(self.aside).add(kept)
            counts = _add(counts, outcome)
            for name, problem in outcome.failures:
                self.report(name, problem)
            yield counts
        if not self.aside.exists():  # the results were complete already
            return
        if run.strict:
            self._stop_at_a_failure()
        self._finish()

    def _waiting(self) -> list[Shard]:
        """RETURNS (List[Shard]): What is not scored yet; with `strict`, up to a record
        that an earlier run could not score."""
        waiting = [s for s in self.plan.shards if s.index not in self.outcomes]
        failed = [i for i, outcome in self.outcomes.items() if outcome.failures]
        if self.run.strict and failed:
            return [shard for shard in waiting if shard.index < min(failed)]
        return waiting

    def _arguments(self) -> dict[str, Any]:
        return {
            "options": resolve(self.run.options, self.run.actors),
            "source": self.source,
            "threads": self.run.actors.cpus,
            "schema": self.schema,
            "strict": self.run.strict,
        }

    def _check_actor(self, description: dict[str, Any]) -> None:
        """Compare what an actor's results depend on with the earlier run and with the
        other actors. Nothing is written before the first one."""
        mine = {**description, "--ray": True, _BYTES: self.limit}
        if self.known is not None:
            names = [name for name in mine if mine[name] != self.known.get(name)]
            if names:
                raise ScoringError(Errors.E187.format(names=", ".join(names)))
            return
        if self.earlier is not None:
            compare(self.earlier, mine, path=self.run.output)
        self.known = mine
        is_complete = len(self.outcomes) == len(self.plan.shards)
        if self.base != self.aside and self.base is not None and is_complete:
            return  # nothing is left to do
        self._begin(mine)

    def _begin(self, known: dict[str, Any]) -> None:
        self.aside.mkdir(parents=True, exist_ok=True)
        if self.base is not None and self.base != self.aside:
            link_files(self.outcomes, self.base, self.aside, self.source.form)
        ShardLog(self.aside).replace(self.outcomes.values())
        state = Output(self.aside, is_folder=True)
        save_state(state, Mark(), {**known, **self.more}, finished=False)

    def _stop_at_a_failure(self) -> None:
        """RAISES (ScoringError): There is a record that could not be scored."""
        for index in sorted(self.outcomes):
            for name, problem in self.outcomes[index].failures[:1]:
                message = Errors.E137.format(record=name, problem=problem)
                raise ScoringError(message)

    def _finish(self) -> None:
        run, form = self.run, self.source.form
        outputs = digest_outputs(self.outcomes, self.aside, form, path=run.output)
        inputs = sha256("".join(s.digest for s in self.plan.shards).encode())
        mark = Mark(self.plan.records, inputs.hexdigest(), outputs)
        ordered = [self.outcomes[i] for i in sorted(self.outcomes)]
        ShardLog(self.aside).replace(ordered)
        state = Output(self.aside, is_folder=True)
        known = {**(self.known or {}), **self.more}
        save_state(state, mark, known, finished=True)
        remove_others(self.outcomes, self.aside, form)
        run.check_output()  # hours may have passed since the first check
        put_in_place(self.aside, run.output.resolve())


def _add(counts: Counts, outcome: Outcome) -> Counts:
    new = outcome.counts
    return Counts(
        counts.done + new.done,
        counts.flagged + new.flagged,
        counts.failed + new.failed,
        counts.truncated + new.truncated,
        Counter(counts.categories) + Counter(new.categories),
        counts.reviewed + new.reviewed,
        counts.failed_before or new.failed_before,
        counts.flagged_in_part + new.flagged_in_part,
        counts.reviewed_in_part + new.reviewed_in_part,
    )
