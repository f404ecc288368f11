"""The factory of the component, which spaCy finds through setup.cfg."""

from collections.abc import Callable

from spacy.language import Language
from thinc.api import Model

from .annotations import ASSIGNS
from .architecture import get_shim
from .component import DuoGuard
from .doc_scores import SpanGetter
from .losses import CategoryLoss
from .meta import note_source
from .settings import DEFAULT_CONFIG, FACTORY


@Language.factory(
    FACTORY,
    assigns=ASSIGNS,
    default_config=DEFAULT_CONFIG,
    default_score_weights={
        "duoguard_score": 1.0,
        "duoguard_unsafe_f": None,
        "duoguard_unsafe_p": None,
        "duoguard_unsafe_r": None,
        "duoguard_unsafe_fpr": None,
        "duoguard_unsafe_auc": None,
        "duoguard_unsafe_auprc": None,
        "duoguard_macro_p": None,
        "duoguard_macro_r": None,
        "duoguard_macro_f": None,
        "duoguard_macro_auc": None,
        "duoguard_macro_auprc": None,
        "duoguard_f_per_type": None,
        "duoguard_fpr_per_type": None,
        "duoguard_auc_per_type": None,
        "duoguard_auprc_per_type": None,
        "duoguard_spans_p": None,
        "duoguard_spans_r": None,
        "duoguard_spans_f": None,
        "duoguard_spans_per_type": None,
        "duoguard_spans_macro_auc": None,
        "duoguard_spans_macro_auprc": None,
    },
    retokenizes=False,
)
def make_duoguard(
    nlp: Language,
    name: str,
    model: Model,
    threshold: float,
    thresholds: dict[str, float],
    sents: bool,
    span_getter: SpanGetter | None,
    span_context: str,
    spans_key: str,
    curve: bool,
    patience: int,
    max_chars: int | None,
    normalize: bool,
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
        sents=sents,
        span_getter=span_getter,
        span_context=span_context,
        spans_key=spans_key,
        curve=curve,
        patience=patience,
        max_chars=max_chars,
        normalize=normalize,
        loss=loss,
        scorer=scorer,
    )
