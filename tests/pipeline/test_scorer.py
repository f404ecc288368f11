"""The scorer, against values computed by hand."""

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from support.failures import BAD
from support.scored import mark, mark_failed

from spacy_duoguard.pipeline.scorer import make_scorer, score_categories
from spacy_duoguard.taxonomy import CATEGORIES

NLP = spacy.blank("en")


def example(predicted, gold, *, labels=CATEGORIES):
    """An example whose other categories are 0 on the predicted side."""
    pred, ref = NLP.make_doc("a text"), NLP.make_doc("a text")
    mark(pred, predicted, labels=labels)
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


def test_docs_that_were_not_scored_are_left_out_and_counted():
    eg = Example(Doc(NLP.vocab), Doc(NLP.vocab))
    eg.reference.cats = all_zero(Hate=1.0)
    with pytest.warns(UserWarning, match=r"W032\] 2 texts were left out"):
        scores = score_categories([eg, eg])
    assert scores["duoguard_unsafe_f"] is None
    assert (scores["duoguard_left_out"], scores["duoguard_not_scored"]) == (2, 0)


def test_a_failed_doc_has_every_category():
    eg = example(dict.fromkeys(CATEGORIES, 1.0), all_zero(Hate=1.0))
    assert score_categories([eg], threshold=1.0)["duoguard_unsafe_r"] == 0.0
    mark_failed(eg.predicted)
    with pytest.warns(UserWarning, match="W031"):
        assert score_categories([eg], threshold=1.0)["duoguard_unsafe_r"] == 1.0


def test_what_failed_is_counted_and_warned_of(breaking):
    nlp = breaking(RuntimeError("no"), sents=True)
    nlp.set_error_handler(lambda name, component, docs, error: None)
    gold = {"cats": all_zero()}
    texts = ["one dog", f"{BAD}. Two foxes.", "three", BAD]

    def evaluate(texts):
        examples = [Example.from_dict(nlp.make_doc(text), gold) for text in texts]
        for eg in examples:
            eg.reference.spans["duoguard"] = []
        return nlp.evaluate(examples)

    with pytest.warns(UserWarning, match="W031") as caught:
        scores = [evaluate(part) for part in (texts, texts[:2], texts[::2], texts[:2])]
    messages = [str(warning.message) for warning in caught]
    # Each time, as another pipeline may have failed on as many.
    assert len(messages) == 3
    assert "2 texts and 3 spans" in messages[0]
    assert all("1 texts and 2 spans" in message for message in messages[1:])
    assert [of["duoguard_not_scored"] for of in scores] == [2, 1, 0, 1]
    assert [of["duoguard_spans_not_scored"] for of in scores] == [3, 2, 0, 2]


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


def test_areas_are_those_of_scikit_learn_by_hand():
    golds = [1.0, 0.0, 1.0, 0.0]
    values = [0.9, 0.8, 0.7, 0.7]  # a tie between the classes
    scores = score_categories(
        [
            example({"Hate": value}, all_zero(Hate=gold))
            for value, gold in zip(values, golds, strict=True)
        ]
    )
    # Pairs of a positive and a negative: won 1, 1; lost 0, tied ½, of four.
    assert scores["duoguard_auc_per_type"]["Hate"] == pytest.approx(2.5 / 4)
    # Recall ½ at precision 1, recall 1 at precision ½.
    assert scores["duoguard_auprc_per_type"]["Hate"] == pytest.approx(0.75)
    assert scores["duoguard_unsafe_auprc"] == pytest.approx(0.75)
    assert scores["duoguard_macro_auprc"] == pytest.approx(0.75)
    assert scores["duoguard_fpr_per_type"]["Hate"] == pytest.approx(1.0)
    assert scores["duoguard_fpr_per_type"]["Privacy"] == 0.0


@pytest.mark.parametrize("gold", [0.0, 1.0])
def test_one_class_only_is_none_and_no_crash(gold):
    scores = score_categories([example({"Hate": 0.9}, all_zero(Hate=gold))] * 3)
    for key in ("unsafe_auc", "unsafe_auprc", "macro_auc", "macro_auprc"):
        assert scores[f"duoguard_{key}"] is None
    assert scores["duoguard_unsafe_f"] == (1.0 if gold else None)
    assert scores["duoguard_unsafe_fpr"] == (None if gold else 1.0)
    assert scores["duoguard_score"] == gold


def test_labels_that_the_user_added_count():
    labels = (*CATEGORIES, "Spoilers")
    gold = {**all_zero(), "Spoilers": 1.0}
    eg = example({"Spoilers": 0.9}, gold, labels=labels)
    scores = score_categories([eg], labels=labels)
    assert scores["duoguard_f_per_type"]["Spoilers"]["f"] == 1.0
    assert scores["duoguard_unsafe_r"] == 1.0
    assert score_categories([eg])["duoguard_unsafe_fpr"] == 0.0


def spans_example(scored, gold, *, key="duoguard"):
    """scored: {(start, end): probability of Hate}; gold: the spans that are Hate, or
    None for no group. A span is flagged above 0.5."""
    pred, ref = (NLP.make_doc("one two three four") for _ in range(2))
    if scored is not None:
        scored = {span: {"Hate": value} for span, value in scored.items()}
    mark(pred, {}, spans=scored, key=key)
    if gold is not None:
        ref.spans[key] = [Span(ref, *span, label="Hate") for span in gold]
    return Example(pred, ref)


def test_spans_by_hand():
    scored = {(0, 1): 0.9, (1, 2): 0.8, (2, 3): 0.4, (3, 4): 0.1}
    scores = score_categories([spans_example(scored, [(0, 1), (2, 3)])])
    expected = {"p": 0.5, "r": 0.5, "f": 0.5}
    for key, value in expected.items():
        assert scores[f"duoguard_spans_{key}"] == pytest.approx(value)
    assert scores["duoguard_spans_per_type"]["Hate"] == pytest.approx(expected)
    assert scores["duoguard_spans_macro_auc"] == pytest.approx(3 / 4)
    # Recall ½ at precision 1, recall 1 at precision ⅔.
    assert scores["duoguard_spans_macro_auprc"] == pytest.approx((1 + 2 / 3) / 2)


def test_spans_count_only_where_both_sides_have_the_group():
    scored = {(0, 1): 0.9}
    for eg in (spans_example(scored, None), spans_example(None, [(0, 1)])):
        scores = score_categories([eg])
        for key in ("p", "r", "f", "per_type", "macro_auc", "macro_auprc"):
            assert scores[f"duoguard_spans_{key}"] is None
    empty = score_categories([spans_example(scored, [])])
    assert empty["duoguard_spans_p"] == 0.0  # the annotator saw no span
    other = spans_example(scored, [(0, 1)], key="mine")
    assert score_categories([other], spans_key="mine")["duoguard_spans_f"] == 1.0


def test_what_a_partial_group_does_not_say_is_not_counted(make_nlp):
    nlp = make_nlp(sents=True, threshold=0.0)  # all are flagged
    reference = nlp.make_doc("One dog. Two foxes. No cat. A cow.")
    reference.spans["duoguard"] = [Span(reference, 0, 3, label="Hate")]
    reference.spans["duoguard"].attrs["rejected"] = [[9, 19, "Hate"], [9, 19, "Spam"]]
    nlp.get_pipe("duoguard").add_label("Spam")
    scores = nlp.evaluate([Example(nlp.make_doc(reference.text), reference)])
    assert scores["duoguard_spans_per_type"]["Hate"]["p"] == pytest.approx(1 / 2)
    assert scores["duoguard_spans_per_type"].keys() == {"Hate", "Spam"}
    assert scores["duoguard_spans_p"] == pytest.approx(1 / 3)
    reference.spans["duoguard"].attrs["rejected"] = [[9, 19, "unsafe"]]
    scores = nlp.evaluate([Example(nlp.make_doc(reference.text), reference)])
    assert scores["duoguard_spans_p"] == pytest.approx(1 / 14)


def test_sentences_are_scored_in_a_pipeline(make_nlp):
    nlp = make_nlp(sents=True, threshold=0.0)
    reference = nlp.make_doc("One dog. Two foxes.")
    reference.spans["duoguard"] = [Span(reference, 0, 3, label="Hate")]
    scores = nlp.evaluate([Example(nlp.make_doc(reference.text), reference)])
    assert scores["duoguard_spans_r"] == 1.0
    assert scores["duoguard_spans_p"] == pytest.approx(1 / 24)  # all are flagged
    first, second = (s._.duoguard_cats["Hate"] for s in nlp(reference.text).sents)
    assert scores["duoguard_spans_macro_auc"] == float(first > second)


def test_every_score_is_among_the_default_weights(make_nlp):
    nlp = make_nlp()
    declared = nlp.get_factory_meta("duoguard").default_score_weights
    scores = score_categories([])
    assert set(scores) == set(declared)
    numbers = [key for key, weight in declared.items() if weight is not None]
    assert numbers == ["duoguard_score"]  # the only figure that is always a number


@pytest.mark.parametrize(
    ("gold", "code"),
    [
        ({"Hate": 2}, "E063"),
        ({"unsafe": "1"}, "E063"),
        ({"unsafe": float("nan")}, "E063"),
        (all_zero(unsafe=1.0), "E068"),
    ],
    ids=str,
)
def test_gold_that_training_refuses_is_not_evaluated(gold, code):
    with pytest.raises(ValueError, match=code):
        score_categories([example({}, gold)])
