"""Which pipeline scores: a checkpoint under our component, or a saved pipeline."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import is_package
from spacy.vocab import Vocab

from ..engine.classifier import Classifier
from ..engine.network.device import resolve_device
from ..errors import Errors, SettingsError
from ..pipeline.registry import guard_names, read_guard_blocks
from ..pipeline.settings import FACTORY, check_settings


@dataclass(frozen=True)
class GuardOptions:
    """What a user can say about scoring; None leaves a setting as it is."""

    model: str = "DuoGuard/DuoGuard-0.5B"  # or a folder, "demo", or a saved pipeline
    language: str = "xx"  # of the tokenizer, for a checkpoint
    sentences: str | None = None  # "isolated" or "document"
    threshold: float | None = None  # for all categories
    device: str = "auto"
    precision: str | None = None
    batch_tokens: int | None = None
    curve: bool = False
    normalize: bool = False


def is_pipeline(model: str) -> bool:
    """model (str): A name.
    RETURNS (bool): It is a saved pipeline: a folder, or an installed package."""
    if Path(model).is_dir():
        return (Path(model) / "config.cfg").is_file()
    return model.isidentifier() and model != "demo" and is_package(model)


def load_guard(options: GuardOptions) -> Language:
    """Make the pipeline that scores.

    options (GuardOptions): What the user asked for.
    RETURNS (Language): With one component of the factory 'duoguard' or several.
    RAISES (SettingsError): Options that are out of range or do not go together.
    """
    if is_pipeline(options.model):
        return _load_saved(options)
    try:
        nlp = spacy.blank(options.language)
    except ImportError as e:
        raise SettingsError(Errors.E143.format(value=options.language)) from e
    # The limit is for parsers, and there is none.
    nlp.max_length = sys.maxsize
    if options.sentences:
        nlp.add_pipe("sentencizer")
    else:
        nlp.tokenizer = WholeText(nlp.vocab)
    model = {"name": options.model, **_model_settings(options)}
    nlp.add_pipe(FACTORY, config={**_settings(options), "model": model})
    _set_threshold(nlp, options.threshold)
    return nlp


def load_classifier(options: GuardOptions) -> Classifier:
    """As `load_guard`, for who needs no docs.

    options (GuardOptions): What the user asked for.
    RETURNS (Classifier): The engine, loaded.
    RAISES (DuoGuardError): It cannot be loaded.
    """
    nlp = load_guard(options)
    guard: Any = nlp.get_pipe(guard_names(nlp)[-1])
    return guard.classifier


class WholeText:
    """A tokenizer that makes one token of a text. Where no sentences are wanted nobody
    looks at tokens, and spaCy's own takes quadratic time on some texts."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        """text (str): Any text.
        RETURNS (Doc): A doc with that text."""
        words = [text] if text else []
        return Doc(self.vocab, words=words, spaces=[False] * len(words))


def _settings(options: GuardOptions) -> dict[str, Any]:
    """Settings of the component that differ from what it has."""
    settings: dict[str, Any] = {}
    if options.sentences:
        settings |= {"sents": True, "span_context": options.sentences}
    settings |= {
        key: True for key in ("curve", "normalize") if getattr(options, key) is True
    }
    return settings


def _model_settings(options: GuardOptions) -> dict[str, Any]:
    # As for an engine without spaCy: a GPU that is there is used.
    settings: dict[str, Any] = {"device": str(resolve_device(options.device))}
    if options.precision is not None:
        settings["precision"] = options.precision
    if options.batch_tokens is not None:
        settings["max_batch_tokens"] = options.batch_tokens
    return settings


def _load_saved(options: GuardOptions) -> Language:
    folder = Path(options.model)
    overrides: dict[str, Any] = {}
    for name, block in _guard_blocks(options.model).items():
        if options.sentences and block.get("span_getter"):
            raise SettingsError(Errors.E142.format(model=options.model, name=name))
        changes = {
            **_settings(options),
            **{f"model.{key}": v for key, v in _model_settings(options).items()},
        }
        overrides |= {f"components.{name}.{key}": v for key, v in changes.items()}
    try:
        nlp = spacy.load(folder if folder.is_dir() else options.model, config=overrides)
    except (OSError, ImportError) as e:
        problem = str(e).splitlines()[0]
        message = Errors.E086.format(path=options.model, problem=problem)
        raise SettingsError(message) from e
    if options.sentences:
        _add_sentences(nlp)
    _set_threshold(nlp, options.threshold)
    return nlp


def _guard_blocks(model: str) -> dict[str, dict[str, Any]]:
    """RETURNS (Dict[str, Dict[str, Any]]): Of a saved pipeline's config."""
    if Path(model).is_dir():
        path = Path(model) / "config.cfg"
    else:
        package = spacy.util.get_package_path(model)
        path = next(iter(sorted(package.glob("*/config.cfg"))), package / "config.cfg")
    blocks = read_guard_blocks(path, source=model)
    if not blocks:
        raise SettingsError(Errors.E138.format(model=model))
    return blocks


def _add_sentences(nlp: Language) -> None:
    """Add a sentencizer where nothing before the component sets sentences."""
    first = guard_names(nlp)[0]
    before = nlp.pipe_names[: nlp.pipe_names.index(first)]
    assigned = {value for name in before for value in nlp.get_pipe_meta(name).assigns}
    if not assigned & {"doc.sents", "token.is_sent_start"}:
        nlp.add_pipe("sentencizer", before=first)


def _set_threshold(nlp: Language, threshold: float | None) -> None:
    if threshold is None:
        return
    for name in guard_names(nlp):
        guard: Any = nlp.get_pipe(name)
        guard.cfg.update(threshold=threshold, thresholds={})
        check_settings(guard.cfg)
