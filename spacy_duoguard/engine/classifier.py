"""Texts → probabilities: tokenise, cut into windows, pack, run, aggregate."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import Errors, ScoringError, SettingsError
from .budget import Budget
from .bundle import Bundle, load_bundle, write_bundle
from .decoder import Decoder
from .device import batch_tokens
from .features import FeatureCache
from .forward import CurrentForward, Forward
from .normalize import normalize as normalize_text
from .packing import pack, plan_batches
from .settings import Settings, check_limit
from .threads import leave_parents_threads
from .windows import TextTokenizer, keep_ends, split_windows


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


@dataclass(frozen=True)
class Cut:
    """The windows of one text before they are scored."""

    ids: list[np.ndarray]  # (n_tokens,) of each, framed
    offsets: list[tuple[int, int]]  # characters of the text
    truncated: bool


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
        self._forward = CurrentForward(
            bundle.decoder, eight_bit=settings.precision == "int8"
        )
        self.cache: FeatureCache | None = None  # while the head alone is trained

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
    ) -> list[TextScores]:
        """As `score`, with the windows that the scores come from.

        texts (Iterable[str]): The texts. Identical ones are scored once.
        max_chars (Optional[int]): The most characters of a text that are scored, half
            of them from each end.
        normalize (bool): Score what each text reads like without characters that hide
            words too, where that is another text: the windows of this second view
            follow, and none of the first goes. `max_windows` and `max_chars` hold for
            each of the two.
        RETURNS (List[TextScores]): One for each text, in order.
        RAISES (ScoringError): A logit is not finite.
        """
        if isinstance(texts, str):
            raise SettingsError(Errors.E049)
        check_limit("max_chars", max_chars)
        texts = list(texts)
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                message = Errors.E051.format(i=i, kind=type(text).__name__)
                raise SettingsError(message)
        cuts = {
            text: self.cut(text, max_chars, normalize=normalize)
            for text in dict.fromkeys(texts)
        }
        windows = [ids for cut in cuts.values() for ids in cut.ids]
        rows = iter(self._probabilities(windows))
        n_labels = len(self.labels)
        scores = {text: _aggregate(cut, rows, n_labels) for text, cut in cuts.items()}
        return [scores[text] for text in texts]

    def cut(
        self, text: str, max_chars: int | None = None, *, normalize: bool = False
    ) -> Cut:
        """text (str): Any text.
        max_chars (Optional[int]), normalize (bool): As in `analyze`.
        RETURNS (Cut): Its windows, none where it has no pieces."""
        windows, truncated = self._windows(text, max_chars)
        if normalize and (view := normalize_text(text)).text != text:
            # Windows that read the same have their scores already.
            known = {ids.tobytes() for ids, _ in windows}
            others, truncated_too = self._windows(view.text, max_chars)
            windows += [
                (ids, view.place(*place))
                for ids, place in others
                if ids.tobytes() not in known
            ]
            truncated |= truncated_too
        return Cut(
            ids=[self.tokenizer.frame(ids) for ids, _ in windows],
            offsets=[place for _, place in windows],
            truncated=truncated,
        )

    def _windows(
        self, text: str, max_chars: int | None
    ) -> tuple[list[tuple[np.ndarray, tuple[int, int]]], bool]:
        """The pieces of each window with its characters, and whether limits left a
        part of the text out."""
        settings, n_special = self.settings, self.tokenizer.n_special
        windows = []
        parts = _parts(len(text), max_chars)
        for start, end in parts:
            tokens = self.tokenizer.encode(text[start:end])
            for first, stop in split_windows(
                len(tokens.ids),
                window=settings.window - n_special,
                stride=settings.stride,
            ):
                left, right = tokens.place(first, stop)
                place = start + left, start + right
                windows.append((tokens.ids[first:stop], place))
        kept = keep_ends(windows, settings.max_windows)
        return kept, len(parts) > 1 or len(kept) < len(windows)

    def _probabilities(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """windows (Sequence[ndarray]): Token ids of each window.
        RETURNS (ndarray): (n_windows, n_labels), float32.
        RAISES (ScoringError): A logit is not finite, or memory ran out."""
        logits = np.empty((len(windows), len(self.labels)), dtype=np.float32)
        outputs: list[tuple[list[int], torch.Tensor]] = []

        def work(forward: Forward, batch: list[int]) -> None:
            outputs.append((batch, self._logits(forward, [windows[i] for i in batch])))

        with torch.inference_mode():
            self._in_batches(windows, work)
            # A GPU works on while the host packs: results are fetched at the end.
            for batch, output in outputs:
                logits[batch] = output.cpu().numpy()
        failed = int((~np.isfinite(logits)).any(axis=1).sum())
        if failed:
            raise ScoringError(Errors.E040.format(count=failed, total=len(windows)))
        return torch.from_numpy(logits).sigmoid().numpy()

    def _in_batches(
        self,
        windows: Sequence[np.ndarray],
        work: Callable[[Forward, list[int]], None],
    ) -> None:
        """Do work for all windows, in packed batches that fit into the memory.

        windows (Sequence[ndarray]): Token ids of each window.
        work (Callable): Takes the forward and indices into `windows`.
        RAISES (ScoringError): A single window does not fit.
        """
        leave_parents_threads()
        tokens = self.settings.max_batch_tokens or batch_tokens(self.decoder.device)
        lengths = [len(ids) for ids in windows]
        batches = plan_batches(lengths, max_tokens=tokens)
        forward = self._forward.get()
        Budget(tokens).run(
            batches, lengths, partial(work, forward), too_small=Errors.E120
        )

    def _logits(
        self, forward: Forward, sequences: Sequence[np.ndarray]
    ) -> torch.Tensor:
        """forward (Forward): Of the present weights.
        sequences (Sequence[ndarray]): Token ids of a packed batch.
        RETURNS (Tensor): (n_sequences, n_labels), float32."""
        device, cache = self.decoder.device, self.cache
        if cache is None:
            return forward(pack(sequences, device=device))
        store, key = cache.batches, tuple(ids.tobytes() for ids in sequences)
        rows = store.get(key)
        if rows is None:
            rows = forward.pooled(pack(sequences, device=device)).cpu().numpy()
            store.put(key, rows, key_bytes=sum(len(ids) for ids in key))
        return self.decoder.score(torch.from_numpy(rows).to(device))

    def features(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """What the head reads.

        windows (Sequence[ndarray]): Token ids of each window, framed.
        RETURNS (ndarray): (n_windows, hidden_size), float32.
        RAISES (ScoringError): Memory ran out.
        """
        size = self.decoder.config.hidden_size
        rows = np.empty((len(windows), size), dtype=np.float32)

        def work(forward: Forward, batch: list[int]) -> None:
            device = self.decoder.device
            packed = pack([windows[i] for i in batch], device=device)
            rows[batch] = forward.pooled(packed).cpu().numpy()

        with torch.inference_mode():
            self._in_batches(windows, work)
        return rows

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "cache": None}

    def to_disk(self, path: str | Path) -> None:
        """Write a folder that `from_pretrained` reads, and `transformers` too.

        path (str / Path): The folder, made if it does not exist.
        """
        write_bundle(self.bundle, path)


def _parts(n_chars: int, max_chars: int | None) -> list[tuple[int, int]]:
    """The stretches of a text that a limit leaves: all, or its two ends."""
    if max_chars is None or n_chars <= max_chars:
        return [(0, n_chars)]
    last = max_chars // 2
    return [(0, max_chars - last), (n_chars - last, n_chars)]


def _aggregate(cut: Cut, rows: Iterator[np.ndarray], n_labels: int) -> TextScores:
    """Take the rows of a text's windows from the iterator."""
    windows = tuple(WindowScores(start, end, next(rows)) for start, end in cut.offsets)
    if windows:
        probabilities = np.max([window.probabilities for window in windows], axis=0)
    else:
        probabilities = np.zeros(n_labels, dtype=np.float32)
    return TextScores(probabilities, windows, cut.truncated)
