"""Saving and loading the component: weights, tokenizer and settings."""

import gc
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import srsly
from spacy.pipeline import TrainablePipe
from spacy.vocab import Vocab

from ..engine.checkpoint.atomic_folder import locate, staged
from ..engine.checkpoint.manifest import (
    MANIFEST,
    check_digest,
    digest,
    dump_manifest,
    make_manifest,
    parse_manifest,
    read_checked,
    read_manifest,
)
from ..errors import CheckpointError, Errors, SettingsError
from .architecture import get_shim
from .config_settings import dump_all_settings, warn_of_others
from .settings import DEFAULT_CONFIG, RUN_TIME_SETTINGS, restore_settings
from .shim import load_msgpack

_BYTES = "the saved bytes"


def to_bytes(component: TrainablePipe, exclude: Iterable[str]) -> bytes:
    """component (DuoGuard), exclude (Iterable[str]): As for `DuoGuard.to_bytes`.
    RETURNS (bytes): The serialized component."""
    exclude = _read_exclude(exclude)
    contents = _dump(component, exclude)
    manifest = make_manifest(
        {name: digest(content) for name, content in contents.items()}
    )
    if "model" not in exclude:
        contents["model"] = get_shim(component.model).to_bytes()
    return srsly.msgpack_dumps({**contents, MANIFEST: dump_manifest(manifest)})


def from_bytes(component: TrainablePipe, data: bytes, exclude: Iterable[str]) -> None:
    """component (DuoGuard), data (bytes), exclude (Iterable[str]): As for
    `DuoGuard.from_bytes`."""
    exclude = _read_exclude(exclude)
    contents = load_msgpack(data)
    manifest = parse_manifest(contents.get(MANIFEST), source=_BYTES)

    def read(name: str) -> bytes:
        content = contents.get(name)
        if not isinstance(content, bytes):
            raise CheckpointError(Errors.E106.format(source=_BYTES, part=name))
        if name != "model":  # has its own manifest
            check_digest(manifest, name, digest(content), source=_BYTES)
        return content

    shim = get_shim(component.model)
    _load(component, read, lambda: shim.from_bytes(read("model")), exclude)


def to_disk(component: TrainablePipe, path: Path, exclude: Iterable[str]) -> None:
    """component (DuoGuard), path (Path), exclude (Iterable[str]): As for
    `DuoGuard.to_disk`."""
    exclude = _read_exclude(exclude)
    with staged(path) as aside:
        for name, content in _dump(component, exclude).items():
            (aside / name).write_bytes(content)
        if "model" not in exclude:
            (aside / "model").mkdir()
            get_shim(component.model).to_disk(aside / "model")


def from_disk(component: TrainablePipe, path: Path, exclude: Iterable[str]) -> None:
    """component (DuoGuard), path (Path), exclude (Iterable[str]): As for
    `DuoGuard.from_disk`."""
    exclude = _read_exclude(exclude)
    manifest = read_manifest(locate(path, MANIFEST))

    def read(name: str) -> bytes:
        if name not in manifest["files"]:
            raise CheckpointError(Errors.E106.format(source=path, part=name))
        return read_checked(manifest, name, locate(path, name), source=str(path))

    def read_model() -> None:
        read(f"model/{MANIFEST}")
        get_shim(component.model).from_disk(path, inner="model")

    _load(component, read, read_model, exclude)


def read_settings(path: Path, block: Mapping[str, Any]) -> dict[str, Any]:
    """path (Path): The folder of a saved component.
    block (Mapping[str, Any]): Its block in the config of its pipeline.
    RETURNS (Dict[str, Any]): The settings that it has once it's loaded: those of the
        config, and those that were changed on the component.
    RAISES (CheckpointError): A file is missing or damaged.
    RAISES (SettingsError): A setting is not allowed."""
    manifest = read_manifest(locate(path, MANIFEST))
    data = read_checked(manifest, "cfg", locate(path, "cfg"), source=str(path))
    configured = {key: block.get(key, DEFAULT_CONFIG[key]) for key in RUN_TIME_SETTINGS}
    return restore_settings(data, configured, name=path.name)[0]


def _read_exclude(exclude: Any) -> Collection[str]:
    """exclude (Iterable[str]): What to leave out, or a single name.
    RETURNS (Collection[str]): The names, which can be looked up any number of times.
    RAISES (SettingsError): It isn't a list of names."""
    names = [exclude] if isinstance(exclude, str) else exclude
    if isinstance(names, Iterable):
        names = tuple(names)
        if all(isinstance(name, str) for name in names):
            return names
    raise SettingsError(Errors.E332.format(value=exclude))


def _dump(component: TrainablePipe, exclude: Iterable[str]) -> dict[str, bytes]:
    """What is saved besides the model. With settings that are not allowed, it could not
    be loaded again."""
    contents = {}
    if "cfg" not in exclude:
        contents["cfg"] = dump_all_settings(component)
    if "vocab" not in exclude:
        contents["vocab"] = component.vocab.to_bytes(exclude=exclude)
    return contents


def _load(
    component: TrainablePipe,
    read: Callable[[str], bytes],
    read_model: Callable[[], Any],
    exclude: Iterable[str],
) -> None:
    """Restore everything, or nothing."""
    shim = get_shim(component.model)
    contents = {name: read(name) for name in ("cfg", "vocab") if name not in exclude}
    with shim.replaced():
        if "model" not in exclude:
            read_model()
        settings: Mapping[str, Any] = {}
        if "cfg" in contents:
            settings, others = restore_settings(
                contents["cfg"],
                component.configured,
                name=component.name,
                labels=shim.labels if shim.is_loaded else None,
            )
            warn_of_others(component, others, with_model="model" not in exclude)
        if "vocab" in contents:
            _restore_vocab(component.vocab, contents["vocab"], exclude, component.name)
        if settings:
            component.cfg = dict(settings)


def _restore_vocab(
    vocab: Vocab, data: bytes, exclude: Iterable[str], name: str
) -> None:
    """RAISES (CheckpointError): The bytes are damaged. Nothing was changed."""
    collects = gc.isenabled()
    try:
        Vocab().from_bytes(data, exclude=exclude)  # spaCy stops where the damage is
        vocab.from_bytes(data, exclude=exclude)
    except Exception as e:  # spaCy's errors have no common base
        if collects:  # msgpack leaves it off
            gc.enable()
        message = Errors.E018.format(
            source=name, kind="a vocab", problem=type(e).__name__
        )
        raise CheckpointError(message) from e
