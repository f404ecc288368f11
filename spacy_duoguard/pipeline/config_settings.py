"""Settings that only the config of a pipeline sets. They aren't restored, so that a
pipeline scores as its config says, but they are saved, to warn of a difference."""

from collections.abc import Iterator, Mapping
from typing import Any

from spacy.pipeline import TrainablePipe

from .architecture import get_shim
from .settings import DEFAULT_CONFIG, check_settings, dump_settings, warn_of_default

# What the saved bytes have as "config": all that changes what a text scores.
_OF_MODEL: tuple[str, ...] = ("window", "stride", "max_windows", "precision")


def dump_all_settings(component: TrainablePipe) -> bytes:
    """component (DuoGuard): The component.
    RETURNS (bytes): Its settings, as JSON.
    RAISES (SettingsError): With them, it could not be loaded again."""
    shim = get_shim(component.model)
    check_settings(component.cfg, shim.labels if shim.is_loaded else None)
    return dump_settings(component.cfg, component.configured, describe(component))


def describe(component: TrainablePipe) -> dict[str, Any]:
    """component (DuoGuard): The component.
    RETURNS (Dict[str, Any]): Its settings by their names in the config, those of its
        model with "model.". Functions are described by their names."""
    shim = get_shim(component.model)
    getter = None if component.sents else component.span_getter
    described = {
        "sents": component.sents,
        "span_getter": getter if getter is None else _name_of(getter),
        "span_context": component.span_context,
        "views": [name for name, _ in shim.views] or None,
    }
    for key in _OF_MODEL:
        described[f"model.{key}"] = getattr(shim.settings, key)
    return described


def warn_of_others(
    component: TrainablePipe, saved: Mapping[str, Any], *, with_model: bool
) -> None:
    """Warn of each setting that has its default here and was saved with another value.

    component (DuoGuard): The component.
    saved (Mapping[str, Any]): From `describe`.
    with_model (bool): Whether the model is the saved one, too.
    """
    for key, mine, default in _with_defaults(component):
        if key in saved and (with_model or not key.startswith("model.")):
            warn_of_default(component.name, key, saved[key], mine, default)


def _with_defaults(component: TrainablePipe) -> Iterator[tuple[str, Any, Any]]:
    for key, value in describe(component).items():
        outer, _, inner = key.rpartition(".")
        defaults = DEFAULT_CONFIG[outer] if outer else DEFAULT_CONFIG
        yield key, value, defaults[inner]


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}"
