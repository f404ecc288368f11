"""What a model's folder holds: decoder, tokenizer, and where they came from."""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, Errors, SettingsError, Warnings
from ..network.config import DecoderConfig
from ..network.decoder import Decoder
from ..network.device import resolve_device, resolve_precision
from ..network.threads import leave_parents_threads
from ..network.trainable import check_depth, check_trainable
from ..settings import Settings, check_windows
from ..text.tokenizer import TextTokenizer
from .atomic_folder import staged
from .files import parse_json
from .manifest import (
    MANIFEST,
    compare,
    digest,
    dump_manifest,
    parse_manifest,
    seal,
    seal_folder,
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
from .repository import (
    DEMO,
    KNOWN_TOKENIZERS,
    HubRepository,
    Repository,
    SavedFolder,
    open_repository,
)
from .safetensors import Stored, parse_tensors
from .self_test import check_canary, sing
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


def read_bundle(path: str | Path, settings: Settings, *, inner: str = "") -> Bundle:
    """Load what `write_bundle` wrote, to the bit; never from anywhere else.

    path (str / Path): The folder.
    settings (Settings): Where and how to compute.
    inner (str): A folder inside, where a larger save has put it.
    RETURNS (Bundle): The same parts.
    RAISES (CheckpointError): Files that are missing or not as they were saved.
    """
    folder = SavedFolder(Path(path), inner)
    return _load(folder, folder, settings, {}, restore=True)


def write_bundle(bundle: Bundle, path: str | Path) -> None:
    """Write a folder that `load_bundle` reads, and `transformers` too. What is killed
    leaves the version of before, or this one.

    path (str / Path): The folder, made if it does not exist.
    """
    with staged(Path(path)) as aside:
        fill_folder(bundle, aside)


def fill_folder(bundle: Bundle, folder: Path) -> None:
    """As `write_bundle`, into a new folder whose fate is the caller's.

    bundle (Bundle): What to write.
    folder (Path): The folder, which is there.
    RAISES (CheckpointError): The weights give no scores.
    """
    canary = sing(bundle.decoder, bundle.tokenizer)
    write_weights(bundle.decoder, folder / WEIGHTS)
    provenance = {"format_version": FORMAT_VERSION, **_record(bundle)}
    for filename, text in (
        (CONFIG, _config_json(bundle.decoder)),
        (TOKENIZER, bundle.tokenizer.data),
        (PROVENANCE, json.dumps(provenance, indent=2)),
    ):
        (folder / filename).write_bytes(text.encode("utf8"))
    seal_folder(folder, canary=canary)


def bundle_to_dict(bundle: Bundle) -> dict[str, Any]:
    """bundle (Bundle): What to write.
    RETURNS (Dict[str, Any]): Strings and bytes, for `bundle_from_dict`."""
    canary = sing(bundle.decoder, bundle.tokenizer)
    parts: dict[str, Any] = {
        "config": _config_json(bundle.decoder),
        "tokenizer": bundle.tokenizer.data,
        "weights": dump_weights(bundle.decoder),
        "provenance": json.dumps(_record(bundle)),
    }
    manifest = seal({name: digest(part) for name, part in parts.items()}, canary=canary)
    return {
        "format_version": FORMAT_VERSION,
        **parts,
        MANIFEST: dump_manifest(manifest),
    }


def bundle_from_dict(data: Any, settings: Settings) -> Bundle:
    """data (Any): From `bundle_to_dict`.
    settings (Settings): Where and how to compute.
    RETURNS (Bundle): The same parts.
    RAISES (CheckpointError): They are not as they were."""
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
        compare(manifest, name, digest(data[name]), source=source)
    return _build(
        DecoderConfig.from_json(data["config"]),
        TextTokenizer(data["tokenizer"], source=source),
        settings,
        lambda: parse_tensors(data["weights"], source=source),
        source=source,
        provenance=parse_json(data["provenance"], source, PROVENANCE),
        restore=True,
        canary=manifest.get("canary"),
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
    manifest = check_saved(model, required=restore)
    config = DecoderConfig.from_json(read_file(model, CONFIG))
    remedy = "Set tokenizer to the folder or hub name of the one it was trained with."
    data = read_file(home, TOKENIZER, remedy=remedy)
    commits = {"commit": model.commit, "tokenizer_commit": home.commit}
    own = read_provenance(model)
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
        canary=manifest.get("canary") if home is model else None,
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
    canary: Any = None,
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
    if canary is not None:
        check_canary(canary, decoder, tokenizer, source=source)
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
