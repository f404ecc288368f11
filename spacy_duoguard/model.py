"""The thinc architecture: a `Classifier` that loads when it is first needed."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import srsly
import torch
from spacy.tokens import Doc
from thinc.api import Model, Shim, get_torch_default_device
from thinc.types import Floats2d

from .engine.bundle import (
    Bundle,
    bundle_from_dict,
    bundle_to_dict,
    load_bundle,
    read_bundle,
)
from .engine.classifier import Classifier
from .engine.settings import Settings
from .errors import CheckpointError, Errors, ScoringError, SettingsError
from .taxonomy import CATEGORIES

# The longest byte string that msgpack can hold, less room for all but the weights.
_MAX_BYTES = 2**32 - 2**26


def create_duoguard(
    name: str = "DuoGuard/DuoGuard-0.5B",
    revision: str = "main",
    tokenizer: str | None = None,
    tokenizer_revision: str = "main",
    precision: str = "auto",
    device: str = "auto",
    window: int = 512,
    stride: int = 384,
    max_windows: int | None = None,
    max_batch_tokens: int | None = None,
) -> Model[list[Doc], Floats2d]:
    """Registered as "spacy-duoguard.DuoGuard.v1". Nothing is loaded or downloaded
    before it is needed.

    name (str): A folder, a hub name, or "demo".
    revision (str): Branch, tag or commit of a hub name.
    tokenizer (Optional[str]): Folder or hub name of the tokenizer; None is the known
        one for this name, else the model's own.
    tokenizer_revision (str): Branch, tag or commit of the tokenizer.
    precision (str): "auto", "float32", "bfloat16" or "int8".
    device (str): "auto" (follows spacy.prefer_gpu), "cpu", "cuda", "cuda:N", "mps".
    window (int): Tokens of a window.
    stride (int): Tokens from the start of one window to that of the next.
    max_windows (Optional[int]): Most windows of a text that are scored.
    max_batch_tokens (Optional[int]): Tokens of a packed batch.
    RETURNS (Model[List[Doc], Floats2d]): From docs to the probabilities of the
        categories, (n_docs, n_labels).
    RAISES (SettingsError): A setting that is out of range or unknown.
    """
    if device == "auto":
        # Asked here and not at loading: thinc keeps it per thread.
        device = str(get_torch_default_device())
    settings = Settings(
        precision=precision,
        device=device,
        window=window,
        stride=stride,
        max_windows=max_windows,
        max_batch_tokens=max_batch_tokens,
    )
    source = {
        "name": name,
        "revision": revision,
        "tokenizer": tokenizer,
        "tokenizer_revision": tokenizer_revision,
    }
    return Model(
        "duoguard",
        forward,
        dims={"nO": len(CATEGORIES)},
        shims=[ClassifierShim(source, settings)],
    )


def forward(
    model: Model[list[Doc], Floats2d], docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[..., Any]]:
    """Score whole docs, without their spans."""
    if is_train:
        raise ScoringError(Errors.E046.format(name=model.name))
    scores = get_shim(model).classifier.score([doc.text for doc in docs])

    def backprop(d_scores: Floats2d) -> list[Doc]:
        raise ScoringError(Errors.E046.format(name=model.name))

    return model.ops.asarray2f(cast(Floats2d, scores)), backprop


def get_shim(model: Model) -> "ClassifierShim":
    """model (Model): From `create_duoguard`.
    RETURNS (ClassifierShim): What holds its classifier.
    RAISES (SettingsError): The model is of another architecture."""
    for shim in model.shims:
        if isinstance(shim, ClassifierShim):
            return shim
    raise SettingsError(Errors.E048.format(name=model.name))


class ClassifierShim(Shim):
    """Holds a classifier, or what is needed to load it."""

    def __init__(self, source: dict[str, Any], settings: Settings) -> None:
        """source (Dict[str, Any]): Arguments of `load_bundle`.
        settings (Settings): How to score."""
        super().__init__(None)
        self.source = source
        self.settings = settings
        self._lock = threading.Lock()

    @property
    def is_loaded(self) -> bool:
        return self._model is not None

    @property
    def classifier(self) -> Classifier:
        """The classifier, loaded at the first use."""
        if self._model is None:
            with self._lock:  # two threads of a server must not both load
                if self._model is None:
                    self._set(load_bundle(settings=self.settings, **self.source))
        return self._model

    def to_device(self, device_type: str, device_id: int) -> None:
        """Called by `Model.to_gpu` and `Model.to_cpu`."""
        kind = "cuda" if device_type == "gpu" else device_type
        device = f"cuda:{device_id}" if kind == "cuda" else kind
        self.classifier.decoder.to(torch.device(device))
        self.settings = replace(self.settings, device=device)

    def to_disk(self, path: str | Path) -> None:
        """path (str / Path): The folder for the weights and the tokenizer."""
        self.classifier.to_disk(path)

    def from_disk(self, path: str | Path) -> "ClassifierShim":
        """path (str / Path): The folder that `to_disk` wrote."""
        self._set(read_bundle(path, self.settings))
        return self

    def to_bytes(self) -> bytes:
        """RAISES (ScoringError): The weights are too large for msgpack."""
        tensors = self.classifier.decoder.parameters()
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if size > _MAX_BYTES:
            name = self.source["name"]
            message = Errors.E047.format(name=name, size=size, limit=_MAX_BYTES)
            raise ScoringError(message)
        return srsly.msgpack_dumps(bundle_to_dict(self.classifier.bundle))

    def from_bytes(self, data: bytes) -> "ClassifierShim":
        try:
            parts = srsly.msgpack_loads(data)
        except Exception as e:  # msgpack's errors have no base of their own
            message = Errors.E018.format(
                source="the saved bytes", kind="a model", problem=type(e).__name__
            )
            raise CheckpointError(message) from e
        self._set(bundle_from_dict(parts, self.settings))
        return self

    def _set(self, bundle: Bundle) -> None:
        self._model = Classifier(bundle, self.settings)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())
