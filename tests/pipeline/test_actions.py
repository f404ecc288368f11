"""What is decided about docs and spans, on the component and wherever docs go."""

import pickle

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import ignore_error
from support.failures import BAD
from support.scored import mark, mark_failed

from spacy_duoguard.engine.decisions import ACTIONS
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.pipeline.scorer import score_categories
from spacy_duoguard.taxonomy import CATEGORIES

NLP = spacy.blank("en")
TEXTS = ["The dog sleeps.", "I will kill you.", "x", "a fox and a dog", ""]
BECAUSE_OF_NOTHING = {"category": None, "margin": None}


def again(doc):
    """The action and the reason of a doc, computed from its record alone."""
    record = doc.user_data["duoguard"]
    rows = list(
        zip(
            record["labels"],
            record["probs"],
            record["thresholds"],
            record["review_thresholds"],
            strict=True,
        )
    )
    over = [(p - t, label) for label, p, t, _ in rows if p > t]
    near = [(p - r, label) for label, p, _, r in rows if r is not None and p > r]
    for action, found in (("block", over), ("review", near)):
        if found:
            margin = max(margin for margin, _ in found)
            label = next(label for value, label in found if value == margin)
            return action, {"category": label, "margin": margin}
    return "allow", None


@pytest.fixture(scope="module")
def banded(qwen2_folder):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    model = {"name": str(qwen2_folder), "device": "cpu", "precision": "float32"}
    config = {"threshold": 0.9, "review_threshold": 0.87, "sents": True}
    nlp.add_pipe("duoguard", config={**config, "model": model})
    return nlp


def through_bytes(doc):
    return Doc(NLP.vocab).from_bytes(doc.to_bytes())


def through_doc_bin(doc):
    stored = DocBin(docs=[doc], store_user_data=True).to_bytes()
    return next(DocBin().from_bytes(stored).get_docs(NLP.vocab))


def through_pickle(doc):
    return pickle.loads(pickle.dumps(doc))


@pytest.mark.parametrize("carry", [through_bytes, through_doc_bin, through_pickle])
def test_decisions_travel_with_a_doc(banded, carry):
    seen = set()
    for doc in banded.pipe(TEXTS):
        copy = carry(doc)
        assert copy._.duoguard_action == doc._.duoguard_action
        assert copy._.duoguard_reason == doc._.duoguard_reason
        for span, of_copy in zip(doc.sents, copy.sents, strict=True):
            assert of_copy._.duoguard_action == span._.duoguard_action
            assert of_copy._.duoguard_reason == span._.duoguard_reason
        if doc._.duoguard_status == "empty":
            assert doc._.duoguard_action == "allow"
            assert doc._.duoguard_reason == BECAUSE_OF_NOTHING
            continue
        action, reason = again(doc)
        seen.add(action)
        assert doc._.duoguard_action == action
        if reason is None:
            assert doc._.duoguard_reason["margin"] <= 0.0
        else:
            assert doc._.duoguard_reason == reason
        assert (action == "block") == bool(doc._.duoguard_flags)
    assert len(seen) > 1  # the thresholds tell these texts apart


def test_several_processes_decide_alike(banded):
    expected = [(d._.duoguard_action, d._.duoguard_reason) for d in banded.pipe(TEXTS)]
    docs = banded.pipe(TEXTS, n_process=2)
    found = [(doc._.duoguard_action, doc._.duoguard_reason) for doc in docs]
    assert [action for action, _ in found] == [action for action, _ in expected]
    for (_, of_one), (_, other) in zip(found, expected, strict=True):
        assert of_one["category"] == other["category"]
        assert of_one["margin"] == pytest.approx(other["margin"], abs=1e-5)


def test_without_a_band_a_doc_is_blocked_or_allowed(make_nlp):
    nlp = make_nlp(threshold=0.6, model={"max_windows": 1, "window": 8, "stride": 6})
    docs = list(nlp.pipe([*TEXTS, "a dog " * 20]))
    assert docs[-1]._.duoguard_status == "truncated"
    assert "review" not in {doc._.duoguard_action for doc in docs}
    for doc in docs:
        assert (doc._.duoguard_action == "block") == bool(doc._.duoguard_flags)


ROWS = st.lists(
    st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), min_size=12, max_size=12
)
LIMITS = {"thresholds": dict.fromkeys(CATEGORIES, 0.6)}
BAND = {**LIMITS, "review": dict.fromkeys(CATEGORIES, 0.3)}


def marked(row, *, status="ok", spans=None):
    scores = dict(zip(CATEGORIES, row, strict=True))
    return mark(NLP("a b c"), scores, status=status, spans=spans, **BAND)


@given(ROWS, ROWS, st.sampled_from(["ok", "truncated"]))
@settings(deadline=None)
def test_a_higher_probability_never_weakens_the_action_of_a_doc(row, other, status):
    lower = marked(row, status=status)._.duoguard_action
    higher = marked(np.maximum(row, other), status=status)._.duoguard_action
    assert ACTIONS.index(higher) >= ACTIONS.index(lower)


@pytest.mark.parametrize(
    ("value", "status", "action", "margin"),
    [
        (0.1, "ok", "allow", 0.1 - 0.3),
        (0.3, "ok", "allow", 0.0),
        (0.4, "ok", "review", 0.4 - 0.3),
        (0.6, "ok", "review", 0.6 - 0.3),
        (0.7, "ok", "block", 0.7 - 0.6),
        (0.1, "truncated", "review", None),
        (0.4, "truncated", "review", 0.4 - 0.3),
        (0.7, "truncated", "block", 0.7 - 0.6),
    ],
)
def test_the_band(value, status, action, margin):
    doc = mark(NLP("a b c"), {"Hate": value}, status=status, **BAND)
    assert doc._.duoguard_action == action
    category = None if margin is None else "Hate"
    assert doc._.duoguard_reason == {"category": category, "margin": margin}


def test_spans_are_decided_too():
    spans = {(0, 1): {"Hate": 0.1}, (1, 2): {"Hate": 0.5}, (2, 3): {"Hate": 0.9}}
    doc = mark(NLP("a b c"), {"Hate": 0.1}, spans=spans, **BAND)
    assert doc._.duoguard_action == "allow"
    actions = [doc[i : i + 1]._.duoguard_action for i in range(3)]
    assert actions == ["allow", "review", "block"]
    assert doc[1:2]._.duoguard_reason == {"category": "Hate", "margin": 0.5 - 0.3}
    assert doc[0:2]._.duoguard_action is None  # not scored
    assert doc[0:2]._.duoguard_reason is None


def test_what_is_not_scored_is_blocked(breaking):
    nlp = breaking(ValueError("no"), sents=True, review_threshold=0.4)
    nlp.set_error_handler(ignore_error)
    doc = nlp(f"{BAD}. A dog.")
    for found in (doc, *doc.sents, mark_failed(NLP("a"))):
        assert found._.duoguard_action == "block"
        assert found._.duoguard_reason == BECAUSE_OF_NOTHING


def test_a_doc_that_nothing_has_seen_has_no_action(make_nlp):
    doc = make_nlp().make_doc("a")
    assert (doc._.duoguard_action, doc._.duoguard_reason) == (None, None)


@pytest.mark.parametrize(
    "damage",
    [
        {"review_threshold": float("nan")},
        {"review_threshold": 1.0},
        {"review_threshold": "low"},
        {"review_thresholds": None},
        {"review_thresholds": {"Hate": 2.0}},
        {"review_thresholds": {"Hat": 0.1}},
        {"threshold": 0.1},
    ],
)
def test_settings_that_can_not_be_used_block(make_nlp, damage):
    nlp = make_nlp(threshold=0.999, review_threshold=0.99)
    assert nlp("a dog")._.duoguard_action != "block"
    nlp.get_pipe("duoguard").cfg.update(damage)
    with pytest.raises(SettingsError):
        nlp("a dog")
    nlp.set_error_handler(ignore_error)
    (doc,) = nlp.pipe(["a dog"])
    assert doc._.duoguard_action == "block"


def test_a_record_that_asks_for_no_review_any_more_is_not_scored():
    doc = mark(NLP("a b c"), {"Hate": 0.5}, **BAND)
    assert doc._.duoguard_action == "review"
    for key, value in (("review_thresholds", [None] * 12), ("action", "allow")):
        copy = through_bytes(doc)
        copy.user_data["duoguard"][key] = value
        with pytest.warns(UserWarning, match="W004"):
            action = copy._.duoguard_action
        assert action == "block"


def test_a_category_that_is_added_has_the_band(make_nlp):
    nlp = make_nlp(threshold=0.7, review_threshold=0.2)
    guard = nlp.get_pipe("duoguard")
    guard.add_label("Spam")
    doc = nlp("a dog")
    assert doc.user_data["duoguard"]["review_thresholds"] == (0.2,) * 13
    with pytest.raises(SettingsError, match=r"E250.*thresholds\['Spam'\] \(0.1\)"):
        guard.thresholds = {"Spam": 0.1}


def test_saved_settings_are_merged_by_category(make_nlp, tmp_path):
    nlp = make_nlp(threshold=0.7, review_thresholds={"Hate": 0.1, "Privacy": 0.2})
    guard = nlp.get_pipe("duoguard")
    guard.review_thresholds["Hate"] = 0.3
    guard.review_threshold = 0.4
    nlp.to_disk(tmp_path / "nlp")
    same = spacy.load(tmp_path / "nlp").get_pipe("duoguard")
    assert same.review_thresholds == {"Hate": 0.3, "Privacy": 0.2}
    assert same.review_threshold == 0.4
    config = {"components.duoguard.review_thresholds.Privacy": 0.5}
    other = spacy.load(tmp_path / "nlp", config=config).get_pipe("duoguard")
    assert other.review_thresholds == {"Hate": 0.3, "Privacy": 0.5}


def example(doc, unsafe):
    reference = NLP.make_doc(doc.text)
    reference.cats = {"unsafe": float(unsafe)} if unsafe is not None else {}
    return Example(doc, reference)


def test_the_scorer_counts_reviews():
    rows = [
        *[(0.9, 1), (0.9, 0), (0.5, 1), (0.5, 1), (0.5, 0), (0.1, 1), (0.1, 0)],
        (0.5, None),  # not counted
    ]
    examples = [
        example(mark(NLP("a b c"), {"Hate": p}, **BAND), unsafe) for p, unsafe in rows
    ]
    examples.append(example(mark_failed(NLP("a b c")), 1))
    with pytest.warns(UserWarning, match="W031"):
        scores = score_categories(examples, threshold=0.6, review_threshold=0.3)
    assert scores["duoguard_review_rate"] == 3 / 8
    assert scores["duoguard_review_p"] == 2 / 3
    assert scores["duoguard_review_r"] == 4 / 5
    with pytest.warns(UserWarning, match="W031"):
        plain = score_categories(examples, threshold=0.6)
    reviews = {key for key in scores if "review" in key}
    assert len(reviews) == 3
    assert {plain[key] for key in reviews} == {None}
    assert {k: v for k, v in scores.items() if k not in reviews} == {
        key: value for key, value in plain.items() if key not in reviews
    }
