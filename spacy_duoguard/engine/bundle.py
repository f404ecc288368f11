"""What a model's folder holds: decoder, tokenizer, and where they came from."""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, Errors, SettingsError, Warnings
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
from .device import resolve_device, resolve_precision
from .files import write_aside
from .hub import (
    DEMO,
    KNOWN_TOKENIZERS,
    Folder,
    HubRepository,
    Repository,
    open_repository,
    require,
)
from .settings import Settings
from .threads import leave_parents_threads
from .trainable import check_depth, check_trainable
from .windows import TextTokenizer, check_windows

FORMAT_VERSION = 1
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
PROVENANCE = "duoguard.json"
TRAINED = "trained_layers"


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
    """Load from a folder or from the hub; the arguments are those of
    `Classifier.from_pretrained`."""
    model = open_repository(name, revision=revision)
    if tokenizer is None and isinstance(model, HubRepository):
        tokenizer = KNOWN_TOKENIZERS.get(name)
    home = model
    if tokenizer is not None:
        home = open_repository(tokenizer, revision=tokenizer_revision)
    provenance = {
        "model": name,
        "revision": revision,
        "tokenizer": tokenizer,
        "tokenizer_revision": tokenizer_revision if tokenizer else revision,
    }
    return _load(model, home, settings, provenance)


def read_bundle(path: str | Path, settings: Settings) -> Bundle:
    """Load what `write_bundle` wrote; never from anywhere else.

    path (str / Path): The folder.
    settings (Settings): Where and how to compute.
    RETURNS (Bundle): The same parts.
    RAISES (CheckpointError): Files that are missing or damaged.
    """
    folder = Folder(Path(path))
    return _load(folder, folder, settings, {}, restore=True)


def write_bundle(bundle: Bundle, path: str | Path) -> None:
    """Write a folder that `load_bundle` reads, and `transformers` too.

    bundle (Bundle): What to write.
    path (str / Path): The folder, made if it does not exist.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    provenance = {"format_version": FORMAT_VERSION, **_record(bundle)}
    write_weights(bundle.decoder, folder / WEIGHTS)
    for filename, text in (
        (CONFIG, _config_json(bundle.decoder)),
        (TOKENIZER, bundle.tokenizer.data),
        (PROVENANCE, json.dumps(provenance, indent=2)),
    ):
        with write_aside(folder / filename) as aside:
            aside.write_text(text, encoding="utf8")


def bundle_to_dict(bundle: Bundle) -> dict[str, Any]:
    """bundle (Bundle): What to write.
    RETURNS (Dict[str, Any]): Strings and bytes, for `bundle_from_dict`."""
    return {
        "format_version": FORMAT_VERSION,
        "config": _config_json(bundle.decoder),
        "tokenizer": bundle.tokenizer.data,
        "weights": dump_weights(bundle.decoder),
        "provenance": _record(bundle),
    }


def bundle_from_dict(data: Mapping[str, Any], settings: Settings) -> Bundle:
    """data (Mapping[str, Any]): From `bundle_to_dict`.
    settings (Settings): Where and how to compute.
    RETURNS (Bundle): The same parts."""
    source = "the saved bytes"
    kinds = {"config": str, "tokenizer": str, "weights": bytes, "provenance": dict}
    if not isinstance(data, Mapping) or not all(
        isinstance(data.get(key), kind) for key, kind in kinds.items()
    ):
        problem = f"not a mapping with {', '.join(kinds)}"
        message = Errors.E018.format(source=source, kind="a model", problem=problem)
        raise CheckpointError(message)
    _check_format(data.get("format_version"), source)
    return _build(
        DecoderConfig.from_json(data["config"]),
        TextTokenizer(data["tokenizer"], source=source),
        settings,
        lambda: parse_weights(data["weights"], source=source),
        source=source,
        provenance=dict(data["provenance"]),
        restore=True,
    )


def _load(
    model: Repository,
    home: Repository,
    settings: Settings,
    provenance: dict[str, Any],
    *,
    restore: bool = False,
) -> Bundle:
    """Load the weights of one place and the tokenizer of another."""
    config = DecoderConfig.from_json(_read(model, CONFIG))
    remedy = "Set tokenizer to the folder or hub name of the one it was trained with."
    data = _read(home, TOKENIZER, remedy=remedy)
    commits = {"commit": model.commit, "tokenizer_commit": home.commit}
    own = _read_provenance(model)
    if home is not model:
        own = {key: value for key, value in own.items() if "tokenizer" not in key}
    return _build(
        config,
        TextTokenizer(data, source=home.name),
        settings,
        lambda: open_weights(model),
        source=model.name,
        provenance={**provenance, **commits, **own},
        restore=restore,
    )


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
    weights: Callable[[], Mapping[str, Stored]],
    *,
    source: str,
    provenance: dict[str, Any],
    restore: bool = False,
) -> Bundle:
    if provenance.get("model") == DEMO:  # also where it was saved under another name
        warnings.warn(Warnings.W001, stacklevel=2)
    leave_parents_threads()
    check_parts(config, tokenizer, settings)  # before a gigabyte is downloaded
    device = resolve_device(settings.device)
    dtype = resolve_precision(settings.precision, device)
    trained = _read_trained(provenance.pop(TRAINED, 0), config, source)
    decoder = load_decoder(
        config,
        weights(),
        source=source,
        device=device,
        dtype=dtype,
        trained_layers=trained if restore else 0,
    )
    return Bundle(decoder, tokenizer, provenance)


def _record(bundle: Bundle) -> dict[str, Any]:
    """What is to be known of the weights beside themselves."""
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


def _read(repository: Repository, filename: str, *, remedy: str = "") -> str:
    path = require(repository, filename, remedy=remedy)
    try:
        return path.read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as e:
        message = Errors.E018.format(
            source=repository.name, kind=filename, problem=type(e).__name__
        )
        raise CheckpointError(message) from e


def _read_provenance(repository: Repository) -> dict[str, Any]:
    """What `write_bundle` noted; nothing for a folder that others made."""
    if not isinstance(repository, Folder) or repository.find(PROVENANCE) is None:
        return {}
    try:
        provenance = dict(json.loads(_read(repository, PROVENANCE)))
    except (ValueError, TypeError) as e:
        message = Errors.E018.format(
            source=repository.name, kind=PROVENANCE, problem=type(e).__name__
        )
        raise CheckpointError(message) from e
    _check_format(provenance.pop("format_version", None), repository.name)
    return provenance


def _check_format(version: Any, source: str) -> None:
    if version != FORMAT_VERSION:
        message = Errors.E021.format(
            name=source, version=version, supported=FORMAT_VERSION
        )
        raise CheckpointError(message)
