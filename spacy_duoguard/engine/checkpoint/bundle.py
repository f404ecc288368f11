"""Loading and saving a model: decoder, tokenizer and their provenance."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...errors import CheckpointError, Errors, SettingsError, Warnings
from ..network.config import DecoderConfig
from ..network.decoder import Decoder
from ..network.device import resolve_device, resolve_precision
from ..network.threads import leave_parents_threads
from ..network.trainable import check_depth, check_trainable
from ..settings import Settings, check_windows
from ..text.tokenizer import TextTokenizer
from ..user_warnings import warn_once
from .atomic_folder import staged
from .files import parse_json
from .manifest import (
    MANIFEST,
    add_manifest,
    check_digest,
    digest,
    dump_manifest,
    make_manifest,
    parse_manifest,
)
from .processes import share_weights
from .provenance import (
    FORMAT_VERSION,
    PROVENANCE,
    check_format,
    check_saved,
    read_file,
    read_provenance,
)
from .published import published_tokenizer
from .repository import (
    DEMO,
    HubRepository,
    Repository,
    SavedFolder,
    open_repository,
)
from .safetensors import StoredTensor, parse_tensors
from .self_test import check_self_test, run_self_test
from .weights import (
    WEIGHTS,
    dump_weights,
    load_decoder,
    open_weights,
    write_weights,
)

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TRAINED = "trained_layers"

share_weights()


@dataclass(frozen=True)
class Bundle:
    """The parts of a classifier."""

    decoder: Decoder
    tokenizer: TextTokenizer
    provenance: dict[str, Any]  # names, revisions and commits of the sources


def load_bundle(
    name: str,
    settings: Settings,
    *,
    revision: str = "main",
    tokenizer: str | None = None,
    tokenizer_revision: str = "main",
) -> Bundle:
    """Load from a folder or from the hub. See `Classifier.from_pretrained` for the
    arguments."""
    model = open_repository(name, revision=revision)
    if tokenizer is None and isinstance(model, HubRepository):
        tokenizer = published_tokenizer(name)
    tokenizer_source = model
    if tokenizer is not None:
        tokenizer_source = open_repository(tokenizer, revision=tokenizer_revision)
    provenance = {
        "model": name,
        "revision": revision,
        "tokenizer": tokenizer,
        "tokenizer_revision": tokenizer_revision if tokenizer else revision,
    }
    return _load(model, tokenizer_source, settings, provenance)


def read_bundle(path: str | Path, settings: Settings, *, inner: str = "") -> Bundle:
    """Load what `write_bundle` wrote. It must be complete and unchanged.

    path (str / Path): The folder.
    settings (Settings): The settings to load with.
    inner (str): The subfolder to load from, if the model is part of a larger save.
    RETURNS (Bundle): The model.
    RAISES (CheckpointError): A file is missing or was changed.
    """
    folder = SavedFolder(Path(path), inner)
    return _load(folder, folder, settings, {}, restore=True)


def write_bundle(bundle: Bundle, path: str | Path) -> None:
    """Write a folder that `load_bundle` and `transformers` can load. If interrupted, it
    leaves either the previous version or the new one.

    bundle (Bundle): The model.
    path (str / Path): The folder, created if it does not exist.
    """
    with staged(Path(path)) as aside:
        fill_folder(bundle, aside)


def fill_folder(bundle: Bundle, folder: Path) -> None:
    """Like `write_bundle`, into a new folder that the caller puts in place.

    bundle (Bundle): The model.
    folder (Path): The existing, empty folder.
    RAISES (CheckpointError): The weights give scores that are not finite.
    """
    self_test = run_self_test(bundle.decoder, bundle.tokenizer)
    write_weights(bundle.decoder, folder / WEIGHTS)
    provenance = {"format_version": FORMAT_VERSION, **_record(bundle)}
    for filename, text in (
        (CONFIG, _config_json(bundle.decoder)),
        (TOKENIZER, bundle.tokenizer.data),
        (PROVENANCE, json.dumps(provenance, indent=2)),
    ):
        (folder / filename).write_bytes(text.encode("utf8"))
    add_manifest(folder, self_test=self_test)


def bundle_to_dict(bundle: Bundle) -> dict[str, Any]:
    """bundle (Bundle): The model.
    RETURNS (Dict[str, Any]): Strings and bytes, for `bundle_from_dict`."""
    self_test = run_self_test(bundle.decoder, bundle.tokenizer)
    parts: dict[str, Any] = {
        "config": _config_json(bundle.decoder),
        "tokenizer": bundle.tokenizer.data,
        "weights": dump_weights(bundle.decoder),
        "provenance": json.dumps(_record(bundle)),
    }
    digests = {name: digest(part) for name, part in parts.items()}
    manifest = make_manifest(digests, self_test=self_test)
    return {
        "format_version": FORMAT_VERSION,
        **parts,
        MANIFEST: dump_manifest(manifest),
    }


def bundle_from_dict(data: Any, settings: Settings) -> Bundle:
    """data (Any): From `bundle_to_dict`.
    settings (Settings): The settings to load with.
    RETURNS (Bundle): The model.
    RAISES (CheckpointError): The data is incomplete or was changed."""
    source = "the saved bytes"
    kinds = {"config": str, "tokenizer": str, "weights": bytes, "provenance": str}
    if not isinstance(data, Mapping) or not all(
        isinstance(data.get(key), kind) for key, kind in kinds.items()
    ):
        problem = f"not a mapping with {', '.join(kinds)}"
        message = Errors.E018.format(source=source, kind="a model", problem=problem)
        raise CheckpointError(message)
    check_format(data.get("format_version"), source)
    manifest = parse_manifest(data.get(MANIFEST), source=source)
    for name in kinds:
        check_digest(manifest, name, digest(data[name]), source=source)
    return _build(
        DecoderConfig.from_json(data["config"]),
        TextTokenizer(data["tokenizer"], source=source),
        settings,
        lambda: parse_tensors(data["weights"], source=source),
        source=source,
        provenance=parse_json(data["provenance"], source, PROVENANCE),
        restore=True,
        self_test=manifest.get("self_test"),
    )


def _load(
    model: Repository,
    tokenizer_source: Repository,
    settings: Settings,
    provenance: dict[str, Any],
    *,
    restore: bool = False,
) -> Bundle:
    """Load weights and tokenizer, which may come from two repositories."""
    manifest = check_saved(model, required=restore)
    config = DecoderConfig.from_json(read_file(model, CONFIG))
    remedy = "Set tokenizer to the folder or hub name of the one it was trained with."
    data = read_file(tokenizer_source, TOKENIZER, remedy=remedy)
    commits = {"commit": model.commit, "tokenizer_commit": tokenizer_source.commit}
    saved = read_provenance(model)
    if tokenizer_source is not model:
        saved = {key: value for key, value in saved.items() if "tokenizer" not in key}
    return _build(
        config,
        TextTokenizer(data, source=tokenizer_source.name),
        settings,
        lambda: open_weights(model),
        source=model.name,
        provenance={**provenance, **commits, **saved},
        restore=restore,
        self_test=manifest.get("self_test") if tokenizer_source is model else None,
    )


def check_parts(
    config: DecoderConfig, tokenizer: TextTokenizer, settings: Settings
) -> None:
    """Check that the parts of a classifier fit each other.

    config (DecoderConfig): The architecture.
    tokenizer (TextTokenizer): The tokenizer.
    settings (Settings): The settings, with window and stride.
    RAISES (CheckpointError): The head has other categories, or the tokenizer belongs to
        another model.
    RAISES (SettingsError): Windows leave gaps or exceed the model's positions.
    """
    expected, positions = len(config.labels), config.max_position_embeddings
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


def _build(
    config: DecoderConfig,
    tokenizer: TextTokenizer,
    settings: Settings,
    weights: Callable[[], Mapping[str, StoredTensor]],
    *,
    source: str,
    provenance: dict[str, Any],
    restore: bool = False,
    self_test: Any = None,
) -> Bundle:
    if provenance.get("model") == DEMO:  # also if it was saved elsewhere since
        warn_once(Warnings.W001)
    leave_parents_threads()
    check_parts(config, tokenizer, settings)  # before downloading a gigabyte
    device = resolve_device(settings.device)
    dtype = resolve_precision(settings.precision, device)
    trained = _read_trained(provenance.pop(TRAINED, 0), config, source)
    # In an inference mode of other code, weights are made that can't be trained.
    with torch.inference_mode(False):
        decoder = load_decoder(
            config,
            weights(),
            source=source,
            device=device,
            dtype=dtype,
            trained_layers=trained if restore else 0,
        )
    if self_test is not None:
        check_self_test(self_test, decoder, tokenizer, source=source)
    return Bundle(decoder, tokenizer, provenance)


def _record(bundle: Bundle) -> dict[str, Any]:
    """The provenance to save, with the number of trained layers."""
    trained = bundle.decoder.trained_layers
    return {**bundle.provenance, **({} if trained == 0 else {TRAINED: trained})}


def _read_trained(value: Any, config: DecoderConfig, source: str) -> int | None:
    try:
        check_trainable(value)
        check_depth(config, value)
    except SettingsError as e:
        message = Errors.E018.format(source=source, kind=PROVENANCE, problem=e)
        raise CheckpointError(message) from e
    return value


def _config_json(decoder: Decoder) -> str:
    config = decoder.config.to_dict(decoder.config.labels)
    config["torch_dtype"] = str(decoder.dtype).removeprefix("torch.")
    return json.dumps(config, indent=2)
