"""An architecture for `textcat` that decides by what `duoguard` found."""

import numpy as np
import spacy
from spacy.tokens import Doc
from thinc.api import Model, Softmax, chain
from thinc.types import Floats2d

from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

SCORES = (*CATEGORIES, UNSAFE)
_LIMIT = 6.0  # of the log odds: beyond it, a probability is as good as 0 or 1


@spacy.registry.architectures("example.DecideByScores.v1")
def create_decide_by_scores(
    nO: int | None = None,  # noqa: N803 (thinc's name)
) -> Model[list[Doc], Floats2d]:
    """A softmax over the log odds of the guard's scores, which an earlier component of
    the pipeline has written: list it in `annotating_components`.

    nO (Optional[int]): Labels; known when the component is initialized.
    RETURNS (Model[List[Doc], Floats2d]): From docs to the probabilities of the labels.
    """
    scores: Model[list[Doc], Floats2d] = Model("guard_scores", _forward)
    return chain(scores, Softmax(nO=nO, nI=len(SCORES)))


def _forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[Floats2d, object]:
    # A doc without scores reads as unsafe, as one that could not be scored.
    rows = [[doc.cats.get(name, 1.0) for name in SCORES] for doc in docs]
    values = np.array(rows, dtype=np.float64).reshape(len(docs), len(SCORES))
    with np.errstate(divide="ignore"):
        odds = np.log(values) - np.log1p(-values)
    clipped = np.clip(odds, -_LIMIT, _LIMIT).astype(np.float32)
    return model.ops.asarray2f(clipped), lambda gradient: []
