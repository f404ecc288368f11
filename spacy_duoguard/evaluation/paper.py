"""The results of the paper (arXiv 2502.05163): F1 in per cent, averaged over six files
at a threshold of 0.5, and milliseconds per input on the authors' GPU."""

from typing import NamedTuple

PAPER_MODEL = "DuoGuard/DuoGuard-0.5B"


class PaperRow(NamedTuple):
    model: str
    f1: dict[str, float]  # by language
    ms: float


PAPER: tuple[PaperRow, ...] = (
    PaperRow("DuoGuard-0.5B", {"En": 74.9, "Fr": 72.7, "Es": 73.9, "De": 71.9}, 16.0),
    PaperRow("LlamaGuard3-8B", {"En": 63.4, "Fr": 61.9, "Es": 61.5, "De": 61.3}, 72.1),
    PaperRow("LlamaGuard2-8B", {"En": 59.7, "Fr": 56.6, "Es": 56.5, "De": 55.4}, 52.3),
    PaperRow("LlamaGuard3-1B", {"En": 45.2, "Fr": 44.6, "Es": 45.0, "De": 44.7}, 45.6),
    PaperRow("ShieldGemma-2B", {"En": 43.1, "Fr": 37.4, "Es": 37.0, "De": 36.8}, 61.8),
)
