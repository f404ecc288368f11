"""What the thinc model wraps: a `Classifier` that loads when it is first needed."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import srsly
import torch
from thinc.api import Optimizer, Shim, torch2xp, xp2torch
from thinc.compat import has_cupy_gpu

from ..engine.checkpoint.bundle import (
    Bundle,
    bundle_from_dict,
    bundle_to_dict,
    load_bundle,
    read_bundle,
)
from ..engine.classifier import Classifier
from ..engine.network.trainable import (
    add_labels,
    check_depth,
    swapped,
    trained_parameters,
)
from ..engine.settings import Settings
from ..engine.training.trainer import Trainer
from ..errors import CheckpointError, Errors, ScoringError, SettingsError
from ..taxonomy import CATEGORIES

# The longest byte string that msgpack can hold, less room for all but the weights.
_MAX_BYTES = 2**32 - 2**26


class ClassifierShim(Shim):
    """Holds a classifier, or what is needed to load it, and trains it."""

    def __init__(
        self,
        source: dict[str, Any],
        settings: Settings,
        trainable_layers: int | None = None,
    ) -> None:
        """source (Dict[str, Any]): Arguments of `load_bundle`.
        settings (Settings): How to score.
        trainable_layers (Optional[int]): What to train."""
        super().__init__(None)
        self.source = source
        self.settings = settings
        self.trainable_layers = trainable_layers
        self._added: list[str] = []  # categories that came before the weights
        self._trainer: Trainer | None = None
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
                    bundle = load_bundle(settings=self.settings, **self.source)
                    known = bundle.decoder.config.labels
                    missing = [name for name in self._added if name not in known]
                    add_labels(bundle.decoder, missing)
                    self._set(bundle)
        return self._model

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories, as far as they are known before the weights arrive."""
        if self._model is None:
            return (*CATEGORIES, *self._added)
        return self._model.labels

    def add_label(self, label: str) -> None:
        """label (str): A new category."""
        if self._model is None:
            self._added.append(label)
        else:
            add_labels(self._model.decoder, [label])

    @property
    def trainer(self) -> Trainer:
        """What trains the classifier, made at the first step.

        RAISES (SettingsError): More trainable layers than there are, or a precision
            for inference only.
        """
        if self._trainer is None:
            self.check_trainable()
            self._trainer = Trainer(self.classifier, self.trainable_layers)
        return self._trainer

    def check_trainable(self) -> None:
        """RAISES (SettingsError): As `trainer`."""
        if self.settings.precision == "int8":
            raise SettingsError(Errors.E069.format(name=self.source["name"]))
        check_depth(self.classifier.decoder.config, self.trainable_layers)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Take a step along the gradients, in place, and forget them.

        optimizer (Optimizer): thinc's, or a function of that form.
        RAISES (ScoringError): A gradient is not finite; no weight was changed.
        """
        if self._model is None:
            return
        parameters = trained_parameters(self._model.decoder)
        moving = {n: (p, p.grad) for n, p in parameters.items() if p.grad is not None}
        for name, (_, gradient) in moving.items():
            if not torch.linalg.vector_norm(gradient, torch.inf).isfinite():
                for parameter, _ in moving.values():
                    parameter.grad = None
                raise ScoringError(Errors.E072.format(name=name))
        for name, (parameter, gradient) in moving.items():
            parameter.grad = None
            key = self._key(name, parameter)
            updated, _ = optimizer(key, _to_array(parameter), _to_array(gradient))
            with torch.no_grad():
                parameter.copy_(xp2torch(updated, device=parameter.device))

    @contextmanager
    def use_params(self, params: Mapping[Any, Any]) -> Iterator[None]:
        """A block in which the parameters have other values, as the averages that an
        optimizer keeps. thinc's own shim looks for other keys than its optimizers use.

        params (Mapping[Any, Any]): Arrays by the keys that the optimizer was given.
        """
        if self._model is None:
            yield
            return
        decoder = self._model.decoder
        keys = {
            name: self._key(name, parameter)
            for name, parameter in trained_parameters(decoder).items()
        }
        values = {
            name: xp2torch(params[key]) for name, key in keys.items() if key in params
        }
        with swapped(decoder, values):
            yield

    @contextmanager
    def zone(self) -> Iterator[None]:
        """A block after which the features that were kept in it are forgotten."""
        before = self._trainer
        with nullcontext() if before is None else before.zone():
            yield
        if before is None and self._trainer is not None:
            self._trainer.forget()

    def _key(self, name: str, parameter: torch.Tensor) -> tuple[int, str]:
        """A head that has grown begins anew: its moments have another shape."""
        return self.id, f"{name}:{len(parameter)}"

    def to_device(self, device_type: str, device_id: int) -> None:
        """Called by `Model.to_gpu` and `Model.to_cpu`."""
        kind = "cuda" if device_type == "gpu" else device_type
        device = f"cuda:{device_id}" if kind == "cuda" else kind
        self.classifier.decoder.to(torch.device(device))
        self._trainer = None
        self.settings = replace(self.settings, device=device)

    def to_disk(self, path: str | Path) -> None:
        """path (str / Path): The folder for the weights and the tokenizer."""
        self.classifier.to_disk(path)

    def from_disk(self, path: str | Path, *, inner: str = "") -> "ClassifierShim":
        """path (str / Path): The folder that `to_disk` wrote.
        inner (str): As for `read_bundle`."""
        self._set(read_bundle(path, self.settings, inner=inner))
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
        """RAISES (CheckpointError): They are not as `to_bytes` returned them."""
        self._set(bundle_from_dict(load_msgpack(data), self.settings))
        return self

    @contextmanager
    def restored_on_error(self) -> Iterator[None]:
        """A block that leaves the classifier of before if it fails."""
        before = self._model, self._trainer
        try:
            yield
        except BaseException:
            self._model, self._trainer = before
            raise

    def _set(self, bundle: Bundle) -> None:
        self._trainer = None
        self._model = Classifier(bundle, self.settings)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__, _trainer=None)
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def load_msgpack(data: bytes) -> dict[str, Any]:
    """data (bytes): A serialized mapping.
    RETURNS (Dict[str, Any]): Plain data.
    RAISES (CheckpointError): It is damaged, or no mapping."""
    try:
        # Not `msgpack_loads`, which leaves the garbage collector off where it fails,
        # and with a hook that leaves out srsly's own for arrays.
        found = srsly.msgpack.loads(data, raw=False, object_pairs_hook=dict)
        if not isinstance(found, dict):
            raise ValueError("not a mapping")
    except Exception as e:  # msgpack's errors have no base of their own
        message = Errors.E018.format(
            source="the saved bytes", kind="a model", problem=type(e).__name__
        )
        raise CheckpointError(message) from e
    return found


def _to_array(tensor: torch.Tensor) -> Any:
    """An array for an optimizer, over the same memory where that can be: without cupy,
    what is on a GPU is copied."""
    if tensor.device.type == "cuda" and has_cupy_gpu:
        return torch2xp(tensor.detach())
    return tensor.detach().cpu().numpy()
