"""How the component learns from examples: initialize, update and rehearse."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.training import Example, validate_get_examples
from thinc.api import Optimizer

from ..engine.prefix_scores import Query
from ..errors import Errors, SettingsError, Warnings
from .architecture import get_shim
from .doc_scores import get_spans
from .examples import list_examples
from .gold import (
    Gold,
    LabelledText,
    fill_maximum,
    foreign_keys,
    read_cats,
    read_entries,
    read_rejected,
    read_span_group,
    training_queries,
)
from .losses import BinaryCrossEntropy, CategoryLoss
from .score_weights import check_score_weights
from .scored_gold import warn_of_scores
from .settings import check_settings


def initialize(
    component: TrainablePipe,
    get_examples: Callable[[], Iterable[Example]],
    labels: Sequence[str],
    nlp: Language | None = None,
) -> None:
    """Load the weights, add categories, and check the settings and the gold.

    component (DuoGuard): The component.
    get_examples (Callable[[], Iterable[Example]]): The training data.
    labels (Sequence[str]): Categories to add if they are missing.
    nlp (Optional[Language]): The pipeline, to check its score weights.
    """
    validate_get_examples(get_examples, "DuoGuard.initialize")
    shim = get_shim(component.model)
    _ = shim.classifier
    for label in labels:
        component.add_label(label)
    check_settings(component.cfg, component.labels)
    shim.check_trainable()
    if nlp is not None:
        check_score_weights(nlp)
    for eg in get_examples():
        warn_of_scores(eg.reference)
        gold = read_cats(eg.reference.cats, component.labels)
        group = eg.reference.spans.get(component.cfg["spans_key"], ())
        read_entries(group, component.labels)
        read_rejected(group, component.labels)
        truths = fill_maximum([gold], np.zeros((1, len(component.labels))))
        if isinstance(component.loss, CategoryLoss):
            component.loss.check(truths)
        component.has_seen_gold |= gold.is_known or _has_span_gold(component, eg)


def learn(component: TrainablePipe, examples: Iterable[Example]) -> float:
    """Add the gradients of the component's loss.

    component (DuoGuard), examples (Iterable[Example]): As for `DuoGuard.update`.
    RETURNS (float): The loss, summed over texts.
    """
    examples = list_examples(examples, "DuoGuard.update")
    texts = [t for t in _labelled_texts(component, examples) if t.gold.is_known]
    _check_gold(component, examples, texts)
    if not texts:
        return 0.0
    queries, golds = training_queries(texts, in_context=component.in_context)
    shim = get_shim(component.model)
    logits, backprop = shim.begin(queries, component.cfg)
    loss, d_logits = _get_loss(component, golds, logits)
    backprop(d_logits)
    return loss


def rehearse(component: TrainablePipe, examples: Iterable[Example]) -> float:
    """Add the gradients of the divergence from the probabilities before training.

    component (DuoGuard), examples (Iterable[Example]): As for `DuoGuard.rehearse`.
    RETURNS (float): The divergence, summed over categories and texts.
    """
    examples = list_examples(examples, "DuoGuard.rehearse")
    queries = [Query(eg.predicted.text) for eg in examples if eg.predicted.text]
    if not queries:
        return 0.0
    shim, cfg = get_shim(component.model), component.cfg
    before = shim.trainer.initial_logits(queries, max_chars=cfg["max_chars"])
    before = before.astype(np.float64)
    logits, backprop = shim.begin(queries, cfg)
    loss, target = BinaryCrossEntropy(), 1.0 / (1.0 + np.exp(-before))
    truths = np.full(logits.shape, np.nan)  # open for categories added since
    truths[:, : target.shape[1]] = target
    gradient, cross_entropy = loss(logits, truths)
    backprop(gradient)
    return cross_entropy - loss.get_loss(before, target)


def finish(
    component: TrainablePipe,
    loss: float,
    sgd: Optimizer | None,
    losses: dict[str, float] | None,
) -> dict[str, float]:
    """Add a loss to the losses, and update the weights if there is an optimizer.

    component (DuoGuard): The component.
    loss (float): From `learn` or `rehearse`.
    sgd (Optional[Optimizer]), losses (Optional[Dict[str, float]]): As for
        `DuoGuard.update`.
    RETURNS (Dict[str, float]): The updated losses.
    """
    losses = {} if losses is None else losses
    losses[component.name] = losses.get(component.name, 0.0) + loss
    if sgd not in (None, False):
        component.finish_update(sgd)
    return losses


def get_loss(
    component: TrainablePipe, examples: Iterable[Example], scores: Any
) -> tuple[float, np.ndarray]:
    """component (DuoGuard), examples (Iterable[Example]), scores (ndarray): As for
    `DuoGuard.get_loss`.
    RETURNS (Tuple[float, ndarray]): The loss and its gradient."""
    examples = list_examples(examples, "DuoGuard.get_loss")
    texts = _labelled_texts(component, examples)
    logits = component.model.ops.to_numpy(scores)
    if len(logits) == len(examples):
        texts = texts[: len(examples)]
    return _get_loss(component, [text.gold for text in texts], logits)


def _get_loss(
    component: TrainablePipe, golds: Sequence[Gold], logits: np.ndarray
) -> tuple[float, np.ndarray]:
    gradient, loss = component.loss(logits, fill_maximum(golds, logits))
    return float(loss), gradient


def _labelled_texts(
    component: TrainablePipe, examples: Sequence[Example]
) -> list[LabelledText]:
    """The docs in order, then their spans."""
    labels, key = component.labels, component.cfg["spans_key"]
    texts = []
    for eg in examples:
        warn_of_scores(eg.reference)
        gold = read_cats(eg.reference.cats, labels)
        if not eg.predicted.text:  # scores 0.0, whatever its gold
            gold = read_cats({}, labels)
        texts.append(LabelledText(eg.predicted, gold))
    with_spans = [eg for eg in examples if _has_span_gold(component, eg)]
    if component.span_getter is None or not with_spans:
        return texts
    docs = [eg.predicted for eg in with_spans]
    groups = get_spans(
        component.span_getter, docs, name=component.name, unset=Errors.E066
    )
    n_unmatched = 0
    for eg, spans in zip(with_spans, groups, strict=True):
        golds, unmatched = read_span_group(eg.reference.spans[key], spans, labels)
        n_unmatched += unmatched
        texts += map(LabelledText, spans, golds)
    if n_unmatched:
        _warn_once(component, Warnings.W012, count=n_unmatched, key=key)
    return texts


def _has_span_gold(component: TrainablePipe, eg: Example) -> bool:
    key = component.cfg["spans_key"]
    if key not in eg.reference.spans:
        return False
    if component.span_getter is None:
        _warn_once(component, Warnings.W011, key=key)
    return component.span_getter is not None


def _check_gold(
    component: TrainablePipe,
    examples: Sequence[Example],
    texts: Sequence[LabelledText],
) -> None:
    """A batch may have no gold for the component, if an earlier one had some."""
    component.has_seen_gold |= bool(texts)
    if examples and not component.has_seen_gold:
        names = ", ".join(component.labels)
        message = Errors.E065.format(name=component.name, categories=names)
        raise SettingsError(message)
    keys = {
        key
        for eg in examples
        for key in foreign_keys(eg.reference.cats, component.labels)
    }
    if keys:
        _warn_once(component, Warnings.W010, keys=sorted(keys)[:5])


def _warn_once(component: TrainablePipe, message: str, **values: Any) -> None:
    if message not in component.warned:
        component.warned.add(message)
        warnings.warn(message.format(name=component.name, **values), stacklevel=5)
