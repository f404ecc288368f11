"""A warning if SCORE counts what isn't trained, and only then."""

import warnings

import pytest
import spacy
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.util import load_config_from_str, load_model_from_config
from support.checkpoints import TEXTS
from support.training import make_examples

BASE = """
[paths]
train = "corpus.spacy"

[nlp]
lang = "en"
pipeline = {pipeline}

[components]

{blocks}

[components.duoguard]
factory = "duoguard"

[components.duoguard.model]
@architectures = "spacy-duoguard.DuoGuard.v1"
name = "{model}"
trainable_layers = 0

[corpora]

[corpora.train]
@readers = "spacy-duoguard-tests.labelled.v1"
path = ${{paths.train}}

[corpora.dev]
@readers = "spacy-duoguard-tests.labelled.v1"
path = null

[training]
frozen_components = {frozen}

[training.score_weights]
{weights}
"""


@spacy.registry.readers("spacy-duoguard-tests.labelled.v1")
def labelled(path):
    def read(nlp):
        for text in TEXTS:
            cats = {"Hate": float("dog" in text), "ok": float("dog" not in text)}
            yield Example.from_dict(nlp.make_doc(text), {"cats": cats})

    return read


@pytest.fixture
def initialize(qwen2_folder):
    """Initialize as `spacy train` does, and return the warnings."""

    def run(*names, weights="", frozen="[]"):
        pipeline = str([*names, "duoguard"]).replace("'", '"')
        blocks = "".join(f'[components.{n}]\nfactory = "{n}"\n\n' for n in names)
        text = BASE.format(
            pipeline=pipeline,
            blocks=blocks,
            model=qwen2_folder.as_posix(),
            weights=weights,
            frozen=frozen,
        )
        config = load_config_from_str(text, interpolate=False)
        filled = load_model_from_config(config, auto_fill=True).config
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            init_nlp(filled)
        return [str(w.message) for w in caught if "W013" in str(w.message)]

    return run


def test_a_rule_that_takes_half_of_the_score_is_warned_about(initialize):
    (message,) = initialize("sentencizer")
    assert "sents_f (0.5), of sentencizer" in message
    assert "set sents_f = null" in message


def test_the_remedy_silences_the_warning(initialize):
    assert initialize("sentencizer", weights="sents_f = null") == []


def test_a_weight_for_the_guard_alone_does_not_remove_the_others(initialize):
    (message,) = initialize("sentencizer", weights="duoguard_unsafe_auc = 1.0")
    assert "sents_f (0.33)" in message  # a third each, with duoguard_score


def test_what_is_trained_may_count(initialize):
    assert initialize() == []
    assert initialize("textcat") == []


def test_a_frozen_component_does_not_count_as_trained(initialize):
    (message,) = initialize("textcat", frozen='["textcat"]')
    assert "cats_score" in message
    assert "of textcat" in message


def test_a_loop_of_ones_own_makes_no_score(make_nlp):
    nlp = make_nlp(sents=True)
    nlp.initialize(lambda: make_examples(nlp))  # warnings are errors
    assert nlp.config["training"]["score_weights"]["sents_f"] == 0.5
