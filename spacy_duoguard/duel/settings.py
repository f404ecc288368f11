"""The settings of a duel: the sections of its config, their defaults and checks."""

from collections.abc import Mapping
from configparser import Error as ConfigParserError
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from spacy.util import load_config, load_config_from_str

from ..errors import Errors, SettingsError
from .checks import (
    CALIBRATION,
    COUNT,
    FLAG,
    GPU,
    LANGUAGES,
    NAME,
    NATURAL,
    POSITIVE,
    RATING,
    RATIOS,
    SHARE,
    TEMPERATURE,
    Check,
    choice_of,
    optional,
)
from .endpoint_url import check_endpoint


def _setting(check: Check, default: Any = MISSING) -> Any:
    """A setting with its check. Without a default, it's required."""
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True)
class SeedSettings:
    """The labelled texts."""

    train: str = _setting(NAME)
    dev: str = _setting(NAME)


@dataclass(frozen=True)
class Endpoint:
    """How to ask a server."""

    endpoint: str | None = _setting(optional(NAME), None)
    model: str | None = _setting(optional(NAME), None)
    temperature: float = _setting(TEMPERATURE, 0.9)
    top_p: float = _setting(SHARE, 1.0)
    max_tokens: int = _setting(COUNT, 512)
    api_key_env: str | None = _setting(optional(NAME), None)
    concurrency: int = _setting(COUNT, 8)
    timeout: float = _setting(POSITIVE, 120.0)  # seconds a request may take
    retries: int = _setting(NATURAL, 4)
    give_up_after: int = _setting(COUNT, 20)  # failed requests in a row


@dataclass(frozen=True)
class GeneratorSettings(Endpoint):
    """The player that writes texts."""

    path: str | None = _setting(optional(NAME), None)
    languages: tuple[str, ...] = _setting(LANGUAGES, ())
    samples: int = _setting(COUNT, 8)
    contrast: bool = _setting(FLAG, True)  # safe variants of unsafe seeds, too
    prompts: str | None = _setting(optional(NAME), None)
    python: str | None = _setting(optional(NAME), None)
    dpo: str | None = _setting(optional(NAME), None)


@dataclass(frozen=True)
class JudgeSettings(Endpoint):
    """The model that rates texts. Without an endpoint, the seed's label is kept."""

    temperature: float = _setting(TEMPERATURE, 0.0)
    max_tokens: int = _setting(COUNT, 16)
    unsafe_from: int = _setting(RATING, 4)
    safe_to: int = _setting(RATING, 2)


@dataclass(frozen=True)
class FilterSettings:
    """Which texts are dropped."""

    length_ratio: tuple[float, float] = _setting(RATIOS, (0.5, 2.0))
    near_duplicates: float = _setting(SHARE, 0.8)  # Jaccard similarity


@dataclass(frozen=True)
class GuardSettings:
    """The player that classifies texts."""

    pipeline: str = _setting(NAME, "DuoGuard/DuoGuard-0.5B")
    train: str | None = _setting(optional(NAME), None)
    replay: float = _setting(POSITIVE, 1.0)
    select: str = _setting(choice_of("last", "best"), "last")
    calibrate: str | None = _setting(optional(CALIBRATION), None)
    device: str = _setting(NAME, "auto")  # to score on
    gpu_id: int = _setting(GPU, -1)  # to train on, as for `spacy train`


@dataclass(frozen=True)
class RoundSettings:
    """The rounds."""

    n: int = _setting(COUNT, 2)
    train_generator: bool = _setting(FLAG, False)
    seed: int = _setting(NATURAL, 0)
    bootstrap: int = _setting(COUNT, 1000)
    keep: str = _setting(choice_of("learned", "best"), "learned")
    review: int = _setting(COUNT, 100)  # texts on the review page of a round


@dataclass(frozen=True)
class DuelSettings:
    """All settings of a duel."""

    seeds: SeedSettings
    generator: GeneratorSettings
    judge: JudgeSettings
    filters: FilterSettings
    guard: GuardSettings
    rounds: RoundSettings


SECTIONS: dict[str, type] = {
    "seeds": SeedSettings,
    "generator": GeneratorSettings,
    "judge": JudgeSettings,
    "filters": FilterSettings,
    "guard": GuardSettings,
    "rounds": RoundSettings,
}


def read_settings(
    path: Path, overrides: Mapping[str, Any] | None = None
) -> DuelSettings:
    """Read and check a config. Nothing is asked or loaded.

    path (Path): The config file, in the form of spaCy's configs.
    overrides (Optional[Mapping[str, Any]]): Other values, such as {"rounds.n": 3}.
    RETURNS (DuelSettings): The settings.
    RAISES (SettingsError): The file can't be read, or a setting is unknown, missing,
        out of range, or contradicts another.
    """
    overrides = dict(overrides or {})
    for name in overrides:
        _check_override(name)
    try:
        present = load_config(path).keys()
        # spaCy overrides nothing in a section that the file doesn't have.
        absent = {name.partition(".")[0] for name in overrides} - present
        sections = "".join(f"\n[{section}]\n" for section in sorted(absent))
        text = path.read_text(encoding="utf8")
        config = load_config_from_str(text + sections, overrides=overrides)
    except (OSError, ValueError, ConfigParserError) as e:
        problem = type(e).__name__
        raise SettingsError(Errors.E283.format(path=path, problem=problem)) from e
    return parse_settings(config)


def _check_override(name: str) -> None:
    """RAISES (SettingsError): It isn't a section and a setting of it."""
    section, _, setting = name.partition(".")
    if section not in SECTIONS:
        known = ", ".join(f"[{section}]" for section in SECTIONS)
        raise SettingsError(Errors.E281.format(name=name, known=known))
    names = [setting.name for setting in fields(SECTIONS[section])]
    if setting not in names:
        raise SettingsError(Errors.E281.format(name=name, known=", ".join(names)))


def parse_settings(config: Mapping[str, Any]) -> DuelSettings:
    """config (Mapping[str, Any]): The sections of a config.
    RETURNS (DuelSettings): The checked settings.
    RAISES (SettingsError): As for `read_settings`."""
    for name, values in config.items():
        if name not in SECTIONS or not isinstance(values, Mapping):
            known = ", ".join(f"[{section}]" for section in SECTIONS)
            raise SettingsError(Errors.E281.format(name=f"[{name}]", known=known))
    settings = DuelSettings(
        **{name: _parse(name, kind, config) for name, kind in SECTIONS.items()}
    )
    _check_players(settings)
    return settings


def _parse(section: str, kind: type, config: Mapping[str, Any]) -> Any:
    values = config.get(section, {})
    settings = {setting.name: setting for setting in fields(kind)}
    for name in values:
        if name not in settings:
            known = ", ".join(settings)
            name = f"[{section}] {name}"
            raise SettingsError(Errors.E281.format(name=name, known=known))
    parsed = {}
    for name, setting in settings.items():
        if name not in values:
            if setting.default is MISSING:
                raise SettingsError(Errors.E282.format(section=section, name=name))
            continue
        check: Check = setting.metadata["check"]
        try:
            parsed[name] = check.parse(values[name])
        except ValueError as e:
            message = Errors.E280.format(
                section=section, name=name, value=values[name], rule=check.rule
            )
            raise SettingsError(message) from e
    return kind(**parsed)


def _check_players(settings: DuelSettings) -> None:
    """Check what more than one setting decides."""
    generator, judge = settings.generator, settings.judge
    if not generator.languages:
        raise SettingsError(Errors.E282.format(section="generator", name="languages"))
    if (generator.endpoint is None) == (generator.path is None):
        raise SettingsError(Errors.E284)
    for section, player in (("generator", generator), ("judge", judge)):
        if player.endpoint is not None:
            check_endpoint(player.endpoint, section=section)
    if judge.safe_to >= judge.unsafe_from:
        message = Errors.E285.format(safe=judge.safe_to, unsafe=judge.unsafe_from)
        raise SettingsError(message)
    if generator.path is not None and not Path(generator.path).is_dir():
        raise SettingsError(Errors.E286.format(name="path", value=generator.path))
    if generator.path is not None and generator.python is None:
        raise SettingsError(Errors.E287.format(what="path"))
    if settings.rounds.train_generator:
        _check_trainable(generator)


def _check_trainable(generator: GeneratorSettings) -> None:
    """A generator is trained as a folder of weights that its server can load."""
    if generator.python is None:
        raise SettingsError(Errors.E287.format(what="train_generator = true"))
    if generator.path is None and not Path(generator.model or "").is_dir():
        value = generator.model
        raise SettingsError(Errors.E286.format(name="model", value=value))
