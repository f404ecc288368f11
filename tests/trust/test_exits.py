"""Whatever contradicts itself is not scored, wherever a result leaves the package."""

import json
from copy import deepcopy

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import ignore_error

from spacy_duoguard import render
from spacy_duoguard.errors import ScoringError
from spacy_duoguard.pipeline.attributes import get_verdict
from spacy_duoguard.review.documents import read_document
from spacy_duoguard.scoring.jsonl import to_line
from spacy_duoguard.scoring.parquet import result_columns, to_table
from spacy_duoguard.scoring.ray.dataset import ScoreTexts
from spacy_duoguard.scoring.record import Record
from spacy_duoguard.scoring.scorer import RecordScorer
from spacy_duoguard.taxonomy import CATEGORIES

TEXT = "The dog sleeps. How to kill a python process?"
ONES = dict.fromkeys((*CATEGORIES, "unsafe"), 1.0)
NAN = float("nan")

pytestmark = pytest.mark.filterwarnings("ignore:.W004")


def put(*keys):
    """A damage that puts the last of its arguments where the others lead."""
    *path, last, value = keys

    def damage(record):
        for key in path:
            record = record[key]
        record[last] = value

    return damage


def delete(key):
    return lambda record: record.pop(key)


def lower(record):
    record["probs"] = [value / 2 for value in record["probs"]]


def lower_and_unflag(record):
    lower(record)
    record["flags"] = []


def drop_a_category(record):
    for key in ("labels", "probs", "thresholds", "review_thresholds"):
        record[key] = record[key][1:]
    for window in record["windows"]:
        window["probs"] = window["probs"][1:]


def no_limits(record):
    record.update(thresholds=[NAN] * 12, flags=[])


def of_spans(key, value):
    return lambda record: record[key].update(dict.fromkeys(record[key], value))


DAMAGES = {
    "lower probabilities": lower,
    "lower probabilities without flags": lower_and_unflag,
    "a lower window": lambda record: record["windows"][0].update(probs=[0.0] * 12),
    "a category is missing": drop_a_category,
    "a label is missing": lambda record: record["labels"].pop(),
    "a label is twice": put("labels", 0, "Hate"),
    "a probability is missing": lambda record: record["probs"].pop(),
    "NaN": put("probs", 3, NAN),
    "infinity": put("probs", 3, float("inf")),
    "below 0": put("probs", 3, -0.1),
    "a string": put("probs", 3, "0.1"),
    "a boolean": put("probs", 3, False),
    "no probabilities": put("probs", None),
    "no flags": put("flags", []),
    "flags are a string": put("flags", "Hate"),
    "flags are None": put("flags", None),
    "flags are a dict": put("flags", {}),
    "an unknown flag": put("flags", ["Heat"]),
    "status empty": put("status", "empty"),
    "status unknown": put("status", "fine"),
    "status None": put("status", None),
    "status is a list": put("status", []),
    "status is an array": put("status", np.zeros(2)),
    "windows are missing": put("windows", []),
    "windows are None": delete("windows"),
    "thresholds are missing": delete("thresholds"),
    "thresholds are NaN": put("thresholds", [NAN] * 12),
    "thresholds are NaN without flags": no_limits,
    "review thresholds are missing": delete("review_thresholds"),
    "review thresholds are NaN": put("review_thresholds", [NAN] * 12),
    "review thresholds are too few": put("review_thresholds", [0.1]),
    "review thresholds are a string": put("review_thresholds", "x" * 12),
    "a review threshold is above its threshold": put("review_thresholds", 0, 0.9),
    "the action is missing": delete("action"),
    "the action is another": put("action", "allow"),
    "the action is unknown": put("action", "fine"),
    "truncated spans are None": put("truncated_spans", None),
    "span actions are missing": delete("span_actions"),
    "a span is lower": of_spans("spans", [0.0] * 12),
    "a span is NaN": of_spans("spans", [NAN] * 12),
    "a span without categories": of_spans("spans", []),
    "spans have no flags": of_spans("span_flags", []),
    "spans are None": put("spans", None),
    "span flags are None": put("span_flags", None),
    "the curve is NaN": put("curve", "probs", 0, [NAN] * 12),
    "the curve runs back": put("curve", "ends", 0, 40),
    "the curve is None": put("curve", None),
    "the first flag is outside": put("first_unsafe", 10_000),
    "the length is another": put("length", 3),
    "the length is missing": delete("length"),
    "nothing": dict.clear,
}


def damage_doc(doc, damage):
    damage(doc.user_data["duoguard"])
    return doc


@pytest.fixture(scope="module")
def nlp(qwen2_folder):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    model = {"name": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    config = {"sents": True, "curve": True, "threshold": 0.3, "model": model}
    nlp.add_pipe("duoguard", config=config)
    return nlp


@pytest.fixture(scope="module")
def scored(nlp):
    doc = nlp(TEXT)
    record = doc.user_data["duoguard"]
    assert 0 < len(record["flags"]) < 12
    assert any(record["span_flags"].values())
    return doc.to_bytes()


@Language.component("damager")
def damager(doc):
    return damage_doc(doc, damager.damage)


@pytest.fixture
def scorer(nlp):
    """A function that makes a scorer of a pipeline that damages its results."""

    def make(damage):
        damager.damage = damage
        if "damager" not in nlp.pipe_names:
            nlp.add_pipe("damager")
        return RecordScorer(nlp, curve=True)

    yield make
    nlp.remove_pipe("damager")


def assert_not_scored(doc):
    assert doc._.duoguard_status == "error"
    assert doc._.duoguard_cats == ONES
    assert doc._.duoguard_flags == list(CATEGORIES)
    assert doc._.duoguard_action == "block"
    assert doc._.duoguard_reason == {"category": None, "margin": None}
    assert doc._.duoguard_windows == []
    assert not doc._.duoguard_curve
    assert doc._.duoguard_first_unsafe in (0, None)
    assert "not scored" in render(doc, jupyter=False)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_doc_is_not_scored(nlp, scored, name):
    doc = Doc(nlp.vocab).from_bytes(scored)
    assert doc._.duoguard_status == "ok"
    damage_doc(doc, DAMAGES[name])
    assert_not_scored(doc)


@pytest.mark.parametrize("name", DAMAGES)
def test_its_spans_are_not_scored(nlp, scored, name):
    doc = Doc(nlp.vocab).from_bytes(scored)
    spans = [span for span in doc.sents if span._.duoguard_cats is not None]
    truth = [span._.duoguard_cats for span in spans]
    assert len(truth) == 2
    damage_doc(doc, DAMAGES[name])
    lost = "the curve" in name or "the first flag" in name
    expected = truth if lost else [ONES, ONES]  # a span is judged without the curve
    if name == "nothing":
        assert [span._.duoguard_cats for span in spans] == [ONES, ONES]
    else:
        assert [span._.duoguard_cats for span in spans] == expected


@pytest.mark.parametrize("name", DAMAGES)
def test_every_file_and_the_page_say_so(scorer, name):
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    of_damaged = scorer(DAMAGES[name])
    (result,) = of_damaged.score([Record(1, {"text": TEXT}, TEXT)])
    columns = result_columns(of_damaged.labels, of_damaged.columns)
    (row,) = to_table([result], columns).to_pylist()
    ray = ScoreTexts.__new__(ScoreTexts)
    ray.text_key, ray.scorer = "text", of_damaged
    (of_ray,) = ray({"text": [TEXT]}).to_pylist()
    line = json.loads(to_line(result))
    for found in (line, row, of_ray):
        assert (found["status"], found["cats"]) == ("error", ONES)
        assert found["flags"] == list(CATEGORIES)
        assert found["sentences"] == []
        assert found["curve"] == {"end": [], "unsafe": []}
        assert found["error"]
        assert read_document({"text": TEXT, **found}, 1).status == "error"


@pytest.mark.parametrize("name", DAMAGES)
def test_evaluation_counts_every_category(nlp, scored, name):
    doc = Doc(nlp.vocab).from_bytes(scored)
    reference = nlp.make_doc(TEXT)
    reference.cats = dict.fromkeys(CATEGORIES, 1.0)
    damage_doc(doc, DAMAGES[name])
    scorer = nlp.get_pipe("duoguard").scorer
    with pytest.warns(UserWarning, match="W031"):
        scores = scorer([Example(doc, reference)], threshold=1.0)
    assert scores["duoguard_not_scored"] == 1
    assert {scores["duoguard_f_per_type"][label]["r"] for label in CATEGORIES} == {1.0}


def test_a_record_that_was_copied_to_another_text_counts_for_nothing(nlp):
    doc = nlp(TEXT)
    part = next(doc.sents).as_doc(copy_user_data=True)
    whole = doc[:].as_doc(copy_user_data=True)
    assert part._.duoguard_cats == ONES
    assert whole._.duoguard_status == "ok"
    assert whole._.duoguard_cats == doc._.duoguard_cats


@pytest.mark.parametrize("store", ["DocBin", "bytes"])
def test_a_doc_that_was_stored_is_still_scored(nlp, scored, store):
    doc = Doc(nlp.vocab).from_bytes(scored)
    if store == "DocBin":
        docs = DocBin(docs=[doc], store_user_data=True).to_bytes()
        (again,) = DocBin().from_bytes(docs).get_docs(nlp.vocab)
    else:
        again = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert get_verdict(again) == get_verdict(doc)
    assert again._.duoguard_status == "ok"


FIELDS = (
    *("labels", "status", "flags", "probs", "windows", "thresholds"),
    *("review_thresholds", "action"),
)
ODD = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-1, 2),
    st.booleans(),
    st.sampled_from(["ok", "empty", "error", "Hate", "", [], {}, [[]], [0.0] * 12]),
    st.sampled_from(["allow", "review", "block", [None] * 12]),
    st.lists(st.floats(0, 1), min_size=11, max_size=13),
    st.lists(st.sampled_from(CATEGORIES), max_size=12),
    st.just([*CATEGORIES]),
    st.just([{"start": 0, "end": 3, "probs": [0.0] * 12}]),
)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_no_change_makes_a_doc_look_safer(nlp, scored, data):
    doc = Doc(nlp.vocab).from_bytes(scored)
    truth = get_verdict(doc)
    field, value = data.draw(st.sampled_from(FIELDS)), data.draw(ODD)
    record = doc.user_data["duoguard"]
    if data.draw(st.booleans()) or not isinstance(record[field], list):
        record[field] = value
    elif record[field]:
        record[field][data.draw(st.integers(0, len(record[field]) - 1))] = value
    verdict = get_verdict(doc)
    if verdict.is_scored:
        assert (verdict.cats, verdict.flags) == (truth.cats, truth.flags)
        assert verdict.decision.action == truth.decision.action
    else:
        assert set(verdict.cats.values()) == {1.0}
        assert verdict.flags == verdict.labels
        assert verdict.cats.keys() >= ONES.keys()


@pytest.mark.parametrize("value", [NAN, float("inf"), -0.5, 1.5])
def test_what_predict_returns_is_checked(make_nlp, monkeypatch, value):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    predict = component.predict

    def damaged(docs):
        scores = predict(docs)
        for doc, of_doc in zip(docs, scores, strict=True):
            if "kill" in doc.text:
                of_doc.probabilities[2] = value
        return deepcopy(scores)

    monkeypatch.setattr(component, "predict", damaged)
    with pytest.raises(ScoringError, match=r"E180.*'duoguard'"):
        nlp(TEXT)
    nlp.set_error_handler(ignore_error)
    good, bad = nlp.pipe(["The dog sleeps.", TEXT])
    assert good._.duoguard_status == "ok"
    assert_not_scored(bad)
    assert bad.cats == ONES
