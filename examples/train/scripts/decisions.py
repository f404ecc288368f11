"""An architecture for `textcat` that decides by the scores of `duoguard`."""

import numpy as np
import spacy
from spacy.tokens import Doc
from thinc.api import Model, Softmax, chain
from thinc.types import Floats2d

from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

SCORES = (*CATEGORIES, UNSAFE)
_MAX_LOG_ODDS = 6.0  # beyond it, a probability is practically 0 or 1


@spacy.registry.architectures("example.DecideByScores.v1")
def create_decide_by_scores(
    nO: int | None = None,  # noqa: N803 (thinc's name)
) -> Model[list[Doc], Floats2d]:
    """A softmax over the log odds of the scores that `duoguard` has set. List it in
    `annotating_components`.

    nO (Optional[int]): The number of labels. Set when the component is initialized.
    RETURNS (Model[List[Doc], Floats2d]): Maps docs to the probabilities of the labels.
    """
    scores: Model[list[Doc], Floats2d] = Model("guard_scores", _forward)
    return chain(scores, Softmax(nO=nO, nI=len(SCORES)))


def _forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[Floats2d, object]:
    # Not `doc.cats`, where the component that learns from them writes, too. A doc
    # without scores counts as unsafe, like one that could not be scored.
    scores = [doc._.duoguard_cats or {} for doc in docs]
    rows = [[of_doc.get(name, 1.0) for name in SCORES] for of_doc in scores]
    values = np.array(rows, dtype=np.float64).reshape(len(docs), len(SCORES))
    with np.errstate(divide="ignore"):
        odds = np.log(values) - np.log1p(-values)
    clipped = np.clip(odds, -_MAX_LOG_ODDS, _MAX_LOG_ODDS).astype(np.float32)
    return model.ops.asarray2f(clipped), lambda gradient: []
