"""From texts to probabilities: tokenize, cut into windows, score, aggregate."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import Errors, SettingsError
from .checkpoint.bundle import Bundle, load_bundle, write_bundle
from .conversation import offsets_of, read_messages
from .launched import (
    MOST_WAITING,
    LaunchedQueries,
    divide_by_views,
    divide_queries,
    launch_queries,
)
from .network.decoder import Decoder
from .network.device import computes_apart
from .prefix_scores import Query
from .runner import Runner
from .settings import Settings, check_limit
from .text.ahead import SplitAhead, split_ahead, split_all
from .text.lossless import characters_of
from .text.split import Limits, split_text
from .text.tokenizer import TextTokenizer
from .text.views.functions import ViewFunctions, Views, check_views
from .text.windows import WindowedText
from .text_scores import TextScores, unshared
from .turn_scores import score_spans


class Classifier:
    """A DuoGuard classifier: a decoder, its tokenizer and the settings to score with.

    Scoring changes nothing in it, so threads can share one.
    """

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        """bundle (Bundle): The decoder, on the device to score on, and its tokenizer.
        settings (Settings): Windows and budgets. Device and precision are those of the
            decoder, except that "int8" is read from here.
        """
        self.bundle = bundle
        self.settings = settings
        self.runner = Runner(bundle.decoder, settings)

    @property
    def decoder(self) -> Decoder:
        """The torch module, from packed token ids to logits."""
        return self.bundle.decoder

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer, from text to token ids."""
        return self.bundle.tokenizer

    @property
    def provenance(self) -> dict[str, Any]:
        """The names, revisions and commits of the weights and the tokenizer."""
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
        kernels: str = "auto",
    ) -> "Classifier":
        """Load a classifier from a folder or from the hub.

        name (str): A folder, a hub name, or "demo" for the checkpoint in the package.
        revision (str): Branch, tag or commit of a hub name.
        tokenizer (Optional[str]): Folder or hub name of the tokenizer. By default, the
            one published for this model, or the one in its own folder.
        tokenizer_revision (str): Branch, tag or commit of the tokenizer.
        precision (str): "auto", "float32", "bfloat16" or "int8".
        device (str): "auto" (CUDA where torch has it), "cpu", "cuda", "cuda:N", "mps".
        window (int): Tokens per window.
        stride (int): Tokens from the start of one window to the start of the next.
        max_windows (Optional[int]): Maximum number of windows to score per text.
        max_batch_tokens (Optional[int]): Tokens per packed batch.
        kernels (str): "torch", "triton" for fused kernels on a CUDA device, or "native"
            for kernels that are compiled for the CPU. "auto" is "triton" on a CUDA
            device if that package is installed, and otherwise "torch".
        RETURNS (Classifier): Ready to score.
        RAISES (SettingsError): A setting is out of range.
        RAISES (CheckpointError): A file is missing, damaged or not supported.
        RAISES (DownloadError): A file could not be downloaded.
        """
        settings = Settings(
            precision=precision,
            device=device,
            window=window,
            stride=stride,
            max_windows=max_windows,
            max_batch_tokens=max_batch_tokens,
            kernels=kernels,
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
        """Score texts of any length. Long ones are scored in windows.

        texts (Iterable[str]): The texts.
        RETURNS (ndarray): Probabilities, (n_texts, n_labels), float32: for each text
            the maximum over its windows, or 0.0 if it has no tokens.
        RAISES (SettingsError): `texts` isn't a list or another iterable of strings, or
            is a single string.
        RAISES (ScoringError): A logit isn't finite.
        """
        scores = [text.probabilities for text in self.analyze(texts)]
        return np.stack(scores) if scores else np.zeros((0, len(self.labels)), "f4")

    def analyze(
        self,
        texts: Iterable[str],
        *,
        max_chars: int | None = None,
        normalize: bool = False,
        views: Views = None,
        curve: bool = False,
    ) -> list[TextScores]:
        """Score texts, and keep the windows behind each score.

        texts (Iterable[str]): The texts. Identical ones are scored once.
        max_chars (Optional[int]): Maximum number of characters to score per text, half
            from each end.
        normalize (bool): Also score how each text reads without disguises, and with
            what is encoded in it decoded, if that differs. The windows of these views
            follow those of the text; `max_windows` and `max_chars` apply to each view.
        views (Optional[Mapping[str, Callable]]): With `normalize`, the functions of
            other views: as for `check_views` and `read_views`.
        curve (bool): Also score every prefix of each text.
        RETURNS (List[TextScores]): One for each text, in order.
        RAISES (SettingsError): As in `answer`.
        RAISES (ScoringError): A logit isn't finite.
        """
        queries = [Query(text, (), curve) for text in _check_texts(texts)]
        checked = check_views(views)
        return self.answer(
            queries, max_chars=max_chars, normalize=normalize, views=checked
        )

    def answer(
        self,
        queries: Sequence[Query],
        *,
        max_chars: int | None = None,
        normalize: bool = False,
        views: ViewFunctions = (),
        ahead: SplitAhead | None = None,
    ) -> list[TextScores]:
        """Score texts, and their spans and prefixes in context, without another forward
        pass.

        queries (Sequence[Query]): What to score. Identical queries are scored once.
        max_chars (Optional[int]), normalize (bool): As in `analyze`.
        views (Tuple[Tuple[str, Callable], ...]): From `check_views`.
        ahead (Optional[SplitAhead]): From `split_ahead`, with some of the texts.
        RETURNS (List[TextScores]): One for each query, in order.
        RAISES (SettingsError): `max_chars` isn't a positive integer, or scores in
            context are requested with a tokenizer that adds a token to the end of a
            text.
        RAISES (ScoringError): A logit isn't finite.
        """
        check_limit("max_chars", max_chars)
        if _need_offsets(queries):
            self.check_causal()
        limits = Limits(max_chars, normalize, views)
        waiting = deque(self._take_launched(ahead, limits))
        known = {query for launched in waiting for query in launched.queries}
        scores: dict[Query, TextScores] = {}
        others = [query for query in dict.fromkeys(queries) if query not in known]
        for group, of_group in divide_by_views(others, limits):
            for part in divide_queries(group, self.decoder.device):
                texts = split_all(
                    [query.text for query in part],
                    *(self.tokenizer, self.settings, of_group),
                    device=self.decoder.device,
                    offsets=_need_offsets(part),
                    ahead=ahead if of_group is limits else None,
                )
                waiting.append(launch_queries(self.runner, part, texts))
                while len(waiting) > MOST_WAITING:
                    scores.update(waiting.popleft().read())
        for launched in waiting:
            scores.update(launched.read())
        return unshared(scores[query] for query in queries)

    def _take_launched(
        self, ahead: SplitAhead | None, limits: Limits
    ) -> list[LaunchedQueries]:
        """What was launched ahead, if it is still what would be computed now. Only
        once: if one text fails, the others are tried again without it."""
        if ahead is None:
            return []
        ahead.close()
        launched, ahead.launched = ahead.launched, []
        if ahead.made_for != (self.tokenizer, self.settings, limits):
            return []
        return [part for part in launched if self.runner.is_current(part.launch)]

    def score_turns(
        self,
        turns: Iterable[str | Mapping[str, Any]],
        *,
        normalize: bool = False,
        views: Views = None,
    ) -> np.ndarray:
        """Score a conversation turn by turn, in one pass. As in the paper, turns are
        joined by a space, without their roles.

        turns (Iterable[Union[str, Mapping[str, Any]]]): The turns, in order: texts, or
            messages as for `read_messages`.
        normalize (bool), views (Optional[Mapping[str, Callable]]): As in `analyze`, for
            each message by itself.
        RETURNS (ndarray): Probabilities, (n_turns, n_labels), float32: row i scores the
            conversation up to the end of turn i, with the spaces that join the turns.
            An empty turn adds one, unless it's the first. 1.0 for a turn that
            `max_windows` left out.
        RAISES (SettingsError): As in `analyze` and `read_messages`.
        RAISES (ScoringError): As in `score`.
        """
        conversation = read_messages(turns)
        text = conversation.text
        spans = conversation.spans
        query = Query(text, curve=True, messages=offsets_of(spans))
        checked = check_views(views)
        (scores,) = self.answer([query], normalize=normalize, views=checked)
        return score_spans(text, spans, scores)

    def check_causal(self) -> None:
        """Check that the output at a token is the score of the text up to it.

        RAISES (SettingsError): The tokenizer adds a token to the end of each text,
            which a prefix lacks.
        """
        if len(self.tokenizer.suffix):
            raise SettingsError(Errors.E055)

    def split(
        self,
        text: str,
        max_chars: int | None = None,
        *,
        normalize: bool = False,
        views: ViewFunctions = (),
    ) -> WindowedText:
        """text (str): Any text.
        max_chars (Optional[int]), normalize (bool), views: As in `answer`.
        RETURNS (WindowedText): Its windows."""
        limits = Limits(max_chars, normalize, views)
        return split_text(text, self.tokenizer, self.settings, limits)

    def split_ahead(
        self, limits: Limits, *, offsets: bool = False, scores: bool = False
    ) -> SplitAhead | None:
        """limits, offsets: As for `split_texts`.
        scores (bool): Whether the texts will be scored without spans or a curve. A
            device that computes apart from the host then begins at once.
        RETURNS (Optional[SplitAhead]): As from `text.ahead.split_ahead`."""
        of_self, device = (self.tokenizer, self.settings, limits), self.decoder.device
        launch: Callable[[Mapping[str, WindowedText]], LaunchedQueries] | None = None
        if scores and computes_apart(device) and self.runner.cache is None:

            def launch(texts: Mapping[str, WindowedText]) -> LaunchedQueries:
                return launch_queries(self.runner, list(map(Query, texts)), texts)

        return split_ahead(*of_self, device=device, offsets=offsets, launch=launch)

    def to_disk(self, path: str | Path) -> None:
        """Write a folder that `from_pretrained` and `transformers` can load.

        path (str / Path): The folder, created if it doesn't exist.
        """
        write_bundle(self.bundle, path)


def _need_offsets(queries: Sequence[Query]) -> bool:
    return any(query.curve or query.spans for query in queries)


def _check_texts(texts: Iterable[str]) -> list[str]:
    kind = type(texts).__name__
    if isinstance(texts, (str, bytes)):
        raise SettingsError(Errors.E049.format(kind=kind))
    try:
        rest = iter(texts)
    except TypeError as e:  # also an array without a dimension
        raise SettingsError(Errors.E049.format(kind=kind)) from e
    texts = list(rest)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            message = Errors.E051.format(i=i, kind=type(text).__name__)
            raise SettingsError(message)
    return [characters_of(text) for text in texts]
