"""Generate: variants of each seed in each language."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..taxonomy import UNSAFE
from .answer import EMPTY, REFUSAL, TEXT, Answer
from .asking import Question, Watcher, ask_all
from .private_files import write_lines
from .prompts import Prompts, clean_answer
from .seeds import Seed
from .settings import DuelSettings, GeneratorSettings

ORIGIN = "generated, for training classifiers only"  # marks every text


@dataclass(frozen=True)
class Task:
    """A text to write."""

    seed: Seed
    language: str
    unsafe: bool  # what the text should be
    sample: int  # from 1

    @property
    def group(self) -> tuple[int, str, bool]:
        """The texts of a group answer the same prompt."""
        return self.seed.number, self.language, self.unsafe

    def key(self, round_: int) -> str:
        """round_ (int): The round, from 1.
        RETURNS (str): The name of the text."""
        label = UNSAFE if self.unsafe else "safe"
        return f"{round_}-{self.seed.number}-{self.language}-{label}-{self.sample}"


def list_tasks(seeds: Sequence[Seed], generator: GeneratorSettings) -> list[Task]:
    """seeds (Sequence[Seed]): The labelled texts.
    generator (GeneratorSettings): Languages and numbers.
    RETURNS (List[Task]): The texts to write, by seed. A variant has its seed's label;
        with `contrast`, unsafe seeds have safe variants as well."""
    return [
        Task(seed, language, unsafe, sample)
        for seed in seeds
        for language in generator.languages
        for unsafe in ((True, False) if seed.unsafe else (False,))
        if unsafe or not seed.unsafe or generator.contrast
        for sample in range(1, generator.samples + 1)
    ]


def generate(
    tasks: Sequence[Task],
    round_: int,
    folder: Path,
    settings: DuelSettings,
    prompts: Prompts,
    *,
    endpoint: GeneratorSettings,
    watcher: Watcher,
) -> list[Answer]:
    """Ask for the texts of a round and write `generated.jsonl`.

    tasks (Sequence[Task]): What to write.
    round_ (int): The round, from 1.
    folder (Path): The folder of the round.
    settings (DuelSettings): Those of the duel.
    prompts (Prompts): What to ask.
    endpoint (GeneratorSettings): Where to ask in this round.
    watcher (Watcher): What follows.
    RETURNS (List[Answer]): One for each task.
    RAISES (DuelError): As for `ask_all`.
    """
    questions = [
        Question(
            task.key(round_),
            prompts.for_generator(task.seed, task.language, unsafe=task.unsafe),
        )
        for task in tasks
    ]
    answers = ask_all(
        questions,
        folder / "generated.journal.jsonl",
        endpoint,
        section="generator",
        seed=settings.rounds.seed,
        watcher=watcher,
        read=lambda answer: _check(answer, prompts),
    )
    texts = [
        to_record(task, round_, answer.text)
        for task, answer in zip(tasks, answers, strict=True)
        if answer.kind == TEXT
    ]
    write_lines(folder / "generated.jsonl", texts)
    return answers


def _check(answer: Answer, prompts: Prompts) -> Answer:
    if answer.kind != TEXT:
        return answer
    if prompts.is_refusal(answer.text):
        return Answer(REFUSAL)
    text = clean_answer(answer.text)
    return Answer(TEXT, text) if text else Answer(EMPTY)


def to_record(task: Task, round_: int, text: str) -> dict[str, Any]:
    """task (Task): What was asked for.
    round_ (int): The round.
    text (str): The text.
    RETURNS (Dict[str, Any]): A line of `generated.jsonl`."""
    return {
        "id": task.key(round_),
        "round": round_,
        "seed": task.seed.number,
        "language": task.language,
        "unsafe": int(task.unsafe),
        "gold": dict(task.seed.cats) if task.unsafe else {UNSAFE: 0.0},
        "origin": ORIGIN,
        "text": text,
    }
