"""The shim of the thinc model: a `Classifier` that is loaded when first needed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import srsly
import torch
from thinc.api import Optimizer, Shim, torch2xp
from thinc.compat import has_cupy_gpu

from ..engine.checkpoint.bundle import (
    Bundle,
    bundle_from_dict,
    bundle_to_dict,
    load_bundle,
    read_bundle,
)
from ..engine.classifier import Classifier
from ..engine.fork_lock import ForkLock
from ..engine.network.trainable import (
    add_labels,
    check_depth,
    swapped,
    trained_parameters,
)
from ..engine.prefix_scores import Query
from ..engine.settings import Settings
from ..engine.text.ahead import SplitAhead
from ..engine.text.views.functions import ViewFunctions
from ..engine.text_scores import TextScores
from ..engine.training.trainer import Backprop, Trainer
from ..errors import CheckpointError, Errors, ScoringError, SettingsError
from ..taxonomy import CATEGORIES

# msgpack's longest byte string, less some room for what is saved with the weights.
_MAX_BYTES = 2**32 - 2**26


class ClassifierShim(Shim):
    """Holds a classifier, or what is needed to load it, and applies optimizer steps."""

    def __init__(
        self,
        source: dict[str, Any],
        settings: Settings,
        trainable_layers: int | None = None,
    ) -> None:
        """source (Dict[str, Any]): Arguments of `load_bundle`.
        settings (Settings): How to score.
        trainable_layers (Optional[int]): What to train."""
        # The component that scores with the model replaces `cfg` with its own.
        super().__init__(None, config={"max_chars": None, "normalize": False})
        self.views: ViewFunctions = ()  # the component's, like `cfg`
        self.source = source
        self.settings = settings
        self.trainable_layers = trainable_layers
        self._added: list[str] = []  # categories added before the weights were loaded
        self._trainer: Trainer | None = None
        self._lock = ForkLock(is_awaited=True)
        self._loads = 0

    @property
    def is_loaded(self) -> bool:
        """RETURNS (bool): Whether there are weights."""
        return self._model is not None

    @property
    def classifier(self) -> Classifier:
        """RETURNS (Classifier): The classifier, loaded on first use."""
        if self._model is None:
            with self._lock.plain:  # in a server, two threads must not both load
                if self._model is None:
                    bundle = load_bundle(settings=self.settings, **self.source)
                    known = bundle.decoder.config.labels
                    missing = [name for name in self._added if name not in known]
                    add_labels(bundle.decoder, missing)
                    self._set(bundle)
        return self._model

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The categories, as far as they are known before
        the weights are loaded."""
        if self._model is None:
            return (*CATEGORIES, *self._added)
        return self._model.labels

    def add_label(self, label: str) -> None:
        """label (str): A new category."""
        if self._model is None:
            self._added.append(label)
        else:
            add_labels(self._model.decoder, [label])

    def answer(
        self,
        queries: Sequence[Query],
        cfg: Mapping[str, Any],
        ahead: SplitAhead | None = None,
    ) -> list[TextScores]:
        """Score texts: `component.predict` and `model.predict` both end here.

        queries (Sequence[Query]): What to score.
        cfg (Mapping[str, Any]): With `max_chars` and `normalize`.
        ahead (Optional[SplitAhead]): As for `Classifier.answer`.
        RETURNS (List[TextScores]): One for each query, in order.
        RAISES (ScoringError): A logit is not finite.
        """
        limits = {key: cfg[key] for key in ("max_chars", "normalize")}
        return self.classifier.answer(queries, **limits, views=self.views, ahead=ahead)

    def begin(
        self, queries: Sequence[Query], cfg: Mapping[str, Any]
    ) -> tuple[np.ndarray, Backprop]:
        """Compute logits to train on: `component.update` and `model.begin_update` both
        end here. Training reads each text as it is, without `normalize`.

        queries (Sequence[Query]), cfg (Mapping[str, Any]): As for `answer`.
        RETURNS (Tuple[ndarray, Callable]): As from `Trainer.begin`.
        """
        return self.trainer.begin(queries, max_chars=cfg["max_chars"])

    @property
    def trainer(self) -> Trainer:
        """RETURNS (Trainer): Trains the classifier; created at the first step.
        RAISES (SettingsError): `trainable_layers` exceeds the model's layers, or the
            precision is for inference only."""
        if self._trainer is None:
            self.check_trainable()
            self._trainer = Trainer(self.classifier, self.trainable_layers)
        return self._trainer

    def check_trainable(self) -> None:
        """RAISES (SettingsError): As for `trainer`."""
        if self.settings.precision == "int8":
            raise SettingsError(Errors.E069.format(name=self.source["name"]))
        check_depth(self.classifier.decoder.config, self.trainable_layers)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Update the weights in place and clear the gradients.

        optimizer (Optimizer): thinc's, or a function with the same signature.
        RAISES (ScoringError): A gradient is not finite. No weight was changed.
        """
        if self._model is None:
            return
        parameters = trained_parameters(self._model.decoder)
        steps = {n: (p, p.grad) for n, p in parameters.items() if p.grad is not None}
        for name, (_, gradient) in steps.items():
            if not torch.linalg.vector_norm(gradient, torch.inf).isfinite():
                for parameter, _ in steps.values():
                    parameter.grad = None
                raise ScoringError(Errors.E072.format(name=name))
        for name, (parameter, gradient) in steps.items():
            parameter.grad = None
            key = self._key(name, parameter)
            updated, _ = optimizer(key, _to_array(parameter), _to_array(gradient))
            with torch.no_grad():
                parameter.copy_(_to_tensor(updated))

    @contextmanager
    def use_params(self, params: Mapping[Any, Any]) -> Iterator[None]:
        """Use other parameter values in a block, such as an optimizer's averages.
        thinc's own shim doesn't look for the keys its optimizers use.

        params (Mapping[Any, Any]): Arrays, by the keys passed to the optimizer.
        RAISES (SettingsError): An array has another shape than its parameter.
        """
        if self._model is None:
            yield
            return
        decoder = self._model.decoder
        parameters = trained_parameters(decoder)
        keys = {
            name: self._key(name, parameter) for name, parameter in parameters.items()
        }
        values = {
            name: _to_tensor(params[key]) for name, key in keys.items() if key in params
        }
        for name, value in values.items():  # else a smaller one would be repeated
            if value.shape != parameters[name].shape:
                raise SettingsError(Errors.E336.format(name=name))
        with swapped(decoder, values):
            yield

    @contextmanager
    def zone(self) -> Iterator[None]:
        """At the end of the block, forget the features cached in it."""
        before = self._trainer
        with nullcontext() if before is None else before.zone():
            yield
        if before is None and self._trainer is not None:
            self._trainer.forget()

    def _key(self, name: str, parameter: torch.Tensor) -> tuple[int, str]:
        """A head that gained rows gets a new key: its moments have another shape."""
        return self.id, f"{name}:{len(parameter)}"

    def to_device(self, device_type: str, device_id: int) -> None:
        """Called by `Model.to_gpu` and `Model.to_cpu`."""
        kind = "cuda" if device_type == "gpu" else device_type
        device = f"cuda:{device_id}" if kind == "cuda" else kind
        with torch.inference_mode(False):
            self.classifier.decoder.to(torch.device(device))
        self._trainer = None
        self.settings = replace(self.settings, device=device)

    def to_disk(self, path: str | Path) -> None:
        """path (str / Path): The folder for the weights and the tokenizer."""
        self.classifier.to_disk(path)

    def from_disk(self, path: str | Path, *, inner: str = "") -> "ClassifierShim":
        """path (str / Path): The folder that `to_disk` wrote.
        inner (str): As in `read_bundle`.
        RETURNS (ClassifierShim): This shim."""
        self._set(read_bundle(path, self.settings, inner=inner))
        return self

    def to_bytes(self) -> bytes:
        """RETURNS (bytes): The weights and the tokenizer.
        RAISES (SettingsError): The weights are too large for msgpack."""
        tensors = self.classifier.decoder.parameters()
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if size > _MAX_BYTES:
            name = self.source["name"]
            message = Errors.E047.format(name=name, size=size, limit=_MAX_BYTES)
            raise SettingsError(message)
        return srsly.msgpack_dumps(bundle_to_dict(self.classifier.bundle))

    def from_bytes(self, data: bytes) -> "ClassifierShim":
        """data (bytes): From `to_bytes`.
        RETURNS (ClassifierShim): This shim.
        RAISES (CheckpointError): The bytes are not as `to_bytes` returned them."""
        self._set(bundle_from_dict(load_msgpack(data), self.settings))
        return self

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Load weights and settings in a block, and restore the previous classifier if
        it fails. Other threads that score meanwhile notice."""
        with self._lock.plain:
            before = self._model, self._trainer
            self._loads += 1
            try:
                yield
            except BaseException:
                self._model, self._trainer = before
                raise
            finally:
                self._loads += 1

    def count_loads(self) -> int:
        """RETURNS (int): A number that another load changes, once no thread loads."""
        with self._lock.plain:
            return self._loads

    def has_loaded(self, before: int) -> bool:
        """before (int): From `count_loads`.
        RETURNS (bool): Whether weights or settings were loaded since, or are now."""
        return self._loads != before

    def _set(self, bundle: Bundle) -> None:
        self._trainer = None
        self._model = Classifier(bundle, self.settings)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__, _trainer=None)
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=ForkLock(is_awaited=True))


def load_msgpack(data: bytes) -> dict[str, Any]:
    """data (bytes): A serialized mapping.
    RETURNS (Dict[str, Any]): Plain data.
    RAISES (CheckpointError): The bytes are damaged, or not a mapping."""
    try:
        # Not `msgpack_loads`: if that fails, the garbage collector stays off. The hook
        # keeps srsly from decoding arrays.
        content = srsly.msgpack.loads(data, raw=False, object_pairs_hook=dict)
        if not isinstance(content, dict):
            raise ValueError("not a mapping")
    except Exception as e:  # msgpack's errors have no common base
        message = Errors.E018.format(
            source="the saved bytes", kind="a model", problem=type(e).__name__
        )
        raise CheckpointError(message) from e
    return content


def _to_array(tensor: torch.Tensor) -> Any:
    """An array for the optimizer that shares memory with the tensor; a copy if the
    tensor is on a GPU and cupy is not installed."""
    if tensor.device.type == "cuda" and has_cupy_gpu:
        return torch2xp(tensor.detach())
    return tensor.detach().cpu().numpy()


def _to_tensor(array: Any) -> torch.Tensor:
    """A tensor that shares memory with an optimizer's array. thinc's `xp2torch` calls
    what CuPy deprecates."""
    return torch.utils.dlpack.from_dlpack(array)
