"""Give shards to the actors of a Ray cluster, one at a time.

An actor that dies is replaced, and its shard goes to the next one that is free. The
others go on even if there is no room for a new actor. Ray Data, which would wait for
the one that died, is not used here.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from ...errors import DuoGuardError, Errors, ScoringError
from .dataset import Actors, connect
from .shard_scorer import Outcome, ShardScorer
from .shards import Shard

_MOST_DEATHS = 3  # of actors with the same shard, or in a row while they start
_TICK = 5.0  # seconds between two looks at the cluster
_PATIENCE = 600.0  # seconds without an actor and without room for one


class ActorPool:
    """Actors that score shards."""

    def __init__(
        self,
        actors: Actors,
        arguments: dict[str, Any],
        check: Callable[[dict[str, Any]], None],
    ) -> None:
        """actors (Actors): How many, and what each requests.
        arguments (Dict[str, Any]): Those of `ShardScorer`.
        check (Callable): Called with the description of each actor before it scores.
        RAISES (SettingsError): As `connect`.
        """
        connect(actors)
        import ray

        self._ray = ray
        self._actors, self._arguments, self._check = actors, arguments, check
        self._queue: deque[Shard] = deque()
        self._busy: dict[Any, tuple[Any, Shard | None]] = {}  # None: it is starting
        self._deaths: Counter[int | None] = Counter()
        self._is_checked = False
        self._limit: float = float("inf")
        self._since = monotonic()

    def score(self, shards: Sequence[Shard], folder: Path) -> Iterator[Outcome]:
        """Score shards. At least one actor is started and checked, even without any.

        shards (Sequence[Shard]): The shards, in order.
        folder (Path): Where their files go.
        YIELDS (Outcome): What became of each shard, in any order. After one that was
            not written, only those before it are scored to their end.
        RAISES (ScoringError): An actor failed for a reason of its own, or actors died
            again and again.
        """
        self._queue.extend(shards)
        try:
            for _ in range(max(1, min(self._actors.count, len(shards)))):
                self._start()
            while self._is_needed():
                outcome = self._next(folder)
                if outcome is None:
                    continue
                if not outcome.is_written:
                    self._limit = min(self._limit, outcome.shard.index)
                    rest = [s for s in self._queue if s.index < self._limit]
                    self._queue = deque(rest)
                yield outcome
        finally:
            for actor, _ in self._busy.values():
                self._ray.kill(actor, no_restart=True)
            self._busy.clear()

    def _is_needed(self) -> bool:
        waited_for = (s for _, s in self._busy.values() if s is not None)
        is_waiting = any(shard.index < self._limit for shard in waited_for)
        return bool(self._queue) or is_waiting or not self._is_checked

    def _start(self) -> None:
        cls: Any = self._ray.remote(ShardScorer)
        actor = cls.options(
            num_cpus=self._actors.cpus,
            num_gpus=self._actors.gpus,
            max_restarts=0,
            scheduling_strategy="SPREAD",
        ).remote(**self._arguments)
        self._busy[actor.describe.remote()] = (actor, None)

    def _next(self, folder: Path) -> Outcome | None:
        """Wait for an actor, and give it something to do.

        RETURNS (Optional[Outcome]): What it has finished."""
        exceptions = self._ray.exceptions
        ready, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=_TICK)
        if not ready:
            self._check_room()
            return None
        self._since = monotonic()
        actor, shard = self._busy.pop(ready[0])
        outcome = None
        try:
            value = self._ray.get(ready[0])
        except (
            exceptions.RayActorError,
            exceptions.WorkerCrashedError,
            exceptions.OutOfMemoryError,
            exceptions.NodeDiedError,
            exceptions.ObjectLostError,
        ) as e:
            if getattr(e, "actor_init_failed", False):
                raise explain(e) from e
            self._bury(actor, shard)
            return None
        except exceptions.RayError as e:
            raise explain(e) from e
        self._deaths[shard.index if shard else None] = 0
        if shard is None:
            self._check(value)
            self._is_checked = True
        else:
            outcome = value
        self._give(actor, folder)
        return outcome

    def _give(self, actor: Any, folder: Path) -> None:
        if self._queue:
            shard = self._queue.popleft()
            self._busy[actor.score.remote(shard, folder)] = (actor, shard)
        else:
            self._ray.kill(actor, no_restart=True)

    def _bury(self, actor: Any, shard: Shard | None) -> None:
        """Replace an actor that died, or can't be reached."""
        self._ray.kill(actor, no_restart=True)
        key = shard.index if shard else None
        self._deaths[key] += 1
        most = _MOST_DEATHS if shard else _MOST_DEATHS * self._actors.count
        if self._deaths[key] >= most:
            first, last = (shard.first, shard.records) if shard else (1, 0)
            message = Errors.E188.format(
                count=self._deaths[key], first=first, last=first + last - 1
            )
            raise ScoringError(message)
        if shard is not None and shard.index < self._limit:
            self._queue.appendleft(shard)
        if self._queue or not self._is_checked:
            self._start()

    def _check_room(self) -> None:
        """Give up if nobody works and the cluster has no room for anybody.

        RAISES (ScoringError): So it has been for long."""
        there = self._ray.cluster_resources()
        is_working = any(shard is not None for _, shard in self._busy.values())
        has_room = (
            there.get("CPU", 0) >= self._actors.cpus
            and there.get("GPU", 0) >= self._actors.gpus
        )
        if is_working or has_room:
            self._since = monotonic()
        elif monotonic() - self._since > _PATIENCE:
            minutes = round(_PATIENCE / 60)
            raise ScoringError(Errors.E190.format(minutes=minutes))


def explain(error: Exception) -> DuoGuardError:
    """Find our own error at the end of Ray's report, if there is one.

    error (Exception): Ray's error.
    RETURNS (DuoGuardError): The error to raise."""
    cause: BaseException | None = error
    while cause is not None:
        # Ray's error for a task is also an instance of the class of its cause.
        inner = getattr(cause, "cause", None) or cause.__cause__
        if isinstance(cause, DuoGuardError) and inner is None:
            return ScoringError(str(cause))
        cause = inner
    # An actor that failed to start leaves only a traceback.
    coded = re.findall(r"spacy_duoguard\.errors\.\w+: (\[E\d+\] .*)", str(error))
    if coded:
        return ScoringError(coded[-1])
    # Only our own messages are known never to quote a text.
    return ScoringError(Errors.E161.format(kind=type(error).__name__))
