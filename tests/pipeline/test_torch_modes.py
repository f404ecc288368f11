"""Loading and training inside of `torch.no_grad` or `torch.inference_mode`, which other
code may have set."""

import copy

import pytest
import torch
from support.checkpoints import TEXTS
from support.training import DEPTHS, decoder_of, train, trainable

from spacy_duoguard.errors import ScoringError

MODES = pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])


@MODES
@DEPTHS
def test_training_is_what_it_is_without_a_mode(make_nlp, mode, layers):
    plain, inside = (trainable(make_nlp, layers) for _ in range(2))
    expected = train(plain, steps=3)
    with mode():
        assert train(inside, steps=3) == expected
        scores = [doc.cats for doc in inside.pipe(TEXTS)]  # of the changed weights
    assert scores == [doc.cats for doc in inside.pipe(TEXTS)]
    assert scores == [doc.cats for doc in plain.pipe(TEXTS)]


@MODES
def test_a_mode_may_begin_and_end_between_any_two_steps(make_nlp, mode):
    plain, nlp = (trainable(make_nlp, 1) for _ in range(2))
    with mode():
        nlp("Loads the weights.")
        nlp.get_pipe("duoguard").add_label("Spam")
    plain.get_pipe("duoguard").add_label("Spam")
    losses = train(nlp, steps=2)
    with mode():
        losses += train(nlp, steps=2)
    losses += train(nlp, steps=2)
    assert losses == [loss for _ in range(3) for loss in train(plain, steps=2)]
    for one, other in zip(nlp.pipe(TEXTS), plain.pipe(TEXTS), strict=True):
        assert one.cats == other.cats


def test_weights_that_were_copied_in_inference_mode_are_refused(make_nlp):
    nlp = trainable(make_nlp, 1)
    nlp("Loads the weights.")
    shim = nlp.get_pipe("duoguard").model.shims[0]
    with torch.inference_mode():
        shim._model = copy.deepcopy(shim._model)
    with pytest.raises(ScoringError, match="E326"):
        nlp("A dog.")
    with pytest.raises(ScoringError, match="E326"):
        train(nlp, steps=1)
    assert decoder_of(nlp).norm.weight.is_inference()
