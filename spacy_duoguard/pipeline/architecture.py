"""The thinc architecture: from docs to the probabilities of the categories."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import Model, get_torch_default_device
from thinc.compat import has_cupy_gpu
from thinc.types import Floats2d

from ..engine.network.trainable import check_trainable
from ..engine.prefix_scores import Query
from ..engine.settings import Settings
from ..engine.user_warnings import warn_once
from ..errors import Errors, SettingsError, Warnings
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
    kernels: str = "auto",
) -> Model[list[Doc], Floats2d]:
    """Registered as "spacy-duoguard.DuoGuard.v1". Weights are loaded or downloaded when
    they are first needed.

    name (str): A folder, a hub name, or "demo".
    revision (str): Branch, tag or commit of the hub name.
    tokenizer (Optional[str]): Folder or hub name of the tokenizer. None for the known
        one of this model, or else the model's folder.
    tokenizer_revision (str): Branch, tag or commit of the tokenizer.
    precision (str): "auto", "float32", "bfloat16" or "int8".
    device (str): "auto" (follows spacy.prefer_gpu), "cpu", "cuda", "cuda:N", "mps".
    window (int): Tokens per window.
    stride (int): Tokens from the start of one window to the start of the next.
    max_windows (Optional[int]): Maximum number of windows to score per text.
    max_batch_tokens (Optional[int]): Tokens per packed batch.
    trainable_layers (Optional[int]): What to train: None for all layers, 0 for the
        head, n for the top n layers, the final norm and the head.
    kernels (str): "torch", "triton" for fused kernels on a CUDA device, or "native"
        for kernels that are compiled for the CPU. "auto" is "triton" on a CUDA
        device if that package is installed, and otherwise "torch".
    RETURNS (Model[List[Doc], Floats2d]): From docs to the probabilities of the
        categories, (n_docs, n_labels); in training to their logits.
    RAISES (SettingsError): A setting is out of range or unknown.
    """
    if device == "auto":
        # Resolved now rather than at loading: thinc's setting is per thread.
        device = str(get_torch_default_device())
        if device == "cpu" and not has_cupy_gpu and torch.cuda.is_available():
            warn_once(Warnings.W006)
    settings = Settings(
        precision=precision,
        device=device,
        window=window,
        stride=stride,
        max_windows=max_windows,
        max_batch_tokens=max_batch_tokens,
        kernels=kernels,
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
        dims={"nO": None},  # known once weights are loaded; `add_label` changes it
        shims=[ClassifierShim(source, settings, trainable_layers)],
    )


def forward(
    model: Model[list[Doc], Floats2d], docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[..., Any]]:
    """Score docs (or spans) as the component does, with its settings. In training,
    return logits, whose gradient the callback passes on to the parameters."""
    shim, queries = get_shim(model), [Query(doc.text) for doc in docs]
    if not is_train:
        answers = shim.answer(queries, shim.cfg)
        scores = np.zeros((len(docs), len(shim.labels)), dtype=np.float32)
        for row, answer in zip(scores, answers, strict=True):
            row[:] = answer.probabilities
        return model.ops.asarray2f(cast(Floats2d, scores)), lambda d_scores: []
    logits, backprop_logits = shim.begin(queries, shim.cfg)

    def backprop(d_logits: Floats2d) -> list[Doc]:
        backprop_logits(model.ops.to_numpy(d_logits).astype(np.float32))
        return []

    return model.ops.asarray2f(cast(Floats2d, logits)), backprop


def get_shim(model: Model) -> ClassifierShim:
    """model (Model): From `create_duoguard`.
    RETURNS (ClassifierShim): The shim that holds its classifier.
    RAISES (SettingsError): The model has another architecture."""
    for shim in model.shims:
        if isinstance(shim, ClassifierShim):
            return shim
    raise SettingsError(Errors.E048.format(name=model.name))
