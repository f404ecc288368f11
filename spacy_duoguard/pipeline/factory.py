"""The factory of the component, which spaCy finds through setup.cfg."""

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from thinc.api import Model

from .architecture import get_shim
from .component import DuoGuard
from .doc_scores import SpanGetter
from .extensions import ASSIGNS
from .losses import CategoryLoss
from .meta import note_source
from .scorer import DEFAULT_SCORE_WEIGHTS
from .settings import DEFAULT_CONFIG, FACTORY


@Language.factory(
    FACTORY,
    assigns=ASSIGNS,
    default_config=DEFAULT_CONFIG,
    default_score_weights=DEFAULT_SCORE_WEIGHTS,
    retokenizes=False,
)
def make_duoguard(
    nlp: Language,
    name: str,
    model: Model,
    threshold: float,
    thresholds: dict[str, float],
    review_threshold: float | None,
    review_thresholds: dict[str, float],
    sents: bool,
    span_getter: SpanGetter | None,
    span_context: str,
    spans_key: str,
    curve: bool,
    patience: int,
    max_chars: int | None,
    normalize: bool,
    roles: list[str] | None,
    views: Any,
    loss: CategoryLoss,
    scorer: Callable | None,
) -> DuoGuard:
    """Create a component, without loading or downloading its weights."""
    note_source(nlp, get_shim(model).source["name"])
    return DuoGuard(
        nlp.vocab,
        model,
        name,
        threshold=threshold,
        thresholds=thresholds,
        review_threshold=review_threshold,
        review_thresholds=review_thresholds,
        sents=sents,
        span_getter=span_getter,
        span_context=span_context,
        spans_key=spans_key,
        curve=curve,
        patience=patience,
        max_chars=max_chars,
        normalize=normalize,
        roles=roles,
        views=views,
        loss=loss,
        scorer=scorer,
    )
