"""Load the pipeline that scores: a checkpoint in a new pipeline, or a saved one."""

import sys
from collections.abc import Sequence
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
from ..pipeline.saved import load_saved
from ..pipeline.settings import FACTORY, check_settings


@dataclass(frozen=True)
class GuardOptions:
    """How to score. None leaves a setting of the pipeline as it is."""

    model: str = "DuoGuard/DuoGuard-0.5B"  # or a folder, "demo" or a saved pipeline
    language: str = "xx"  # of the new pipeline, if the model is a checkpoint
    sentences: str | None = None  # "isolated" or "document"
    threshold: float | None = None  # for all categories
    review_threshold: float | None = None  # for all categories
    device: str = "auto"
    precision: str | None = None
    batch_tokens: int | None = None
    curve: bool = False
    normalize: bool = False
    max_chars: int | None = None  # to score of each text, half of them from each end
    roles: Sequence[str] | None = None  # whose turns of conversations are scored


def is_pipeline(model: str) -> bool:
    """model (str): The name of a model.
    RETURNS (bool): Whether it is a saved pipeline: a folder or an installed package."""
    if Path(model).is_dir():
        return (Path(model) / "config.cfg").is_file()
    return model.isidentifier() and model != "demo" and is_package(model)


def load_guard(options: GuardOptions) -> Language:
    """Load the pipeline that scores.

    options (GuardOptions): How to score.
    RETURNS (Language): A pipeline with at least one component with the factory
        'duoguard'.
    RAISES (SettingsError): Options that are out of range or cannot be combined.
    """
    if is_pipeline(options.model):
        return _load_saved(options)
    nlp = blank_pipeline(options.language)
    # The limit protects parsers and entity recognizers, which this pipeline lacks.
    nlp.max_length = sys.maxsize
    if options.sentences:
        nlp.add_pipe("sentencizer")
    else:
        nlp.tokenizer = WholeText(nlp.vocab)
    model = {"name": options.model, **_model_settings(options)}
    nlp.add_pipe(FACTORY, config={**_settings(options), "model": model})
    _change_settings(nlp, options)
    return nlp


def blank_pipeline(language: str) -> Language:
    """language (str): The code of a language.
    RETURNS (Language): A pipeline that only has its tokenizer.
    RAISES (SettingsError): spaCy doesn't have the language, or its tokenizer needs a
        package that isn't installed."""
    try:
        return spacy.blank(language)
    except ImportError as e:
        problem = str(e)
        if problem.startswith("[E048]"):
            raise SettingsError(Errors.E143.format(value=language)) from e
        raise SettingsError(Errors.E349.format(value=language, problem=problem)) from e


def load_component(options: GuardOptions) -> Any:
    """Load only the component, to score texts without making docs.

    options (GuardOptions): How to score.
    RETURNS (DuoGuard): The last component of the pipeline from `load_guard`.
    RAISES (DuoGuardError): It cannot be loaded.
    """
    nlp = load_guard(options)
    return nlp.get_pipe(guard_names(nlp)[-1])


def load_classifier(options: GuardOptions) -> Classifier:
    """Load only the classifier, to score texts without making docs.

    options (GuardOptions): How to score.
    RETURNS (Classifier): The classifier of the pipeline from `load_guard`.
    RAISES (DuoGuardError): It cannot be loaded.
    """
    classifier: Classifier = load_component(options).classifier
    return classifier


class WholeText:
    """A tokenizer that makes the whole text one token. Without sentences nothing reads
    the tokens, and spaCy's tokenizer takes quadratic time on some texts. So do some
    attributes of a token, such as `like_url`, so the vocabulary computes none."""

    def __init__(self, vocab: Vocab) -> None:
        """vocab (Vocab): The vocabulary of the pipeline. It's changed."""
        vocab.lex_attr_getters = {}  # type: ignore[attr-defined]
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        """text (str): Any text.
        RETURNS (Doc): A doc of one token, or of none if the text is empty."""
        words = [text] if text else []
        return Doc(self.vocab, words=words, spaces=[False] * len(words))


def _settings(options: GuardOptions) -> dict[str, Any]:
    """The component's settings to change."""
    settings: dict[str, Any] = {}
    if options.sentences:
        settings |= {"sents": True, "span_context": options.sentences}
    settings |= {
        key: True for key in ("curve", "normalize") if getattr(options, key) is True
    }
    return settings


def _model_settings(options: GuardOptions) -> dict[str, Any]:
    # Unlike the component's "auto", which follows spaCy, use a GPU if there is one.
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
    nlp = load_saved(folder if folder.is_dir() else options.model, overrides)
    if options.sentences:
        _add_sentences(nlp)
    _change_settings(nlp, options)
    return nlp


def _guard_blocks(model: str) -> dict[str, dict[str, Any]]:
    """RETURNS (Dict[str, Dict[str, Any]]): The components with the factory 'duoguard'
    in a saved pipeline's config."""
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
    """Add a sentencizer if nothing before the component sets sentences."""
    first = guard_names(nlp)[0]
    before = nlp.pipe_names[: nlp.pipe_names.index(first)]
    assigned = {value for name in before for value in nlp.get_pipe_meta(name).assigns}
    if not assigned & {"doc.sents", "token.is_sent_start"}:
        nlp.add_pipe("sentencizer", before=first)


def _change_settings(nlp: Language, options: GuardOptions) -> None:
    """Change what the components can change at run time."""
    changes: dict[str, Any] = {}
    if options.threshold is not None:
        changes |= {"threshold": options.threshold, "thresholds": {}}
    if options.review_threshold is not None:
        changes |= {
            "review_threshold": options.review_threshold,
            "review_thresholds": {},
        }
    if options.max_chars is not None:
        changes["max_chars"] = options.max_chars
    if options.roles is not None:
        changes["roles"] = list(options.roles)
    for name in guard_names(nlp):
        guard: Any = nlp.get_pipe(name)
        guard.cfg.update(changes)
        check_settings(guard.cfg)
