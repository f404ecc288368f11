"""Evaluation: how well the categories and `unsafe` are told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from spacy.scorer import PRFScore, ROCAUCScore
from spacy.training import Example

from .annotations import KEY
from .taxonomy import CATEGORIES, UNSAFE


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
    prefix: str = "duoguard",
    **cfg: Any,
) -> dict[str, Any]:
    """Score predicted against gold `doc.cats`. A category is predicted where its
    probability is strictly greater than its threshold, and `unsafe` where any is.
    Categories that the gold leaves out are not counted. As on the doc itself, a doc
    whose scoring failed has every category.

    examples (Iterable[Example]): Predicted and reference docs.
    threshold (float): Of all categories that `thresholds` does not name.
    thresholds (Optional[Mapping[str, float]]): Of single categories.
    labels (Sequence[str]): The categories.
    prefix (str): What the keys begin with.
    RETURNS (Dict[str, Any]): Precision, recall and F of `unsafe` and as macro average
        over the categories with gold positives, false positive rate of `unsafe`, and
        areas under the ROC curve, None where one is undefined; and as `{prefix}_score`
        the F of `unsafe`, 0.0 where it is undefined.
    """
    limits = {label: (thresholds or {}).get(label, threshold) for label in labels}
    tallies = {label: _Tally() for label in (*labels, UNSAFE)}
    for eg in examples:
        gold, cats = _gold(eg.reference.cats, labels), eg.predicted.cats
        if not all(label in cats for label in labels):
            continue  # not scored by the component
        failed = (eg.predicted.user_data.get(KEY) or {}).get("status") == "error"
        flagged = {label: failed or cats[label] > limits[label] for label in labels}
        flagged[UNSAFE] = any(flagged.values())
        values = {**cats, UNSAFE: max(cats[label] for label in labels)}
        for label, truth in gold.items():
            tallies[label].add(truth, flagged[label], values[label])
    return _summarize(tallies, prefix)


class _Tally:
    """Counts of one category."""

    def __init__(self) -> None:
        self.prf = PRFScore()
        self.roc = ROCAUCScore()
        self.negatives = 0

    def add(self, truth: bool, flagged: bool, probability: float) -> None:
        self.prf.tp += truth and flagged
        self.prf.fp += flagged and not truth
        self.prf.fn += truth and not flagged
        self.negatives += not truth
        self.roc.score_set(probability, int(truth))

    @property
    def positives(self) -> int:
        return self.prf.tp + self.prf.fn

    def scores(self) -> dict[str, float | None]:
        fpr = self.prf.fp / self.negatives if self.negatives else None
        auc = float(self.roc.score) if self.roc.is_binary() else None
        if not self.positives:
            return {"p": None, "r": None, "f": None, "fpr": fpr, "auc": auc}
        prf = self.prf
        own = {"p": prf.precision, "r": prf.recall, "f": prf.fscore}
        return {**own, "fpr": fpr, "auc": auc}


def _gold(cats: Mapping[str, float], labels: Sequence[str]) -> dict[str, bool]:
    """What the reference says of each category and of `unsafe`. A gold `unsafe` of 0
    says that all categories are 0, one of 1 only that the text is unsafe; without it,
    `unsafe` is known if a category is positive or all are known."""
    gold = {label: cats[label] > 0.5 for label in labels if label in cats}
    overall = cats.get(UNSAFE)
    if overall is not None and overall <= 0.5:
        gold = {label: gold.get(label, False) for label in labels}
    if any(gold.values()) or (overall is not None and overall > 0.5):
        gold[UNSAFE] = True
    elif len(gold) == len(labels):
        gold[UNSAFE] = False
    return gold


def _summarize(tallies: Mapping[str, _Tally], prefix: str) -> dict[str, Any]:
    scores = {label: tally.scores() for label, tally in tallies.items()}
    unsafe = scores.pop(UNSAFE)
    summary: dict[str, Any] = {
        f"{prefix}_unsafe_{key}": value for key, value in unsafe.items()
    }
    # `spacy train` weighs numbers only, also where the dev set has no gold for us.
    summary[f"{prefix}_score"] = unsafe["f"] or 0.0
    for key in ("p", "r", "f", "auc"):
        known = [own[key] for own in scores.values() if own[key] is not None]
        summary[f"{prefix}_macro_{key}"] = sum(known) / len(known) if known else None  # type: ignore[arg-type]
    summary[f"{prefix}_f_per_type"] = {
        label: {key: own[key] for key in ("p", "r", "f")}
        for label, own in scores.items()
    }
    summary[f"{prefix}_auc_per_type"] = {
        label: own["auc"] for label, own in scores.items()
    }
    return summary
