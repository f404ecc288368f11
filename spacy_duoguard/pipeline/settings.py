"""The component's settings: defaults, checks, saving and restoring."""

import json
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from thinc.api import Config

from ..engine.decisions import Policy
from ..engine.flags import check_thresholds
from ..engine.network.config import is_storable
from ..engine.settings import check_count, check_limit
from ..errors import Errors, SettingsError, Warnings

FACTORY = "duoguard"
SPAN_CONTEXTS: tuple[str, ...] = ("isolated", "document")

DEFAULT_CONFIG = Config().from_str(
    """
[duoguard]
threshold = 0.5
thresholds = {}
review_threshold = null
review_thresholds = {}
sents = false
span_getter = null
span_context = "isolated"
spans_key = "duoguard"
curve = false
patience = 2
max_chars = null
normalize = false
roles = null
views = null
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
kernels = "auto"
"""
)["duoguard"]

SPANS_KEY: str = DEFAULT_CONFIG["spans_key"]

# What `cfg` holds.
RUN_TIME_SETTINGS: tuple[str, ...] = (
    "threshold",
    "thresholds",
    "review_threshold",
    "review_thresholds",
    "spans_key",
    "curve",
    "patience",
    "max_chars",
    "normalize",
    "roles",
)

_BY_CATEGORY = ("thresholds", "review_thresholds")
_THRESHOLDS = ("threshold", "review_threshold", *_BY_CATEGORY)


def check_settings(cfg: Mapping[str, Any], labels: Sequence[str] | None = None) -> None:
    """Check the settings of a component.

    cfg (Mapping[str, Any]): Its `cfg`.
    labels (Optional[Sequence[str]]): Its categories; None before the weights are
        loaded, which may bring categories of their own.
    RAISES (SettingsError): A setting is missing or unknown, a value is out of range,
        or a threshold has no category.
    """
    _check_names(cfg)
    check_limit("max_chars", cfg["max_chars"])
    check_count("patience", cfg["patience"])
    for key, message in (("curve", Errors.E056), ("normalize", Errors.E121)):
        if not isinstance(cfg[key], bool):
            raise SettingsError(message.format(value=cfg[key]))
    _check_roles(cfg["roles"])
    if not is_storable(cfg["spans_key"]):
        raise SettingsError(Errors.E053.format(value=cfg["spans_key"]))
    for key in _BY_CATEGORY:
        if not isinstance(cfg[key], Mapping):
            raise SettingsError(Errors.E107.format(name=key, value=cfg[key]))
    check_thresholds(
        cfg["threshold"],
        cfg["thresholds"],
        labels,
        review_threshold=cfg["review_threshold"],
        review_thresholds=cfg["review_thresholds"],
    )


def _check_roles(roles: Any) -> None:
    is_list = isinstance(roles, (list, tuple)) and len(roles) > 0
    if roles is not None and not (
        is_list and all(isinstance(role, str) and role for role in roles)
    ):
        raise SettingsError(Errors.E255.format(value=roles))


def make_policy(cfg: Mapping[str, Any], labels: Sequence[str]) -> Policy:
    """cfg (Mapping[str, Any]), labels (Sequence[str]): As in `check_settings`.
    RETURNS (Policy): The thresholds of each category.
    RAISES (SettingsError): As in `check_settings`."""
    check_settings(cfg, labels)
    # Plain copies: a mapping may have other values each time.
    plain = {**cfg, **{key: dict(cfg[key]) for key in _BY_CATEGORY}}
    check_settings(plain, labels)
    return Policy.of(labels, **{key: plain[key] for key in _THRESHOLDS})


def _check_names(cfg: Mapping[str, Any]) -> None:
    if not isinstance(cfg, Mapping):
        problem = f"a value of type '{type(cfg).__name__}'"
    else:
        missing = [name for name in RUN_TIME_SETTINGS if name not in cfg]
        unknown = [str(name) for name in cfg if name not in RUN_TIME_SETTINGS]
        if not missing and not unknown:
            return
        word, names = ("missing", missing) if missing else ("unknown", unknown)
        problem = f"{word}: {', '.join(names)}"
    expected = ", ".join(RUN_TIME_SETTINGS)
    raise SettingsError(Errors.E059.format(names=expected, problem=problem))


def dump_settings(
    cfg: Mapping[str, Any],
    configured: Mapping[str, Any],
    config: Mapping[str, Any],
) -> bytes:
    """cfg (Mapping[str, Any]): The current settings.
    configured (Mapping[str, Any]): The settings the component was created with.
    config (Mapping[str, Any]): Those that only the config sets.
    RETURNS (bytes): All of them, as JSON."""
    # srsly's JSON reads 0.3 back as 0.30000000000000004.
    saved = {"settings": cfg, "configured": configured, "config": config}
    return json.dumps(saved).encode("utf8")


def _merge(
    first: Mapping[str, Any], last: Mapping[str, Any], mine: Mapping[str, Any]
) -> dict[str, Any]:
    """Merge thresholds category by category. A value that differs between the configs
    is an override of this pipeline; any other is as it was saved."""
    kept = {
        label: last.get(label)
        for label in (*last, *mine)
        if mine.get(label) == first.get(label)
    }
    merged = {**mine, **kept}
    return {label: value for label, value in merged.items() if value is not None}


def restore_settings(
    data: bytes,
    configured: Mapping[str, Any],
    *,
    name: str,
    labels: Sequence[str] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Restore settings that were changed after the saved component was created, for
    example by calibration. All others keep the values of this pipeline's config, which
    `spacy.load(path, config=...)` can override.

    data (bytes): From `dump_settings`.
    configured (Mapping[str, Any]): The settings this component was created with.
    name (str): The component's name, for messages.
    labels (Optional[Sequence[str]]): As in `check_settings`.
    RETURNS (Tuple[Dict[str, Any], Dict[str, Any]]): The restored settings, and those
        that only the config sets, as they were saved.
    RAISES (SettingsError): The data cannot be read, or a value is out of range.
    """
    try:
        saved = json.loads(data)
        last, first = saved["settings"], saved["configured"]
        others = dict(saved.get("config", {}))
        changes = {key: last[key] for key in configured if last[key] != first[key]}
        merged = {
            key: _merge(first[key], changes[key], configured[key])
            for key in _BY_CATEGORY
            if key in changes and configured[key] != first[key]
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as e:
        message = Errors.E023.format(name=name, problem=type(e).__name__)
        raise SettingsError(message) from e
    for key, value in configured.items():
        if value == first[key]:
            continue
        changes.pop(key, None)
        warn_of_default(name, key, first[key], value, DEFAULT_CONFIG[key])
    # A copy: what is changed in place later must not change what it's compared with.
    restored = deepcopy({**configured, **changes, **merged})
    check_settings(restored, labels)
    return restored, others


def warn_of_default(name: str, key: str, saved: Any, mine: Any, default: Any) -> None:
    """Warn if a setting was saved with another value than this pipeline's, unless that
    was chosen.

    name (str): The component's name.
    key (str): That of the setting.
    saved (Any), mine (Any), default (Any): Its values.
    """
    if mine != saved and mine == default:
        message = Warnings.W003.format(name=name, key=key, saved=saved, mine=mine)
        warnings.warn(message, stacklevel=2)
