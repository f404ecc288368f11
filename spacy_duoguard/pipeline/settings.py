"""The settings that the component keeps: defaults, checks, saved and restored."""

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from thinc.api import Config

from ..engine.flags import check_thresholds
from ..engine.settings import check_count, check_limit
from ..errors import Errors, SettingsError, Warnings

DEFAULT_CONFIG = Config().from_str(
    """
[duoguard]
threshold = 0.5
thresholds = {}
sents = false
span_getter = null
span_context = "isolated"
spans_key = "duoguard"
curve = false
patience = 2
max_chars = null
normalize = false
scorer = {"@scorers": "spacy-duoguard.scorer.v1"}

[duoguard.loss]
@losses = "spacy-duoguard.logsumexp.v1"

[duoguard.model]
@architectures = "spacy-duoguard.DuoGuard.v1"
name = "DuoGuard/DuoGuard-0.5B"
revision = "main"
tokenizer = null
tokenizer_revision = "main"
precision = "auto"
device = "auto"
window = 512
stride = 384
max_windows = null
max_batch_tokens = null
trainable_layers = null
"""
)["duoguard"]


def check_settings(cfg: Mapping[str, Any], labels: Sequence[str] | None = None) -> None:
    """Check the settings that a component keeps.

    cfg (Mapping[str, Any]): Its `cfg`.
    labels (Optional[Sequence[str]]): Its categories; None where they are not known yet,
        since the user's own come with the weights.
    RAISES (SettingsError): A value out of range, or a threshold of no category.
    """
    check_limit("max_chars", cfg["max_chars"])
    check_count("patience", cfg["patience"])
    if not isinstance(cfg["curve"], bool):
        raise SettingsError(Errors.E056.format(value=cfg["curve"]))
    if not isinstance(cfg["normalize"], bool):
        raise SettingsError(Errors.E121.format(value=cfg["normalize"]))
    if not isinstance(cfg["spans_key"], str) or not cfg["spans_key"]:
        raise SettingsError(Errors.E053.format(value=cfg["spans_key"]))
    if not isinstance(cfg["thresholds"], Mapping):
        raise SettingsError(Errors.E107.format(value=cfg["thresholds"]))
    check_thresholds(cfg["threshold"], cfg["thresholds"], labels)


def dump_settings(cfg: Mapping[str, Any], configured: Mapping[str, Any]) -> bytes:
    """cfg (Mapping[str, Any]): The settings as they are.
    configured (Mapping[str, Any]): As they were when the component was made.
    RETURNS (bytes): Both, as JSON."""
    # Not srsly's JSON, which reads 0.3 back as 0.30000000000000004.
    return json.dumps({"settings": cfg, "configured": configured}).encode("utf8")


def restore_settings(
    data: bytes,
    configured: Mapping[str, Any],
    *,
    name: str,
    labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Take over settings that were changed after the saved component was made, as by
    a tool that calibrates. Otherwise the values of this pipeline's config stay: they
    are what `spacy.load(path, config=...)` overrides.

    data (bytes): From `dump_settings`.
    configured (Mapping[str, Any]): As this component was made.
    name (str): The component's name, for messages.
    labels (Optional[Sequence[str]]): As in `check_settings`.
    RETURNS (Dict[str, Any]): The settings to go on with.
    RAISES (SettingsError): Not settings, or a value out of range.
    """
    try:
        saved = json.loads(data)
        now, made = saved["settings"], saved["configured"]
        changes = {key: now[key] for key in configured if now[key] != made[key]}
    except (ValueError, KeyError, TypeError) as e:
        message = Errors.E023.format(name=name, problem=type(e).__name__)
        raise SettingsError(message) from e
    for key, mine in configured.items():
        if mine == made[key]:
            continue
        changes.pop(key, None)
        if mine == DEFAULT_CONFIG[key]:
            message = Warnings.W003.format(
                name=name, key=key, saved=made[key], mine=mine
            )
            warnings.warn(message, stacklevel=2)
    restored = {**configured, **changes}
    check_settings(restored, labels)
    return restored
