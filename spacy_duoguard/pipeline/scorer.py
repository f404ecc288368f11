"""Evaluation of the categories, `unsafe` and spans."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from spacy.scorer import PRFScore
from spacy.tokens import Span
from spacy.training import Example

from ..engine.decisions import ALLOW, REVIEW, Policy
from ..engine.flags import flagged
from ..engine.user_warnings import warn
from ..engine.verdict import HIGHEST, to_cats
from ..errors import Warnings
from ..taxonomy import CATEGORIES, UNSAFE
from .attributes import get_span_verdicts, get_spans_key, get_verdict
from .evaluate_table import printed_scores
from .examples import list_examples
from .gold import POSITIVE, GoldEntry, read_cats, read_rejected
from .scored_gold import warn_of_scores
from .settings import FACTORY, SPANS_KEY


def make_scorer(prefix: str = FACTORY) -> Callable[..., dict[str, Any]]:
    """Registered as "spacy-duoguard.scorer.v1".

    prefix (str): Prefix of the keys of the scores. Set it if two components of one
        pipeline write `doc.cats`.
    RETURNS (Callable): The scorer.
    """
    return partial(score_categories, prefix=prefix)


def score_categories(
    examples: Iterable[Example],
    *,
    threshold: float = 0.5,
    thresholds: Mapping[str, float] | None = None,
    review_threshold: float | None = None,
    review_thresholds: Mapping[str, float] | None = None,
    labels: Sequence[str] = CATEGORIES,
    spans_key: str = SPANS_KEY,
    prefix: str = FACTORY,
    **cfg: Any,
) -> dict[str, Any]:
    """Score predicted against gold `doc.cats`, and `doc.spans[spans_key]` if both docs
    have that group. The predicted categories are those that are flagged, and `unsafe`
    if there are any. Categories that the gold leaves out are not counted. Docs that
    failed have every category, and are counted apart, too.

    examples (Iterable[Example]): Predicted and reference docs.
    threshold (float): For categories that `thresholds` doesn't name.
    thresholds (Optional[Mapping[str, float]]): For single categories.
    review_threshold (Optional[float]): For categories that `review_thresholds` doesn't
        name; None to review none of them.
    review_thresholds (Optional[Mapping[str, float]]): For single categories.
    labels (Sequence[str]): The categories.
    spans_key (str): The group of `doc.spans` for flagged spans.
    prefix (str): Prefix of the keys.
    RETURNS (Dict[str, Any]): Precision, recall and F, false positive rate, and the
        areas under the ROC and the precision-recall curve (average precision): of
        `unsafe`, of each category, and as macro averages over the categories for which
        they are defined; None if undefined, for example with one class only. And as
        `{prefix}_score` the F of `unsafe`, 0.0 if undefined; the figures of the review,
        see `_score_reviews`; what `spacy evaluate` prints, see `printed_scores`; and as
        `{prefix}_not_scored` and `{prefix}_spans_not_scored` how many docs and spans
        failed, and as `{prefix}_left_out` how many docs have no scores of the
        component.
    RAISES (SettingsError): A gold value is not allowed, as in training.
    """
    examples = list_examples(examples, "score_categories")
    policy = Policy.of(
        labels, threshold, thresholds, review_threshold, review_thresholds
    )
    predicted = _Predicted(policy, labels)
    for eg in examples:
        predicted.add(eg)
    scores = {key: _score_label(made) for key, made in predicted.of_key.items()}
    spans = _score_spans(examples, labels, spans_key)
    reviews = _score_reviews(predicted.actions if policy.has_band else ())
    if predicted.n_failed or spans["not_scored"]:
        counts = {"texts": predicted.n_failed, "spans": spans["not_scored"]}
        warn(Warnings.W031.format(prefix=prefix, **counts))
    if predicted.n_left_out:
        warn(Warnings.W032.format(count=predicted.n_left_out, prefix=prefix))
    result = {
        f"{prefix}_not_scored": predicted.n_failed,
        f"{prefix}_left_out": predicted.n_left_out,
        **_summarize(scores, prefix),
        **{f"{prefix}_review_{key}": value for key, value in reviews.items()},
        **{f"{prefix}_spans_{key}": value for key, value in spans.items()},
    }
    if prefix == FACTORY:  # with another one, there may be a second component
        result |= printed_scores(examples, labels, scores, spans, spans_key)
    return result


def read_gold(cats: Mapping[str, float], labels: Sequence[str]) -> dict[str, bool]:
    """The gold of each category and of `unsafe`, where known. Gold `unsafe` of 0 means
    that all categories are 0, of 1 only that the text is unsafe. Without it, `unsafe`
    is known if a category is positive or all categories are known.

    cats (Mapping[str, float]): The `doc.cats` of the reference. Keys other than the
        categories and `unsafe` are ignored.
    labels (Sequence[str]): The categories.
    RETURNS (Dict[str, bool]): The known values.
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


class _Prediction(NamedTuple):
    """The prediction for a category of one doc or span, and the gold."""

    truth: bool
    flag: bool
    probability: float


class _Predicted:
    """What was predicted for examples, beside their gold."""

    def __init__(self, policy: Policy, labels: Sequence[str]) -> None:
        self.policy = policy
        self.labels = labels
        self.actions: list[tuple[bool, str]] = []  # with the gold of `unsafe`
        self.n_failed = self.n_left_out = 0
        self.of_key: dict[str, list[_Prediction]] = {
            key: [] for key in (*labels, UNSAFE)
        }

    def add(self, eg: Example) -> None:
        limits, labels = self.policy.thresholds, self.labels
        warn_of_scores(eg.reference)
        read_cats(eg.reference.cats, labels)  # refuses what training does
        gold = read_gold(eg.reference.cats, labels)
        # Not `doc.cats`, which another component may have changed.
        verdict = get_verdict(eg.predicted)
        # The component has not seen it, or a category was added since.
        if verdict is None or (
            verdict.is_scored and not verdict.cats.keys() >= limits.keys()
        ):
            self.n_left_out += 1
            return
        self.n_failed += not verdict.is_scored
        probabilities = [verdict.cats.get(label, HIGHEST) for label in labels]
        flags = flagged(probabilities, limits, failed=not verdict.is_scored)
        values = to_cats(labels, probabilities)
        if UNSAFE in gold:
            decision = self.policy.decide(verdict.status, probabilities)
            self.actions.append((gold[UNSAFE], decision.action))
        for key, truth in gold.items():
            flag = bool(flags) if key == UNSAFE else key in flags
            self.of_key[key].append(_Prediction(truth, flag, values[key]))


def _score_reviews(actions: Sequence[tuple[bool, str]]) -> dict[str, float | None]:
    """actions (Sequence[Tuple[bool, str]]): Whether each text is unsafe, and its
        action; none if nothing is reviewed.
    RETURNS (Dict[str, Optional[float]]): "rate", the share of texts to review; "p", the
        share of these that are unsafe; "r", the share of unsafe texts that are reviewed
        or blocked. None if undefined."""
    reviewed = [truth for truth, action in actions if action == REVIEW]
    seen = [action != ALLOW for truth, action in actions if truth]
    return {
        "rate": len(reviewed) / len(actions) if actions else None,
        "p": sum(reviewed) / len(reviewed) if reviewed else None,
        "r": sum(seen) / len(seen) if seen else None,
    }


def _score_label(predictions: Sequence[_Prediction]) -> dict[str, float | None]:
    """RETURNS (Dict[str, Optional[float]]): "p", "r", "f", "fpr", "auc" and "auprc"."""
    truths = np.array([prediction.truth for prediction in predictions], bool)
    flags = np.array([prediction.flag for prediction in predictions], bool)
    auc, auprc = _areas(truths, np.array([p.probability for p in predictions]))
    hits, false = int((flags & truths).sum()), int((flags & ~truths).sum())
    scores: dict[str, float | None] = dict.fromkeys(("p", "r", "f"))
    scores["fpr"] = None if truths.all() else false / int((~truths).sum())
    if truths.any():
        prf = PRFScore(tp=hits, fp=false, fn=int(truths.sum()) - hits)
        scores.update(p=prf.precision, r=prf.recall, f=prf.fscore)
    return {**scores, "auc": auc, "auprc": auprc}


def _areas(
    truths: np.ndarray, probabilities: np.ndarray
) -> tuple[float | None, float | None]:
    """Areas under the ROC and the precision-recall curve; None with one class only."""
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
    categories = {key: value for key, value in scores.items() if key != UNSAFE}
    summary: dict[str, Any] = {
        f"{prefix}_unsafe_{key}": value for key, value in scores[UNSAFE].items()
    }
    # `spacy train` needs a number, even if the dev set has no gold for the component.
    summary[f"{prefix}_score"] = scores[UNSAFE]["f"] or 0.0
    for key in ("p", "r", "f", "auc", "auprc"):
        values = [of_label[key] for of_label in categories.values()]
        summary[f"{prefix}_macro_{key}"] = _mean(values)
    summary[f"{prefix}_f_per_type"] = {
        label: {key: of_label[key] for key in ("p", "r", "f")}
        for label, of_label in categories.items()
    }
    for key in ("fpr", "auc", "auprc"):
        summary[f"{prefix}_{key}_per_type"] = {
            label: of_label[key] for label, of_label in categories.items()
        }
    return summary


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _score_spans(
    examples: Sequence[Example], labels: Sequence[str], spans_key: str
) -> dict[str, Any]:
    """Score flagged spans as spaCy's spancat scorer does, and the areas under the
    curves over all scored spans. Docs are left out if the reference lacks the group, or
    if the component has not scored spans: without gold, or without scores. Of a partial
    group, only what is known counts.

    RETURNS (Dict[str, Any]): "p", "r", "f", "per_type", "macro_auc", "macro_auprc",
        and "not_scored", how many spans failed.
    """
    predictions: dict[str, list[_Prediction]] = {label: [] for label in labels}
    counts: dict[str, PRFScore] = {}
    n_failed = 0
    for eg in examples:
        # Not `doc.spans`, which another component may have changed.
        group = eg.reference.spans.get(spans_key)
        if group is None or get_spans_key(eg.predicted) != spans_key:
            continue
        spans = get_span_verdicts(eg.predicted)
        n_failed += sum(not verdict.is_scored for verdict in spans.values())
        rejected = read_rejected(group, labels)
        for label in labels:
            gold = {_offsets(span) for span in group if span.label_ == label}
            known = gold | _negatives(rejected, label, spans)
            found = {key for key in known & spans.keys() if label in spans[key].flags}
            if gold or found:
                counts.setdefault(label, PRFScore()).score_set(found, gold)
            predictions[label] += [
                _Prediction(key in gold, True, verdict.cats[label])
                for key, verdict in spans.items()
                if label in verdict.cats and key in known
            ]
    areas = [_score_label(made) for made in predictions.values()]
    total = sum(counts.values(), PRFScore())
    return {
        **(total.to_dict() if counts else dict.fromkeys(("p", "r", "f"))),
        "per_type": {label: prf.to_dict() for label, prf in counts.items()} or None,
        "macro_auc": _mean(of_label["auc"] for of_label in areas),
        "macro_auprc": _mean(of_label["auprc"] for of_label in areas),
        "not_scored": n_failed,
    }


def _negatives(
    rejected: Sequence[GoldEntry] | None, label: str, spans: Iterable[tuple[int, int]]
) -> set[tuple[int, int]]:
    """The spans that have no category if they have no entry."""
    if rejected is None:
        return set(spans)
    return {entry[:2] for entry in rejected if entry.label in (label, UNSAFE)}


def _offsets(span: Span) -> tuple[int, int]:
    return span.start_char, span.end_char


# `spacy train` can only weigh scores that are always numbers.
DEFAULT_SCORE_WEIGHTS: dict[str, float | None] = {
    key: 1.0 if key == f"{FACTORY}_score" else None for key in score_categories([])
}
