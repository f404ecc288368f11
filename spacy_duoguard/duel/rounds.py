"""Play the rounds of a duel."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .asking import Watcher, count_failures, count_kinds
from .filtering import Text, count_drops, judge_and_filter
from .generation import generate, list_tasks
from .generator_server import serving
from .generator_training import train_generator
from .guard import DevScores, Guard, write_review, write_scored
from .guard_training import train_guard
from .measuring import compare, falls, figures_of, wrong_rates
from .near_duplicates import NearDuplicates
from .pairs import make_pairs, write_pairs
from .private_files import read_lines
from .prompts import Prompts
from .seeds import Seed
from .settings import DuelSettings, GeneratorSettings
from .state import RoundState


@dataclass
class Duel:
    """A duel under way."""

    folder: Path
    settings: DuelSettings
    seeds: Sequence[Seed]
    dev: Sequence[Seed]
    prompts: Prompts
    known: NearDuplicates  # what a generated text must not resemble
    watcher: Watcher
    guards: list[str | Path]  # the first one, then that of each round
    scores: list[DevScores]  # of each of them on dev
    generator: str | None = None  # the folder of the trained generator
    hard: list[dict[str, Any]] = field(default_factory=list)  # of all rounds
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def by_number(self) -> dict[int, Seed]:
        """The seeds by number."""
        return {seed.number: seed for seed in self.seeds}


def play(duel: Duel) -> str:
    """Play all rounds, or as many as there is a reason to.

    duel (Duel): The duel, whose `rounds`, `guards` and `scores` grow.
    RETURNS (str): Why it ended.
    RAISES (DuelError): Nothing can go on. The same command continues.
    """
    n = duel.settings.rounds.n
    for number in range(1, n + 1):
        state = RoundState(duel.folder, number)
        duel.rounds.append(state.steps)
        texts = _write_texts(duel, state)
        scored = _score(duel, state, texts) if texts else []
        if not any(result["wrong"] is not None for result in scored):
            return f"no texts were left in round {number}"
        duel.hard += [result for result in scored if result["wrong"]]
        _train(duel, state, any(result["wrong"] for result in scored))
        if fallen := _measure(duel, state, scored):
            return f"round {number} lowered {' and '.join(fallen)} on dev"
        if number < n:
            _train_generator(duel, state)
    return "all rounds were played"


def _endpoint(duel: Duel) -> GeneratorSettings:
    """Where to ask in this round: a trained generator takes the first one's place."""
    generator = duel.settings.generator
    model = duel.generator or generator.model or generator.path
    return replace(generator, model=model)


def _write_texts(duel: Duel, state: RoundState) -> list[Text]:
    """Generate, judge and filter. RETURNS (List[Text]): The texts that stay."""
    settings, folder = duel.settings, state.folder
    if "generated" not in state.steps:
        tasks = list_tasks(duel.seeds, settings.generator)
        with serving(_endpoint(duel), folder) as endpoint:
            answers = generate(
                *(tasks, state.number, folder, settings, duel.prompts),
                endpoint=endpoint,
                watcher=duel.watcher,
            )
        counts = {"asked": len(tasks), "answers": count_kinds(answers)}
        failed = {"failed": count_failures(answers)}
        state.finish("generated", {**counts, **failed})
    if "judged" not in state.steps:
        generated = read_lines(folder / "generated.jsonl")
        judged, answers = judge_and_filter(
            *(generated, duel.by_number, folder, settings, duel.prompts, duel.known),
            watcher=duel.watcher,
        )
        drops = count_drops(judged)
        kept = len(judged) - sum(drops.values())
        counts = {"kept": kept, "dropped": drops, "answers": count_kinds(answers)}
        state.finish("judged", {**counts, "failed": count_failures(answers)})
    else:
        judged = read_lines(folder / "judged.jsonl")
        kept_texts = [text["text"] for text in judged if text["dropped"] is None]
        duel.known.extend(kept_texts, "another text")
    return [text for text in judged if text["dropped"] is None]


def _score(
    duel: Duel, state: RoundState, texts: Sequence[Text]
) -> list[dict[str, Any]]:
    """Score the texts with the guard that plays, and with the first one."""
    if "scored" in state.steps:
        return read_lines(state.folder / "scored.jsonl")
    device = duel.settings.guard.device
    current, first = duel.guards[-1], duel.guards[0]
    scored = Guard(current, device).score_texts(texts, "score", duel.watcher)
    at_first = scored
    if current != first:
        guard = Guard(first, device)
        at_first = guard.score_texts(texts, "score (first guard)", duel.watcher)
    pairs = make_pairs(scored, duel.by_number, duel.prompts)
    write_scored(state.folder, scored)
    write_pairs(state.folder, pairs)
    write_review(state.folder, scored, duel.settings.rounds.review)
    rates = {"first guard": wrong_rates(at_first), "before": wrong_rates(scored)}
    failed = sum(result["wrong"] is None for result in scored)
    state.finish("scored", {"wrong": rates, "pairs": len(pairs), "not scored": failed})
    return scored


def _train(duel: Duel, state: RoundState, has_hard: bool) -> None:
    """Train the guard on the hard texts of all rounds so far, unless this one has
    none."""
    current = duel.guards[-1]
    if "trained" not in state.steps:
        trained = None
        if has_hard:
            duel.watcher.begin("train the guard", 1, 0)
            try:
                trained = train_guard(
                    *(current, duel.hard, duel.seeds, duel.dev, state.folder),
                    duel.settings.guard,
                    seed=duel.settings.rounds.seed + state.number,
                )
                duel.watcher.advance("trained")
            finally:
                duel.watcher.end()
        name = None if trained is None else trained.relative_to(duel.folder).as_posix()
        state.finish("trained", {"guard": name, "hard texts": len(duel.hard)})
    name = state.steps["trained"]["guard"]
    duel.guards.append(current if name is None else duel.folder / name)


def _measure(
    duel: Duel, state: RoundState, scored: Sequence[dict[str, Any]]
) -> list[str]:
    """Measure the trained guard. RETURNS (List[str]): The figures on dev that fell
    beyond their noise, since the last round or since the start."""
    guard = Guard(duel.guards[-1], duel.settings.guard.device)
    after = guard.score_dev(duel.dev, duel.watcher)
    first, before = duel.scores[0], duel.scores[-1]
    duel.scores.append(after)
    rounds = duel.settings.rounds
    draws = {"samples": rounds.bootstrap, "seed": rounds.seed}
    changes = compare(before, after, **draws)
    since_start = compare(first, after, **draws)
    fallen = falls(changes) or falls(since_start)
    if "measured" not in state.steps:
        texts = [_without_result(result) for result in scored]
        results = guard.score_texts(texts, "score again", duel.watcher)
        state.finish(
            "measured",
            {
                "wrong after": wrong_rates(results),
                "dev": {"before": figures_of(before), "after": figures_of(after)},
                "change": {name: c.as_dict() for name, c in changes.items()},
                "change since the start": {
                    name: c.as_dict() for name, c in since_start.items()
                },
                "fell": fallen,
            },
        )
    return fallen


def _without_result(result: dict[str, Any]) -> Text:
    """The text behind a result."""
    names = ("id", "round", "seed", "language", "unsafe", "gold", "origin", "text")
    return {name: result[name] for name in names}


def _train_generator(duel: Duel, state: RoundState) -> None:
    if not duel.settings.rounds.train_generator:
        return
    if "generator" not in state.steps:
        duel.watcher.begin("train the generator", 1, 0)
        try:
            model = _endpoint(duel).model or ""
            result = train_generator(
                model, state.folder, duel.settings.generator, duel.settings.rounds
            )
            duel.watcher.advance("trained")
        finally:
            duel.watcher.end()
        state.finish("generator", result)
    if state.steps["generator"]["trained"]:
        duel.generator = str((state.folder / "generator").resolve())
