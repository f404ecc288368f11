"""Measure scorers on texts that they weren't trained on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

from demo.data import HELD_OUT, LANGUAGES, OPENAI, RTP_LX, TOXIC_CHAT, read_rows
from demo.teacher import UNSAFE_COLUMN
from spacy_duoguard.taxonomy import CATEGORIES

THRESHOLD = 0.5

# Maps texts to probabilities of the categories, optionally followed by `unsafe`.
Scorer = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Figure:
    """The results on one file in one language, or for one category."""

    name: str  # the file or the category
    language: str  # "" for the mean over the languages
    texts: int
    positives: int
    auroc: dict[str, float]  # by scorer
    f1: dict[str, float]  # at the threshold; empty for categories


def measure_unsafe(folder: Path, scorers: Mapping[str, Scorer]) -> list[Figure]:
    """folder (Path): The folder with the evaluation files.
    scorers (Mapping[str, Scorer]): The scorers to compare.
    RETURNS (List[Figure]): The figures by file, then by language."""
    figures = []
    for file in (OPENAI, RTP_LX, TOXIC_CHAT):
        rows = read_rows(folder, file)
        for language in LANGUAGES:
            chosen = [
                row
                for row in rows
                if row.language == language
                and (row.part == HELD_OUT or file == TOXIC_CHAT)
            ]
            gold = np.array([row.unsafe for row in chosen])
            texts = [row.text for row in chosen]
            scores = {name: _unsafe(score(texts)) for name, score in scorers.items()}
            figures.append(
                Figure(
                    file,
                    language,
                    len(chosen),
                    int(gold.sum()),
                    {name: _auroc(gold, values) for name, values in scores.items()},
                    {
                        name: float(f1_score(gold, values > THRESHOLD))
                        for name, values in scores.items()
                    },
                )
            )
    return figures


def measure_categories(folder: Path, scorers: Mapping[str, Scorer]) -> list[Figure]:
    """folder (Path): The folder with the evaluation files.
    scorers (Mapping[str, Scorer]): The scorers to compare.
    RETURNS (List[Figure]): The figures of each category with positives, on the held-out
        texts with gold labels for all categories, as means over the languages."""
    rows = [row for row in read_rows(folder, OPENAI) if row.part == HELD_OUT]
    gold = np.array([row.gold for row in rows])
    language = np.array([row.language for row in rows])
    texts = [row.text for row in rows]
    scores = {name: score(texts) for name, score in scorers.items()}
    parts = [language == name for name in LANGUAGES]
    return [
        Figure(
            CATEGORIES[column],
            "",
            len(rows),
            int(gold[:, column].sum()),
            {
                name: float(
                    np.mean([_auroc(gold[p, column], values[p, column]) for p in parts])
                )
                for name, values in scores.items()
            },
            {},
        )
        for column in np.flatnonzero(gold.any(axis=0))
    ]


def measure_top_category(folder: Path, score: Scorer) -> float:
    """folder (Path): The folder with the evaluation files.
    score (Scorer): The scorer to measure.
    RETURNS (float): The share of held-out texts with categories where one of these has
        the highest score."""
    rows = [
        row
        for row in read_rows(folder, OPENAI)
        if row.part == HELD_OUT and row.gold.any()
    ]
    top = score([row.text for row in rows])[:, :UNSAFE_COLUMN].argmax(axis=1)
    return float(np.mean([row.gold[i] for row, i in zip(rows, top, strict=True)]))


def _unsafe(scores: np.ndarray) -> np.ndarray:
    """The column of `unsafe`, or the maximum of the categories."""
    has_unsafe = scores.shape[1] > UNSAFE_COLUMN
    return scores[:, UNSAFE_COLUMN] if has_unsafe else scores.max(axis=1)


def _auroc(gold: np.ndarray, scores: np.ndarray) -> float:
    return float(roc_auc_score(gold, scores))
