"""Texts → probabilities: tokenise, cut into windows, pack, run, aggregate."""

import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import CheckpointError, Errors, ScoringError, SettingsError, Warnings
from ..taxonomy import CATEGORIES
from .checkpoint import (
    WEIGHTS,
    Stored,
    dump_weights,
    load_decoder,
    open_weights,
    parse_weights,
    write_weights,
)
from .config import DecoderConfig
from .decoder import Decoder
from .device import batch_tokens, resolve_device, resolve_precision
from .hub import DEMO, KNOWN_TOKENIZERS, Repository, open_repository, require
from .packing import pack, plan_batches
from .settings import Settings
from .windows import TextTokenizer, check_windows, keep_ends, split_windows

FORMAT_VERSION = 1
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
PROVENANCE = "duoguard.json"


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
class _Cut:
    """The windows of one text before they are scored."""

    ids: list[np.ndarray]
    offsets: list[tuple[int, int]]
    truncated: bool


class Classifier:
    """A DuoGuard classifier: the decoder, its tokenizer, and how to score with them.

    Instances have no state that scoring changes: threads can share one.
    """

    def __init__(
        self,
        decoder: Decoder,
        tokenizer: TextTokenizer,
        settings: Settings,
        *,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """decoder (Decoder): On the device to score on.
        tokenizer (TextTokenizer): The one that the decoder was trained with.
        settings (Settings): Windows and budgets. Its device and precision are not
            applied here: the decoder has them.
        provenance (Optional[Mapping[str, Any]]): Names and commits of the sources.
        """
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.settings = settings
        self.provenance = dict(provenance or {})
        self._pid = os.getpid()

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories, in the order of the columns of `score`."""
        return CATEGORIES

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
        precision (str): "auto", "float32" or "bfloat16".
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
        return load_classifier(
            name,
            settings,
            revision=revision,
            tokenizer=tokenizer,
            tokenizer_revision=tokenizer_revision,
        )

    def score(self, texts: Iterable[str]) -> np.ndarray:
        """Score texts. Long ones are scored in windows, without limit.

        texts (Iterable[str]): The texts, in any order and of any length.
        RETURNS (ndarray): Probabilities, (n_texts, n_labels), float32: for each text
            the maximum over its windows, 0.0 where it has no pieces.
        RAISES (SettingsError): One string instead of several.
        RAISES (ScoringError): A logit is not finite.
        """
        scores = [text.probabilities for text in self.analyze(texts)]
        return np.stack(scores) if scores else np.zeros((0, len(self.labels)), "f4")

    def analyze(
        self, texts: Iterable[str], *, max_chars: int | None = None
    ) -> list[TextScores]:
        """As `score`, with the windows that the scores come from.

        texts (Iterable[str]): The texts. Identical ones are scored once.
        max_chars (Optional[int]): Of longer texts only the first and the last half
            of so many characters are scored.
        RETURNS (List[TextScores]): One for each text, in order.
        RAISES (ScoringError): A logit is not finite.
        """
        if isinstance(texts, str):
            raise SettingsError(Errors.E049)
        texts = list(texts)
        cuts = {text: self._cut(text, max_chars) for text in dict.fromkeys(texts)}
        windows = [ids for cut in cuts.values() for ids in cut.ids]
        rows = iter(self._probabilities(windows))
        scores = {text: _aggregate(cut, rows) for text, cut in cuts.items()}
        return [scores[text] for text in texts]

    def _cut(self, text: str, max_chars: int | None) -> _Cut:
        """The windows of a text, as token ids and as character offsets."""
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
                offsets = tokens.offsets[first:stop]
                place = start + int(offsets.min()), start + int(offsets.max())
                windows.append((tokens.ids[first:stop], place))
        kept = keep_ends(windows, settings.max_windows)
        return _Cut(
            ids=[self.tokenizer.frame(ids) for ids, _ in kept],
            offsets=[place for _, place in kept],
            truncated=len(parts) > 1 or len(kept) < len(windows),
        )

    def _probabilities(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """windows (Sequence[ndarray]): Token ids of each window.
        RETURNS (ndarray): (n_windows, n_labels), float32."""
        self._leave_parents_threads()
        device = self.decoder.device
        budget = self.settings.max_batch_tokens or batch_tokens(device)
        logits = np.empty((len(windows), len(self.labels)), dtype=np.float32)
        with torch.inference_mode():
            for batch in plan_batches([len(ids) for ids in windows], max_tokens=budget):
                packed = pack([windows[i] for i in batch], device=device)
                logits[batch] = self.decoder(packed).cpu().numpy()
        failed = int((~np.isfinite(logits)).any(axis=1).sum())
        if failed:
            raise ScoringError(Errors.E040.format(count=failed, total=len(windows)))
        return torch.from_numpy(logits).sigmoid().numpy()

    def _leave_parents_threads(self) -> None:
        """A forked process inherits the bookkeeping of its parent's thread pool but
        not the threads, and would wait for them for ever."""
        if os.getpid() == self._pid:
            return
        self._pid = os.getpid()
        if self.decoder.device.type == "cpu" and torch.get_num_threads() > 1:
            torch.set_num_threads(1)
            warnings.warn(Warnings.W002, stacklevel=2)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_pid"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _pid=os.getpid())

    def to_disk(self, path: str | Path) -> None:
        """Write a folder that `from_pretrained` reads, and `transformers` too.

        path (str / Path): The folder, made if it does not exist.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        write_weights(self.decoder, folder / WEIGHTS)
        (folder / CONFIG).write_text(self._config_json(), encoding="utf8")
        (folder / TOKENIZER).write_text(self.tokenizer.data, encoding="utf8")
        provenance = {"format_version": FORMAT_VERSION, **self.provenance}
        text = json.dumps(provenance, indent=2)
        (folder / PROVENANCE).write_text(text, encoding="utf8")

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): Strings and bytes, all that `from_dict` needs."""
        return {
            "format_version": FORMAT_VERSION,
            "config": self._config_json(),
            "tokenizer": self.tokenizer.data,
            "weights": dump_weights(self.decoder),
            "provenance": self.provenance,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], settings: Settings) -> "Classifier":
        """data (Mapping[str, Any]): From `to_dict`.
        settings (Settings): How to score.
        RETURNS (Classifier): Ready to score."""
        source = "the saved bytes"
        _check_format(data.get("format_version"), source)
        return _build(
            DecoderConfig.from_json(data["config"]),
            TextTokenizer(data["tokenizer"], source=source),
            settings,
            lambda: parse_weights(data["weights"], source=source),
            source=source,
            provenance=data["provenance"],
        )

    def _config_json(self) -> str:
        config = self.decoder.config.to_dict(self.labels)
        config["torch_dtype"] = str(self.decoder.dtype).removeprefix("torch.")
        return json.dumps(config, indent=2)


def check_parts(
    config: DecoderConfig, tokenizer: TextTokenizer, settings: Settings
) -> None:
    """Check that the parts of a classifier fit each other.

    config (DecoderConfig): The architecture.
    tokenizer (TextTokenizer): The tokenizer.
    settings (Settings): The windows.
    RAISES (CheckpointError): A head that is not for our categories, or a tokenizer
        that is another model's.
    RAISES (SettingsError): Windows that leave gaps or exceed the model's positions.
    """
    expected, positions = len(CATEGORIES), config.max_position_embeddings
    if config.num_labels != expected:
        message = Errors.E014.format(rows=config.num_labels, expected=expected)
        raise CheckpointError(message)
    tokenizer.check_fits(config.vocab_size)
    check_windows(
        window=settings.window, stride=settings.stride, n_special=tokenizer.n_special
    )
    if settings.window > positions:
        message = Errors.E005.format(window=settings.window, positions=positions)
        raise SettingsError(message)


def load_classifier(
    name: str,
    settings: Settings,
    *,
    revision: str = "main",
    tokenizer: str | None = None,
    tokenizer_revision: str = "main",
) -> Classifier:
    """As `Classifier.from_pretrained`, with the settings in one argument."""
    if name == DEMO:
        warnings.warn(Warnings.W001, stacklevel=3)
    model = open_repository(name, revision=revision)
    config = DecoderConfig.from_json(_read(model, CONFIG))
    tokenizer = tokenizer or KNOWN_TOKENIZERS.get(name)
    home = (
        open_repository(tokenizer, revision=tokenizer_revision) if tokenizer else model
    )
    text_tokenizer = TextTokenizer(_read(home, TOKENIZER), source=home.name)
    provenance = _read_provenance(model) or {
        "model": name,
        "revision": revision,
        "commit": model.commit,
        "tokenizer": tokenizer,
        "tokenizer_revision": tokenizer_revision,
        "tokenizer_commit": home.commit,
    }
    return _build(
        config,
        text_tokenizer,
        settings,
        lambda: open_weights(model),
        source=model.name,
        provenance=provenance,
    )


def _build(
    config: DecoderConfig,
    tokenizer: TextTokenizer,
    settings: Settings,
    weights: Callable[[], Mapping[str, Stored]],
    *,
    source: str,
    provenance: Mapping[str, Any],
) -> Classifier:
    check_parts(config, tokenizer, settings)  # before a gigabyte is downloaded
    device = resolve_device(settings.device)
    dtype = resolve_precision(settings.precision, device)
    decoder = load_decoder(config, weights(), source=source, device=device, dtype=dtype)
    return Classifier(decoder, tokenizer, settings, provenance=provenance)


def _read(repository: Repository, filename: str) -> str:
    path = require(repository, filename)
    try:
        return path.read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as e:
        message = Errors.E018.format(
            source=repository.name, kind=filename, problem=type(e).__name__
        )
        raise CheckpointError(message) from e


def _read_provenance(repository: Repository) -> dict[str, Any]:
    """What `to_disk` noted. Only folders can have it."""
    if repository.commit is not None or repository.find(PROVENANCE) is None:
        return {}
    data = json.loads(_read(repository, PROVENANCE))
    _check_format(data.pop("format_version", None), repository.name)
    return dict(data)


def _check_format(version: Any, source: str) -> None:
    if version != FORMAT_VERSION:
        message = Errors.E021.format(
            name=source, version=version, supported=FORMAT_VERSION
        )
        raise CheckpointError(message)


def _parts(n_chars: int, max_chars: int | None) -> list[tuple[int, int]]:
    """The stretches of a text that a limit leaves: all, or its two ends."""
    if max_chars is None or n_chars <= max_chars:
        return [(0, n_chars)]
    last = max_chars // 2
    return [(0, max_chars - last), (n_chars - last, n_chars)]


def _aggregate(cut: _Cut, rows: Any) -> TextScores:
    """Take the rows of a text's windows from the iterator."""
    windows = tuple(WindowScores(start, end, next(rows)) for start, end in cut.offsets)
    if windows:
        probabilities = np.max([window.probabilities for window in windows], axis=0)
    else:
        probabilities = np.zeros(len(CATEGORIES), dtype=np.float32)
    return TextScores(probabilities, windows, cut.truncated)
