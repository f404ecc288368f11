"""Evaluation: how well the categories, `unsafe` and spans are told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from spacy.scorer import PRFScore, Scorer
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..taxonomy import CATEGORIES, UNSAFE
from .annotations import KEY
from .gold import POSITIVE


def make_scorer(prefix: str = "duoguard") -> Callable[..., dict[str, Any]]:
    """Registered as "spacy-duoguard.scorer.v1".

    prefix (str): What the keys of the scores begin with. Two components that write
        `doc.cats` in one pipeline need different ones.
    RETURNS (Callable): The scorer.
    """

    return partial(score_categories, prefix=prefix)


def score_categories(
    examples: Iterable[Example],
    *,
    threshold: float = 0.5,
    thresholds: Mapping[str, float] | None = None,
    labels: Sequence[str] = CATEGORIES,
    spans_key: str = "duoguard",
    prefix: str = "duoguard",
    **cfg: Any,
) -> dict[str, Any]:
    """Score predicted against gold `doc.cats`, and `doc.spans[spans_key]` where both
    sides have that group. A category is predicted where its probability is strictly
    greater than its threshold, and `unsafe` where any is. Categories that the gold
    leaves out are not counted. As on the doc itself, a doc whose scoring failed has
    every category.

    examples (Iterable[Example]): Predicted and reference docs.
    threshold (float): Of all categories that `thresholds` does not name.
    thresholds (Optional[Mapping[str, float]]): Of single categories.
    labels (Sequence[str]): The categories.
    spans_key (str): The group of `doc.spans` that holds flagged spans.
    prefix (str): What the keys begin with.
    RETURNS (Dict[str, Any]): Precision, recall and F, false positive rate, and the
        areas under the ROC and the precision-recall curve (average precision): of
        `unsafe`, of each category, and as macro averages over the categories where
        they are defined; None where one is undefined, as with one class only. And as
        `{prefix}_score` the F of `unsafe`, 0.0 where it is undefined.
    """
    examples = list(examples)
    limits = {label: (thresholds or {}).get(label, threshold) for label in labels}
    verdicts = {label: _Verdicts() for label in (*labels, UNSAFE)}
    for eg in examples:
        gold, cats = read_gold(eg.reference.cats, labels), eg.predicted.cats
        if not all(label in cats for label in labels):
            continue  # not scored by the component
        failed = (eg.predicted.user_data.get(KEY) or {}).get("status") == "error"
        flagged = {label: failed or cats[label] > limits[label] for label in labels}
        flagged[UNSAFE] = any(flagged.values())
        values = {**cats, UNSAFE: max(cats[label] for label in labels)}
        for label, truth in gold.items():
            verdicts[label].add(truth, flagged[label], values[label])
    scores = {label: found.scores() for label, found in verdicts.items()}
    spans = _score_spans(examples, labels, spans_key)
    return {
        **_summarize(scores, prefix),
        **{f"{prefix}_spans_{key}": value for key, value in spans.items()},
    }


def read_gold(cats: Mapping[str, float], labels: Sequence[str]) -> dict[str, bool]:
    """What a reference doc says of each category and of `unsafe`. A gold `unsafe` of 0
    says that all categories are 0, one of 1 only that the text is unsafe; without it,
    `unsafe` is known if a category is positive or all are known.

    cats (Mapping[str, float]): The `doc.cats` of the reference. Other keys than the
        categories and `unsafe` are somebody else's.
    labels (Sequence[str]): The categories.
    RETURNS (Dict[str, bool]): What is known.
    """
    gold = {label: cats[label] > POSITIVE for label in labels if label in cats}
    overall = cats.get(UNSAFE)
    if overall is not None and overall <= POSITIVE:
        gold = {label: gold.get(label, False) for label in labels}
    if any(gold.values()) or (overall is not None and overall > POSITIVE):
        gold[UNSAFE] = True
    elif len(gold) == len(labels):
        gold[UNSAFE] = False
    return gold


@dataclass
class _Verdicts:
    """Of one category: what is true, what was flagged, and with what probability."""

    truths: list[bool] = field(default_factory=list)
    flags: list[bool] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)

    def add(self, truth: bool, flagged: bool, probability: float) -> None:
        self.truths.append(truth)
        self.flags.append(flagged)
        self.probabilities.append(probability)

    def scores(self) -> dict[str, float | None]:
        """RETURNS (Dict[str, Optional[float]]): By "p", "r", "f", "fpr", "auc" and
        "auprc"."""
        truths, flags = np.array(self.truths, bool), np.array(self.flags, bool)
        auc, auprc = _areas(truths, np.array(self.probabilities))
        false = int((flags & ~truths).sum())
        own: dict[str, float | None] = {
            "p": None,
            "r": None,
            "f": None,
            "fpr": None if truths.all() else false / int((~truths).sum()),
            "auc": auc,
            "auprc": auprc,
        }
        if truths.any():
            hits = int((flags & truths).sum())
            prf = PRFScore(tp=hits, fp=false, fn=int(truths.sum()) - hits)
            own |= {"p": prf.precision, "r": prf.recall, "f": prf.fscore}
        return own


def _areas(
    truths: np.ndarray, probabilities: np.ndarray
) -> tuple[float | None, float | None]:
    """Areas under the ROC and the precision-recall curve; None for one class only."""
    if truths.all() or not truths.any():
        return None, None
    from sklearn.metrics import average_precision_score, roc_auc_score

    return (
        float(roc_auc_score(truths, probabilities)),
        float(average_precision_score(truths, probabilities)),
    )


def _summarize(
    scores: Mapping[str, Mapping[str, float | None]], prefix: str
) -> dict[str, Any]:
    categories = {label: own for label, own in scores.items() if label != UNSAFE}
    summary: dict[str, Any] = {
        f"{prefix}_unsafe_{key}": value for key, value in scores[UNSAFE].items()
    }
    # `spacy train` weighs numbers only, also where the dev set has no gold for us.
    summary[f"{prefix}_score"] = scores[UNSAFE]["f"] or 0.0
    for key in ("p", "r", "f", "auc", "auprc"):
        values = [own[key] for own in categories.values()]
        summary[f"{prefix}_macro_{key}"] = _mean(values)
    summary[f"{prefix}_f_per_type"] = {
        label: {key: own[key] for key in ("p", "r", "f")}
        for label, own in categories.items()
    }
    for key in ("fpr", "auc", "auprc"):
        summary[f"{prefix}_{key}_per_type"] = {
            label: own[key] for label, own in categories.items()
        }
    return summary


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _score_spans(
    examples: Sequence[Example], labels: Sequence[str], spans_key: str
) -> dict[str, Any]:
    """As spaCy's spancat for the flagged spans, and areas under the curves over all
    spans that were scored. Docs without the group in the reference say nothing of
    spans, and in docs without it in the prediction none were scored.

    RETURNS (Dict[str, Any]): By "p", "r", "f", "per_type", "macro_auc", "macro_auprc".
    """
    annotated = [
        eg
        for eg in examples
        if spans_key in eg.reference.spans and spans_key in eg.predicted.spans
    ]

    def own_spans(doc: Doc, attr: str) -> list[Span]:
        return [span for span in doc.spans[spans_key] if span.label_ in labels]

    prf = Scorer.score_spans(annotated, "spans", getter=own_spans, allow_overlap=True)
    found = {label: _Verdicts() for label in labels}
    for eg in annotated:
        gold = {
            (f"{span.start_char}:{span.end_char}", span.label_)
            for span in own_spans(eg.reference, "spans")
        }
        record = eg.predicted.user_data.get(KEY) or {"spans": {}, "labels": ()}
        for place, probabilities in record["spans"].items():
            for label, value in zip(record["labels"], probabilities, strict=True):
                if label in found:
                    found[label].add((place, label) in gold, True, value)
    areas = [own.scores() for own in found.values()]
    return {
        **{key.removeprefix("spans_"): value for key, value in prf.items()},
        "macro_auc": _mean(own["auc"] for own in areas),
        "macro_auprc": _mean(own["auprc"] for own in areas),
    }
