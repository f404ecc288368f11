"""Ask for many answers at once, and write each down as soon as it's there: a run that
goes on asks only for what is missing."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from ..errors import DuelError, Errors
from .answer import FAILURES, TEXT, Answer
from .chat import Chat, open_chat, quiet_clients
from .private_files import Journal
from .prompts import Messages
from .settings import Endpoint


@dataclass(frozen=True)
class Question:
    """A request to a model."""

    key: str  # what an answer is written down under
    messages: Messages = field(repr=False)  # never shown: they hold texts


Read = Callable[[Answer], Answer]  # what the step makes of an answer


class Watcher(Protocol):
    """What follows a run."""

    def begin(self, step: str, total: int, done: int) -> None:
        """step (str): What begins.
        total (int): How many answers or texts it takes.
        done (int): How many an earlier run has."""

    def advance(self, kind: str) -> None:
        """kind (str): The kind of the next answer."""

    def end(self) -> None:
        """The step has ended, or was interrupted."""


def request_seed(seed: int, key: str) -> int:
    """seed (int): That of the duel.
    key (str): That of a question.
    RETURNS (int): A seed of its own for each question, of 31 bits."""
    digest = sha256(f"{seed}/{key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def ask_all(
    questions: Sequence[Question],
    journal: Path,
    endpoint: Endpoint,
    *,
    section: str,
    seed: int,
    watcher: Watcher,
    read: Read = lambda answer: answer,
) -> list[Answer]:
    """Ask until there is an answer to each question. Questions of an interrupted run
    that were answered aren't asked again. Those that failed are.

    questions (Sequence[Question]): All questions, each with a key of its own.
    journal (Path): Where answers are written down.
    endpoint (Endpoint): The server.
    section (str): Its section in the config, for messages.
    seed (int): That of the duel.
    watcher (Watcher): What follows.
    read (Callable[[Answer], Answer]): What to make of each answer.
    RETURNS (List[Answer]): One for each question, in order.
    RAISES (DuelError): Too many requests in a row have failed. What was answered stays.
    """
    with Journal(journal) as written, quiet_clients():
        answers = _read_answers(written)
        missing = [q for q in questions if _is_missing(answers.get(q.key))]
        watcher.begin(section, len(questions), len(questions) - len(missing))
        try:
            if missing:
                run = _Run(written, answers, endpoint, seed, watcher, read)
                asyncio.run(run.ask(missing, section))
        finally:
            watcher.end()
    return [read(answers[question.key]) for question in questions]


def _is_missing(answer: Answer | None) -> bool:
    return answer is None or answer.failed


def _read_answers(journal: Journal) -> dict[str, Answer]:
    """What was answered. An answer counts more than a failure, the first one most."""
    answers: dict[str, Answer] = {}
    for record in journal.records:
        key, kind, text = (record.get(name) for name in ("key", "kind", "text"))
        if not (isinstance(key, str) and isinstance(kind, str)):
            raise DuelError(Errors.E295.format(path=journal.path))
        if _is_missing(answers.get(key)):
            answers[key] = Answer(kind, text if isinstance(text, str) else "")
    return answers


class _Run:
    """The requests of a step."""

    def __init__(
        self,
        journal: Journal,
        answers: dict[str, Answer],
        endpoint: Endpoint,
        seed: int,
        watcher: Watcher,
        read: Read,
    ) -> None:
        self.journal = journal
        self.answers = answers
        self.endpoint = endpoint
        self.seed = seed
        self.watcher = watcher
        self.read = read
        self.failed: Counter[str] = Counter()  # since the last answer

    async def ask(self, questions: Sequence[Question], section: str) -> None:
        async with open_chat(self.endpoint, section=section) as chat:
            waiting = iter(questions)
            size = min(self.endpoint.concurrency, len(questions))
            workers = [
                asyncio.create_task(self._work(chat, waiting)) for _ in range(size)
            ]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, chat: Chat, waiting: Iterator[Question]) -> None:
        for question in waiting:
            seed = request_seed(self.seed, question.key)
            answer = await chat.ask(question.messages, seed=seed)
            self._note(question, answer)

    def _note(self, question: Question, answer: Answer) -> None:
        text = {"text": answer.text} if answer.kind == TEXT else {}
        self.journal.add({"key": question.key, "kind": answer.kind, **text})
        self.answers[question.key] = answer
        self.watcher.advance(self.read(answer).kind)
        if not answer.failed:
            self.failed.clear()
            return
        self.failed[answer.kind] += 1
        if self.failed.total() >= self.endpoint.give_up_after:
            kinds = ", ".join(f"{kind} {n}" for kind, n in self.failed.most_common())
            message = Errors.E296.format(count=self.failed.total(), kinds=kinds)
            raise DuelError(message)


def count_failures(answers: Sequence[Answer]) -> dict[str, int]:
    """answers (Sequence[Answer]): Answers of a step.
    RETURNS (Dict[str, int]): How many failed, by kind."""
    counts = Counter(answer.kind for answer in answers if answer.failed)
    return {kind: counts[kind] for kind in FAILURES if counts[kind]}


def count_kinds(answers: Sequence[Answer]) -> dict[str, int]:
    """answers (Sequence[Answer]): Answers of a step.
    RETURNS (Dict[str, int]): How many there are of each kind."""
    return dict(sorted(Counter(answer.kind for answer in answers).items()))
