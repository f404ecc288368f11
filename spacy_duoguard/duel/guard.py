"""Score texts with the guard, and tell where it is wrong."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.verdict import ERROR
from ..scoring.batches import make_batches
from ..scoring.pipelines import GuardOptions, load_guard
from ..scoring.record import Record
from ..scoring.scorer import RecordScorer
from ..taxonomy import UNSAFE
from .asking import Watcher
from .filtering import Text
from .private_files import write_lines
from .seeds import Seed

_LOWEST = 1e-12  # a probability, so that no loss is infinite


@dataclass(frozen=True)
class DevScores:
    """What a guard says about the dev texts."""

    gold: np.ndarray  # (n,) bool: whether a text is unsafe
    probabilities: np.ndarray  # (n,) of `unsafe`; 1.0 where not scored
    flagged: np.ndarray  # (n,) bool
    languages: tuple[str, ...]  # "" where unknown
    failed: int  # texts that were not scored


def loss_of(probability: float, *, unsafe: bool) -> float:
    """What the guard minimises and the generator is rewarded for: -log p(y | x).

    probability (float): Of `unsafe`.
    unsafe (bool): The label.
    RETURNS (float): The loss.
    """
    p = probability if unsafe else 1.0 - probability
    return -math.log(max(p, _LOWEST))


class Guard:
    """A loaded guard."""

    def __init__(self, pipeline: str | Path, device: str) -> None:
        """pipeline (str / Path): A checkpoint or a saved pipeline.
        device (str): As for `score`.
        RAISES (DuoGuardError): It can't be loaded."""
        options = GuardOptions(model=str(pipeline), device=device)
        self._scorer = RecordScorer(load_guard(options))

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories."""
        return self._scorer.labels

    def score(
        self, records: Sequence[Mapping[str, Any]], step: str, watcher: Watcher
    ) -> list[dict[str, Any]]:
        """records (Sequence[Mapping[str, Any]]): Fields with a `text`.
        step (str): What is scored, for the watcher.
        watcher (Watcher): What follows.
        RETURNS (List[Dict[str, Any]]): The results, as `score` writes them."""
        results: list[dict[str, Any]] = []
        watcher.begin(step, len(records), 0)
        try:
            numbered = (
                Record(number, dict(record), record["text"])
                for number, record in enumerate(records, 1)
            )
            for batch in make_batches(numbered):
                scored = self._scorer.score(batch)
                results += scored
                for result in scored:
                    watcher.advance(result["status"])
        finally:
            watcher.end()
        return results

    def score_dev(self, dev: Sequence[Seed], watcher: Watcher) -> DevScores:
        """dev (Sequence[Seed]): The dev texts.
        watcher (Watcher): What follows.
        RETURNS (DevScores): A text that is not scored counts as flagged."""
        results = self.score([{"text": seed.text} for seed in dev], "dev", watcher)
        return DevScores(
            gold=np.array([seed.unsafe for seed in dev], dtype=bool),
            probabilities=np.array([result["cats"][UNSAFE] for result in results]),
            flagged=np.array([bool(result["flags"]) for result in results]),
            languages=tuple(seed.language or "" for seed in dev),
            failed=sum(result["status"] == ERROR for result in results),
        )

    def score_texts(
        self, texts: Sequence[Text], step: str, watcher: Watcher
    ) -> list[dict[str, Any]]:
        """texts (Sequence[Text]): Generated texts that were kept.
        step (str), watcher (Watcher): As for `score`.
        RETURNS (List[Dict[str, Any]]): Their results, with the `loss` and whether the
            guard is `wrong`. Both are None for a text that is not scored: it teaches
            nothing."""
        results = self.score(texts, step, watcher)
        return [
            _with_loss(text, result)
            for text, result in zip(texts, results, strict=True)
        ]


def _with_loss(text: Text, result: dict[str, Any]) -> dict[str, Any]:
    loss = wrong = None
    if result["status"] != ERROR:
        unsafe = bool(text["unsafe"])
        loss = round(loss_of(result["cats"][UNSAFE], unsafe=unsafe), 6)
        wrong = bool(result["flags"]) != unsafe
    return {**result, "loss": loss, "wrong": wrong}


def write_scored(folder: Path, scored: Sequence[dict[str, Any]]) -> None:
    """folder (Path): The folder of a round.
    scored (Sequence[Dict[str, Any]]): From `score_texts`, for `scored.jsonl`."""
    write_lines(folder / "scored.jsonl", scored)


def hardest_first(scored: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """scored (Sequence[Dict[str, Any]]): From `score_texts`.
    RETURNS (List[Dict[str, Any]]): The texts that were scored, by loss, the highest
        first. Ties stay in order."""
    known = [result for result in scored if result["loss"] is not None]
    return sorted(known, key=lambda result: -result["loss"])


def write_review(folder: Path, scored: Sequence[dict[str, Any]], limit: int) -> None:
    """Write the review page over the hardest texts, for a person to check their labels.

    folder (Path): The folder of a round, for `hardest.jsonl` and `review.html`.
    scored (Sequence[Dict[str, Any]]): From `score_texts`.
    limit (int): How many texts to show.
    """
    from ..review.page import write_page

    hardest = hardest_first(scored)[:limit]
    if not hardest:
        return
    write_lines(folder / "hardest.jsonl", hardest)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_page(folder / "hardest.jsonl", folder / "review.html")
