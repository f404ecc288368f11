"""Examples, training loops and gradients for the tests of training."""

import pytest
import spacy
from spacy.training import Example
from thinc.api import Adam

from spacy_duoguard.engine.network.trainable import trained_parameters

LONG = "The quick brown fox jumps over the lazy dog. " * 6

# The head; the top layer, final norm and head; everything.
DEPTHS = pytest.mark.parametrize("layers", [0, 1, None])

TRAIN = [
    ("I hate the quick fox", {"Hate": 1.0, "Privacy": 0.0}),
    ("The dog sleeps.", {"unsafe": 0.0}),
]


def make_examples(nlp, data=TRAIN):
    return [
        Example.from_dict(nlp.make_doc(text), {"cats": cats}) for text, cats in data
    ]


def train(nlp, data=TRAIN, *, steps=40, rate=0.01, seed=0):
    spacy.util.fix_random_seed(seed)
    examples = make_examples(nlp, data)
    optimizer = nlp.initialize(lambda: examples, sgd=Adam(rate))
    history = []
    for _ in range(steps):
        losses = nlp.update(examples, sgd=optimizer, losses={})
        history.append(losses["duoguard"])
    return history


def trainable(make_nlp, layers, **config):
    model = {"trainable_layers": layers, **config.pop("model", {})}
    return make_nlp(model=model, **config)


def decoder_of(nlp):
    return nlp.get_pipe("duoguard").classifier.decoder


def gradients(nlp, examples):
    """The gradients of one update, by parameter."""
    nlp.get_pipe("duoguard").update(examples, sgd=None)
    parameters = trained_parameters(decoder_of(nlp))
    result = {name: p.grad.clone() for name, p in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = None
    return result


def assert_equal(actual, expected, *, rel=3e-6):
    """Compare gradients, relative to the largest value of each parameter."""
    assert set(actual) == set(expected)
    for name, gradient in expected.items():
        assert_close(actual[name], gradient, rel=rel)


def assert_close(actual, expected, *, rel=3e-6):
    scale = expected.abs().max()
    assert scale > 0
    assert (actual - expected).abs().max() <= rel * scale
