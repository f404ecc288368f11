"""Texts → probabilities: tokenise, cut into windows, pack, run, aggregate."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import Errors, SettingsError
from .checkpoint.bundle import Bundle, load_bundle, write_bundle
from .network.decoder import Decoder
from .prefix_scores import (
    Curve,
    Query,
    SpanScores,
    TextPlan,
    WindowRows,
    find_stretch,
    read_curve,
    read_span,
)
from .runner import RowScorer
from .settings import Settings, check_limit
from .text.tokenizer import TextTokenizer
from .text.windows import Cut, cut_text


@dataclass(frozen=True)
class WindowScores:
    """The scores of one window of a text."""

    start: int  # character offsets into the text
    end: int
    probabilities: np.ndarray  # (n_labels,) float32


@dataclass(frozen=True)
class TextScores:
    """The scores of one text."""

    probabilities: np.ndarray  # (n_labels,) float32, maximum over the windows
    windows: tuple[WindowScores, ...]  # none for a text without pieces
    truncated: bool  # a limit of the user's left part of the text out
    spans: tuple[SpanScores | None, ...] = ()  # in context; None if left out
    curve: Curve | None = None


class Classifier:
    """A DuoGuard classifier: the decoder, its tokenizer, and how to score with them.

    Scoring changes nothing in an instance: threads can share one.
    """

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        """bundle (Bundle): The decoder, on the device to score on, and its tokenizer.
        settings (Settings): Windows and budgets. Its device and precision are not
            applied here, "int8" apart: the decoder has them.
        """
        self.bundle = bundle
        self.settings = settings
        self.rows = RowScorer(bundle.decoder, settings)

    @property
    def decoder(self) -> Decoder:
        """The torch module: packed token ids to logits."""
        return self.bundle.decoder

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer backend: text to token ids."""
        return self.bundle.tokenizer

    @property
    def provenance(self) -> dict[str, Any]:
        """Names, revisions and commits that the weights and tokenizer came from."""
        return self.bundle.provenance

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories, in the order of the columns of `score`."""
        return self.decoder.config.labels

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        revision: str = "main",
        tokenizer: str | None = None,
        tokenizer_revision: str = "main",
        precision: str = "auto",
        device: str = "auto",
        window: int = 512,
        stride: int = 384,
        max_windows: int | None = None,
        max_batch_tokens: int | None = None,
    ) -> "Classifier":
        """Load a classifier from a folder or from the hub.

        name (str): A folder, a hub name, or "demo" for the checkpoint in the package.
        revision (str): Branch, tag or commit of a hub name.
        tokenizer (Optional[str]): Folder or hub name of the tokenizer. None is the
            known one for this name, else the model's own.
        tokenizer_revision (str): Branch, tag or commit of the tokenizer.
        precision (str): "auto", "float32", "bfloat16" or "int8".
        device (str): "auto" (CUDA where torch has it), "cpu", "cuda", "cuda:N", "mps".
        window (int): Tokens of a window.
        stride (int): Tokens from the start of one window to that of the next.
        max_windows (Optional[int]): Most windows of a text that are scored.
        max_batch_tokens (Optional[int]): Tokens of a packed batch.
        RETURNS (Classifier): Ready to score.
        RAISES (SettingsError): A setting out of range.
        RAISES (CheckpointError): Files that are missing, damaged or not supported.
        RAISES (DownloadError): Files that could not be had from the hub.
        """
        settings = Settings(
            precision=precision,
            device=device,
            window=window,
            stride=stride,
            max_windows=max_windows,
            max_batch_tokens=max_batch_tokens,
        )
        bundle = load_bundle(
            name,
            settings,
            revision=revision,
            tokenizer=tokenizer,
            tokenizer_revision=tokenizer_revision,
        )
        return cls(bundle, settings)

    def score(self, texts: Iterable[str]) -> np.ndarray:
        """Score texts. Long ones are scored in windows, without limit.

        texts (Iterable[str]): The texts, in any order and of any length.
        RETURNS (ndarray): Probabilities, (n_texts, n_labels), float32: for each text
            the maximum over its windows, 0.0 where it has no pieces.
        RAISES (SettingsError): One string instead of several, or no strings.
        RAISES (ScoringError): A logit is not finite.
        """
        scores = [text.probabilities for text in self.analyze(texts)]
        return np.stack(scores) if scores else np.zeros((0, len(self.labels)), "f4")

    def analyze(
        self,
        texts: Iterable[str],
        *,
        max_chars: int | None = None,
        normalize: bool = False,
        curve: bool = False,
    ) -> list[TextScores]:
        """As `score`, with the windows that the scores come from.

        texts (Iterable[str]): The texts. Identical ones are scored once.
        max_chars (Optional[int]): The most characters of a text that are scored, half
            of them from each end.
        normalize (bool): Score what each text reads like without characters that hide
            words too, where that is another text: the windows of this second view
            follow, and none of the first goes. `max_windows` and `max_chars` hold for
            each of the two.
        curve (bool): Score each text up to each of its pieces, too.
        RETURNS (List[TextScores]): One for each text, in order.
        RAISES (SettingsError): As in `answer`.
        RAISES (ScoringError): A logit is not finite.
        """
        queries = [Query(text, (), curve) for text in _check_texts(texts)]
        return self.answer(queries, max_chars=max_chars, normalize=normalize)

    def answer(
        self,
        queries: Sequence[Query],
        *,
        max_chars: int | None = None,
        normalize: bool = False,
    ) -> list[TextScores]:
        """Score texts, and parts of them in context: those cost no forward pass of
        their own.

        queries (Sequence[Query]): The texts, and what is asked of each. Identical ones
            are scored once.
        max_chars (Optional[int]), normalize (bool): As in `analyze`.
        RETURNS (List[TextScores]): One for each query, in order.
        RAISES (SettingsError): A limit that is no positive integer, or scores in
            context from a tokenizer that ends every text with a token of its own.
        RAISES (ScoringError): A logit is not finite.
        """
        check_limit("max_chars", max_chars)
        if any(query.curve or query.spans for query in queries):
            self.check_causal()
        cuts = {
            text: self.cut(text, max_chars, normalize=normalize)
            for text in dict.fromkeys(query.text for query in queries)
        }
        plans = {
            query: TextPlan.of(query, cuts[query.text])
            for query in dict.fromkeys(queries)
        }
        rows = iter(
            self.rows.probabilities(
                [ids for plan in plans.values() for ids in plan.cut.ids],
                [tokens for plan in plans.values() for tokens in plan.tokens],
            )
        )
        n_labels = len(self.labels)
        scores = {query: _read(plan, rows, n_labels) for query, plan in plans.items()}
        return [scores[query] for query in queries]

    def score_turns(self, turns: Iterable[str]) -> np.ndarray:
        """Score a conversation turn by turn, in one pass. As in the paper, turns are
        joined by one space and roles are not written.

        turns (Iterable[str]): The turns, in order.
        RETURNS (ndarray): Probabilities, (n_turns, n_labels), float32: for each turn
            those of the conversation up to its end. An empty turn changes nothing.
        RAISES (SettingsError): As in `analyze`.
        RAISES (ScoringError): As in `score`.
        """
        turns = _check_texts(turns)
        curve = self.analyze([" ".join(turns)], curve=True)[0].curve
        assert curve is not None
        rows = np.zeros((len(turns), len(self.labels)), dtype=np.float32)
        start, last = 0, -1
        for row, turn in zip(rows, turns, strict=True):
            stretch = find_stretch(turn, 0, len(turn))
            last = last if stretch is None else start + stretch[1]
            row[:] = curve.up_to(last)
            start += len(turn) + 1
        return rows

    def check_causal(self) -> None:
        """Check that a row of a text is the score of the text up to there.

        RAISES (SettingsError): The tokenizer ends each text with a token of its own,
            which those rows lack.
        """
        if len(self.tokenizer.suffix):
            raise SettingsError(Errors.E055)

    def cut(
        self, text: str, max_chars: int | None = None, *, normalize: bool = False
    ) -> Cut:
        """text (str): Any text.
        max_chars (Optional[int]), normalize (bool): As in `analyze`.
        RETURNS (Cut): Its windows, none where it has no pieces."""
        return cut_text(
            text,
            self.tokenizer,
            self.settings,
            max_chars=max_chars,
            normalize=normalize,
        )

    def to_disk(self, path: str | Path) -> None:
        """Write a folder that `from_pretrained` reads, and `transformers` too.

        path (str / Path): The folder, made if it does not exist.
        """
        write_bundle(self.bundle, path)


def _check_texts(texts: Iterable[str]) -> list[str]:
    if isinstance(texts, str):
        raise SettingsError(Errors.E049)
    found = list(texts)
    for i, text in enumerate(found):
        if not isinstance(text, str):
            message = Errors.E051.format(i=i, kind=type(text).__name__)
            raise SettingsError(message)
    return found


def _read(plan: TextPlan, rows: Iterator[np.ndarray], n_labels: int) -> TextScores:
    """Take the rows of a text's windows from the iterator."""
    cut = plan.cut
    scored = [WindowRows(pieces, next(rows)) for pieces in plan.pieces]
    windows = tuple(
        WindowScores(*window.place, own.probabilities[-1])
        for window, own in zip(cut.windows, scored, strict=True)
    )
    probabilities = np.zeros(n_labels, dtype=np.float32)
    if windows:
        probabilities = np.max([window.probabilities for window in windows], axis=0)
    spans = [read_span(cut, scored, own, n_labels) for own in plan.stretches]
    curve = read_curve(cut, scored, n_labels) if plan.query.curve else None
    return TextScores(probabilities, windows, cut.truncated, tuple(spans), curve)
