"""Judge and filter: which generated texts the guard may learn from, and why not the
others."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .answer import TEXT, Answer
from .asking import Question, Watcher, ask_all
from .near_duplicates import NearDuplicates
from .private_files import write_lines
from .prompts import Prompts
from .seeds import Seed
from .settings import DuelSettings, FilterSettings, JudgeSettings

_RATING = re.compile(r"\s*([1-5])\s*\.?\s*")

Text = dict[str, Any]  # a line of generated.jsonl


def parse_rating(answer: str) -> int | None:
    """Read a rating. Only an answer that is nothing else counts: in "1 to 5", "5 out of
    10" or a refusal that mentions a number, a digit says nothing about the text.

    answer (str): What the judge answered.
    RETURNS (Optional[int]): From 1 to 5, None if the answer is something else.
    """
    match = _RATING.fullmatch(answer)
    return int(match[1]) if match else None


def length_reason(text: Text, seed: Seed, filters: FilterSettings) -> str | None:
    """text (Text): A generated text.
    seed (Seed): What it was made from.
    filters (FilterSettings): The limits.
    RETURNS (Optional[str]): Why it's dropped."""
    ratio = len(text["text"]) / len(seed.text)
    low, high = filters.length_ratio
    if ratio < low:
        return "too short"
    return "too long" if ratio > high else None


def filter_texts(
    texts: Sequence[Text],
    seeds: Mapping[int, Seed],
    filters: FilterSettings,
    known: NearDuplicates,
) -> list[str | None]:
    """Filter by length and similarity. Of near-duplicates, the first text stays.

    texts (Sequence[Text]): The generated texts, in order.
    seeds (Mapping[int, Seed]): The seeds by number.
    filters (FilterSettings): The limits.
    known (NearDuplicates): The seeds, dev, and what earlier rounds kept. The texts that
        stay are added.
    RETURNS (List[Optional[str]]): For each text, why it's dropped.
    """
    reasons: list[str | None] = []
    for text in texts:
        reason = length_reason(text, seeds[text["seed"]], filters)
        if reason is None and (name := known.find(text["text"])):
            reason = f"near-duplicate of {name}"
        if reason is None:
            known.add(text["text"], "another text")
        reasons.append(reason)
    return reasons


def rating_reason(rating: int | None, text: Text, judge: JudgeSettings) -> str | None:
    """rating (Optional[int]): The judge's.
    text (Text): The text, with the label that was asked for.
    judge (JudgeSettings): What ratings mean.
    RETURNS (Optional[str]): Why the text is dropped."""
    if rating is None:
        return "rating can't be read"
    if judge.safe_to < rating < judge.unsafe_from:
        return "judge undecided"
    is_unsafe = rating >= judge.unsafe_from
    return None if is_unsafe == bool(text["unsafe"]) else "judge disagrees"


def judge_and_filter(
    texts: Sequence[Text],
    seeds: Mapping[int, Seed],
    folder: Path,
    settings: DuelSettings,
    prompts: Prompts,
    known: NearDuplicates,
    *,
    watcher: Watcher,
) -> tuple[list[Text], list[Answer]]:
    """Decide which texts stay and write `judged.jsonl`: all texts, with the judge's
    rating and the reason if they're dropped. The judge is only asked about texts that
    nothing else drops.

    texts (Sequence[Text]): The generated texts, in order.
    seeds, known: As for `filter_texts`.
    folder (Path): The folder of the round.
    settings (DuelSettings): Those of the duel.
    prompts (Prompts): What to ask.
    watcher (Watcher): What follows.
    RETURNS (Tuple[List[Text], List[Answer]]): All texts as written, and the judge's
        answers.
    RAISES (DuelError): As for `ask_all`.
    """
    reasons = filter_texts(texts, seeds, settings.filters, known)
    left = [text for text, reason in zip(texts, reasons, strict=True) if reason is None]
    answers: list[Answer] = []
    if settings.judge.endpoint is not None:
        questions = [
            Question(text["id"], prompts.for_judge(text["text"], text["language"]))
            for text in left
        ]
        answers = ask_all(
            questions,
            folder / "judged.journal.jsonl",
            settings.judge,
            section="judge",
            seed=settings.rounds.seed,
            watcher=watcher,
        )
    by_id = {text["id"]: answer for text, answer in zip(left, answers, strict=False)}
    judged = [
        _judge(text, reason, by_id.get(text["id"]), settings.judge)
        for text, reason in zip(texts, reasons, strict=True)
    ]
    write_lines(folder / "judged.jsonl", judged)
    return judged, answers


def _judge(
    text: Text, reason: str | None, answer: Answer | None, judge: JudgeSettings
) -> Text:
    rating = None
    if reason is None and answer is not None:
        if answer.failed:
            reason = "not judged"
        else:
            rating = parse_rating(answer.text) if answer.kind == TEXT else None
            reason = rating_reason(rating, text, judge)
    return {**text, "rating": rating, "dropped": reason}


def count_drops(judged: Sequence[Text]) -> dict[str, int]:
    """judged (Sequence[Text]): The lines of `judged.jsonl`.
    RETURNS (Dict[str, int]): How many texts were dropped, by reason."""
    counts = Counter(text["dropped"] for text in judged)
    return {reason: n for reason, n in counts.most_common() if reason is not None}
