"""The thinc architecture: from docs to the probabilities of the categories."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, get_torch_default_device
from thinc.types import Floats2d

from ..engine.network.trainable import check_trainable
from ..engine.prefix_scores import Query
from ..engine.settings import Settings
from ..errors import Errors, SettingsError
from .shim import ClassifierShim


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
    trainable_layers: int | None = None,
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
    trainable_layers (Optional[int]): What training changes: None for all layers, 0 for
        the head, n for the top n layers, the final norm and the head.
    RETURNS (Model[List[Doc], Floats2d]): From docs to the probabilities of the
        categories, (n_docs, n_labels); in training to their logits.
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
    check_trainable(trainable_layers)
    source = {
        "name": name,
        "revision": revision,
        "tokenizer": tokenizer,
        "tokenizer_revision": tokenizer_revision,
    }
    return Model(
        "duoguard",
        forward,
        dims={"nO": None},  # known when the weights arrive, and `add_label` changes it
        shims=[ClassifierShim(source, settings, trainable_layers)],
    )


def forward(
    model: Model[list[Doc], Floats2d], docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[..., Any]]:
    """Probabilities of docs (or spans); in training their logits, whose gradient the
    callback passes on to the parameters."""
    shim, texts = get_shim(model), [doc.text for doc in docs]
    if not is_train:
        scores = shim.classifier.score(texts)
        return model.ops.asarray2f(cast(Floats2d, scores)), lambda d_scores: []
    logits, passed = shim.trainer.begin([Query(text) for text in texts])

    def backprop(d_logits: Floats2d) -> list[Doc]:
        passed(model.ops.to_numpy(d_logits).astype(np.float32))
        return []

    return model.ops.asarray2f(cast(Floats2d, logits)), backprop


def get_shim(model: Model) -> ClassifierShim:
    """model (Model): From `create_duoguard`.
    RETURNS (ClassifierShim): What holds its classifier.
    RAISES (SettingsError): The model is of another architecture."""
    for shim in model.shims:
        if isinstance(shim, ClassifierShim):
            return shim
    raise SettingsError(Errors.E048.format(name=model.name))
