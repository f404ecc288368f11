"""The scorer, against figures worked out by hand."""

import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example

from spacy_duoguard.scorer import make_scorer, score_categories
from spacy_duoguard.taxonomy import CATEGORIES

NLP = spacy.blank("en")


def example(predicted, gold):
    """An example whose other categories are 0 on the predicted side."""
    pred, ref = NLP.make_doc("a text"), NLP.make_doc("a text")
    pred.cats = {**dict.fromkeys(CATEGORIES, 0.0), **predicted}
    ref.cats = gold
    return Example(pred, ref)


def all_zero(**changes):
    return {**dict.fromkeys(CATEGORIES, 0.0), **changes}


def test_counts_by_hand():
    scores = score_categories(
        [
            example({"Hate": 0.9}, all_zero(Hate=1.0)),  # true positive
            example({"Hate": 0.8}, all_zero()),  # false positive
            example({"Hate": 0.4}, all_zero(Hate=1.0)),  # false negative
            example({"Hate": 0.1}, all_zero()),  # true negative
            example({"Hate": 0.2}, all_zero()),  # true negative
        ]
    )
    expected = {"p": 0.5, "r": 0.5, "f": 0.5}
    assert scores["duoguard_f_per_type"]["Hate"] == pytest.approx(expected)
    for key, value in {**expected, "fpr": 1 / 3, "auc": 5 / 6}.items():
        assert scores[f"duoguard_unsafe_{key}"] == pytest.approx(value)
    assert scores["duoguard_macro_f"] == pytest.approx(0.5)
    assert scores["duoguard_auc_per_type"]["Hate"] == pytest.approx(5 / 6)
    assert scores["duoguard_score"] == pytest.approx(0.5)
    privacy = {"p": None, "r": None, "f": None}
    assert scores["duoguard_f_per_type"]["Privacy"] == privacy


def test_thresholds_are_strict_and_per_category():
    def flagged(value, **cfg):
        gold = all_zero(Hate=1.0)
        return score_categories([example({"Hate": value}, gold)], **cfg)

    assert flagged(0.5)["duoguard_unsafe_r"] == 0.0
    assert flagged(0.5000001)["duoguard_unsafe_r"] == 1.0
    assert flagged(0.5, thresholds={"Hate": 0.4})["duoguard_unsafe_r"] == 1.0
    assert flagged(0.9, threshold=0.95)["duoguard_unsafe_r"] == 0.0


@pytest.mark.parametrize(
    ("gold", "unsafe"),
    [
        ({}, None),
        ({"Hate": 0.0}, None),  # eleven are unknown
        ({"Hate": 1.0}, True),
        ({"Hate": 0.5}, None),
        (all_zero(), False),
        ({"unsafe": 0.0}, False),
        ({"unsafe": 1.0}, True),
        ({"unsafe": 0.0, "Hate": 1.0}, True),
        ({"POSITIVE": 1.0}, None),
    ],
)
def test_gold_unsafe(gold, unsafe):
    hit = score_categories([example({"Hate": 0.9}, gold)])
    assert hit["duoguard_unsafe_r"] == (1.0 if unsafe else None)
    assert hit["duoguard_unsafe_fpr"] == (1.0 if unsafe is False else None)


def test_undefined_scores_are_none_and_their_keys_are_there():
    scores = score_categories([])
    assert scores["duoguard_score"] == 0.0
    for key in ("p", "r", "f", "auc"):
        assert scores[f"duoguard_macro_{key}"] is None
        assert scores[f"duoguard_unsafe_{key}"] is None
    assert set(scores["duoguard_f_per_type"]) == set(CATEGORIES)


def test_docs_that_were_not_scored_are_left_out():
    eg = Example(Doc(NLP.vocab), Doc(NLP.vocab))
    eg.reference.cats = all_zero(Hate=1.0)
    assert score_categories([eg])["duoguard_unsafe_f"] is None


def test_a_failed_doc_has_every_category():
    eg = example(dict.fromkeys(CATEGORIES, 1.0), all_zero(Hate=1.0))
    assert score_categories([eg], threshold=1.0)["duoguard_unsafe_r"] == 0.0
    eg.predicted.user_data["duoguard"] = {"status": "error"}
    assert score_categories([eg], threshold=1.0)["duoguard_unsafe_r"] == 1.0


def test_a_prefix_keeps_two_components_apart():
    eg = example({"Hate": 0.9}, all_zero(Hate=1.0))
    scores = make_scorer("strict")([eg])
    assert scores["strict_unsafe_f"] == 1.0
    assert all(key.startswith("strict_") for key in scores)


def test_evaluate(make_nlp):
    nlp = make_nlp(threshold=0.0)
    texts = ["one dog", "two foxes"]
    golds = [all_zero(Hate=1.0), all_zero()]
    examples = [
        Example.from_dict(nlp.make_doc(text), {"cats": gold})
        for text, gold in zip(texts, golds, strict=True)
    ]
    scores = nlp.evaluate(examples)
    assert scores["duoguard_unsafe_r"] == 1.0
    assert scores["duoguard_unsafe_p"] == pytest.approx(0.5)
    assert scores["duoguard_unsafe_fpr"] == 1.0
    first, second = (nlp(text).cats["unsafe"] for text in texts)
    assert scores["duoguard_unsafe_auc"] == float(first > second)
