"""Figures on dev, and what counts as a fall."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score

from spacy_duoguard.duel.guard import DevScores
from spacy_duoguard.duel.measuring import compare, falls, figures_of, measure


def make_scores(gold, probabilities, *, threshold=0.5, languages=None):
    probabilities = np.array(probabilities, dtype=float)
    gold = np.array(gold, dtype=bool)
    languages = tuple(languages or [""] * len(gold))
    return DevScores(gold, probabilities, probabilities > threshold, languages, 0)


ROWS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.6, 0.9, 1.0])),
    min_size=2,
    max_size=40,
).filter(lambda rows: len({label for label, _ in rows}) == 2)


@given(ROWS)
def test_the_figures_are_those_of_scikit_learn(rows):
    scores = make_scores(*zip(*rows, strict=True))
    figures = measure(scores.gold, scores.probabilities, scores.flagged)
    auc = roc_auc_score(scores.gold, scores.probabilities)
    assert figures["auroc"] == pytest.approx(auc)
    assert figures["f1"] == pytest.approx(
        f1_score(scores.gold, scores.flagged, zero_division=0.0)
    )
    assert figures["fpr"] == scores.flagged[~scores.gold].mean()
    assert figures["recall"] == scores.flagged[scores.gold].mean()


def test_a_language_with_one_label_has_no_area():
    scores = make_scores([1, 0, 1], [0.9, 0.2, 0.4], languages=["a", "a", "b"])
    figures = figures_of(scores)
    assert figures["texts"] == 3
    assert figures["languages"]["a"]["auroc"] == 1.0
    assert figures["languages"]["b"] == {
        **{"texts": 1, "auroc": None, "f1": 0.0, "fpr": None},
        "recall": 0.0,
    }


def noisy(rng, n, signal):
    gold = np.arange(n) % 2 == 0
    logits = signal * (2 * gold - 1) + rng.normal(size=n)
    return gold, 1 / (1 + np.exp(-logits))


def test_a_clear_fall_is_one_and_noise_is_none():
    rng = np.random.default_rng(0)
    gold, good = noisy(rng, 400, 2.0)
    before = make_scores(gold, good)
    worse = make_scores(gold, noisy(rng, 400, 0.3)[1])
    shaken = make_scores(gold, np.clip(good + rng.normal(0, 0.01, 400), 0, 1))
    draws = {"samples": 300, "seed": 0}
    assert falls(compare(before, worse, **draws)) == ["auroc", "f1"]
    assert falls(compare(before, shaken, **draws)) == []
    assert falls(compare(worse, before, **draws)) == []


def test_the_interval_covers_the_difference_as_often_as_it_says():
    """Two guards of the same worth: the interval of the difference lies on one side of
    0 in about 5 of 100 dev sets."""
    rng, beside = np.random.default_rng(1), 0
    for i in range(100):
        gold, first = noisy(rng, 120, 1.0)
        _, second = noisy(rng, 120, 1.0)
        pair = make_scores(gold, first), make_scores(gold, second)
        change = compare(*pair, samples=200, seed=i)["auroc"]
        beside += not change.low <= 0.0 <= change.high
    assert beside <= 12


def test_the_same_guard_does_not_change_and_draws_repeat():
    rng = np.random.default_rng(2)
    gold, first = noisy(rng, 60, 1.0)
    scores, other = make_scores(gold, first), make_scores(gold, first[::-1])
    same = compare(scores, scores, samples=20, seed=3)
    for change in same.values():
        assert (change.difference, change.low, change.high) == (0.0, 0.0, 0.0)
        assert not change.is_fall
    one, two = (compare(scores, other, samples=20, seed=3) for _ in range(2))
    assert one == two
