"""The API reference has every public name, with the arguments that it takes."""

import inspect
import json

import pytest
from support.documents import DOCS, read, sections, table_rows

import spacy_duoguard
from spacy_duoguard import errors
from spacy_duoguard.corpora.composed import create_composed_docs
from spacy_duoguard.corpora.disguise import create_disguise_augmenter
from spacy_duoguard.engine.download import download_model
from spacy_duoguard.pipeline.component import DuoGuard
from spacy_duoguard.scoring.pipelines import GuardOptions
from spacy_duoguard.scoring.ray.dataset import (
    Actors,
    ScoreTexts,
    connect,
    score_dataset,
)

TEXT = read(DOCS / "api.md").replace("\\_", "_")
OBJECTS = {
    **{name: getattr(spacy_duoguard, name) for name in spacy_duoguard.__all__},
    "Actors": Actors,
    "DuoGuard": DuoGuard,
    "GuardOptions": GuardOptions,
    "ScoreTexts": ScoreTexts,
    "connect": connect,
    "create_composed_docs": create_composed_docs,
    "create_disguise_augmenter": create_disguise_augmenter,
    "download_model": download_model,
    "score_dataset": score_dataset,
}


def entries():
    """What stands under each heading that names an object, without its subheadings."""
    found = {}
    for heading, text in sections(TEXT, 2).items():
        found[heading] = text.partition("\n### ")[0]
        found.update(sections(text, 3))
    return {key: text for key, text in found.items() if key.split(".")[0] in OBJECTS}


ENTRIES = entries()


def resolve(entry):
    """The object that a heading names."""
    owner, _, method = entry.partition(".")
    return getattr(OBJECTS[owner], method) if method else OBJECTS[owner]


def public(value):
    return inspect.isfunction(value) and value.__name__[0] != "_"


def with_arguments():
    """The entries with a table of arguments; of a class, its methods have them."""
    return [key for key, text in ENTRIES.items() if table_rows(text)]


def test_every_public_name_is_there():
    for name in spacy_duoguard.__all__:
        assert name in ENTRIES or f"`spacy_duoguard.{name}`" in TEXT


def test_every_method_of_the_component_is_there():
    ours = [cls for cls in DuoGuard.__mro__ if "spacy_duoguard" in cls.__module__]
    names = {name for cls in ours for name, value in vars(cls).items() if public(value)}
    assert len(names) > 10
    assert {f"DuoGuard.{name}" for name in names} <= ENTRIES.keys()


def test_the_methods_of_the_contract_are_there():
    methods = {
        "Classifier": ("from_pretrained", "score", "score_turns"),
        "Stream": ("__init__", "push", "close"),
        "StreamBatch": ("__init__", "open", "push"),
    }
    for owner, names in methods.items():
        assert {f"{owner}.{name}" for name in names} <= ENTRIES.keys()


@pytest.mark.parametrize("entry", with_arguments())
def test_arguments_and_defaults_are_those_of_the_code(entry):
    rows = {row[0].strip("`"): row[2] for row in table_rows(ENTRIES[entry])}
    described = {key: text for key, text in rows.items() if not key.startswith("**")}
    parameters = dict(inspect.signature(resolve(entry)).parameters)
    parameters.pop("self", None)
    assert list(described) == list(parameters)
    for key, parameter in parameters.items():
        default = parameter.default
        if default is parameter.empty:
            assert "Defaults to" not in described[key]
        elif not callable(default):
            value = json.dumps(default) if isinstance(default, str) else repr(default)
            shown = value.replace("count=2, cpus=1, gpus=0.0", "")
            assert f"Defaults to `{shown}`" in described[key]


def test_every_error_is_there_with_its_base():
    rows = {row[0].strip("`"): row[1].strip("`") for row in table_rows(TEXT)}
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert rows[name] in {base.__name__ for base in value.__mro__[1:]}
