"""Finding the components of this package in a pipeline or in its config."""

from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.util import load_config

from ..engine.checkpoint.files import is_regular
from ..errors import Errors, SettingsError
from .settings import FACTORY


def guard_names(nlp: Language) -> list[str]:
    """nlp (Language): A pipeline.
    RETURNS (List[str]): The names of its components with the factory 'duoguard'.
    RAISES (SettingsError): It has none."""
    names = [
        name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory == FACTORY
    ]
    if not names:
        raise SettingsError(Errors.E138.format(model=nlp.meta["name"]))
    return names


def read_guard_blocks(config: Path, *, source: str | Path) -> dict[str, dict[str, Any]]:
    """config (Path): The config.cfg of a saved pipeline.
    source (str / Path): The pipeline's name, for messages.
    RETURNS (Dict[str, Dict[str, Any]]): The config blocks of its components with the
        factory 'duoguard', by name.
    RAISES (SettingsError): The file cannot be read.
    RAISES (CheckpointError): It is not a regular file."""
    is_regular(config)
    try:
        components = load_config(config)["components"].items()
    except (OSError, ValueError, KeyError, AttributeError) as e:
        message = Errors.E086.format(path=source, problem="no readable config.cfg")
        raise SettingsError(message) from e
    return {
        name: block
        for name, block in components
        if isinstance(block, dict) and block.get("factory") == FACTORY
    }
