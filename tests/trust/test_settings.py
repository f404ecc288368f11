"""Whatever a user does to the settings or to a doc at run time, the doc ends with its
true score or is marked as failed."""

from contextlib import suppress

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.util import ignore_error
from support.failures import BAD, FAILED_CATS

from spacy_duoguard.pipeline.settings import RUN_TIME_SETTINGS
from spacy_duoguard.taxonomy import CATEGORIES


def assert_failed(doc):
    assert doc.cats == FAILED_CATS
    assert doc._.duoguard_status == "error"
    assert doc._.duoguard_flags == list(CATEGORIES)


@pytest.fixture(scope="module")
def sentence_nlp(qwen2_folder):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    model = {"name": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    nlp.add_pipe("duoguard", config={"sents": True, "model": model})
    nlp.set_error_handler(ignore_error)
    return nlp


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("threshold", float("nan"), "E001"),
        ("threshold", "high", "E001"),
        ("thresholds", {"Hate": None}, "E001"),
        ("thresholds", {"Hat": 0.1}, "E002"),
        ("thresholds", None, "E107"),
        ("thresholds", 5, "E107"),
        ("curve", "x", "E056"),
        ("spans_key", None, "E053"),
        ("max_chars", 0, "E004"),
    ],
)
def test_settings_made_invalid_at_run_time(make_nlp, key, value, code):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    component.cfg[key] = value
    doc = nlp.make_doc("The dog sleeps.")
    with pytest.raises(ValueError, match=code):
        component(doc)
    assert doc.cats == FAILED_CATS
    assert doc._.duoguard_flags == list(CATEGORIES)


@pytest.mark.parametrize("cfg", [{}, {"threshold": 0.5}, None, 5, [("threshold", 0.5)]])
def test_settings_that_are_missing_at_run_time(make_nlp, cfg):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    doc = component(nlp.make_doc("The dog sleeps."))
    component.cfg = cfg
    with pytest.raises(ValueError, match="E059"):
        component(doc)
    assert_failed(doc)


def test_a_failure_without_a_model_marks_the_twelve_categories(make_nlp):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    doc = component(nlp.make_doc("The dog sleeps."))
    component.model = None
    with pytest.raises(AttributeError):
        component(doc)
    assert_failed(doc)


def test_a_failure_removes_the_spans_of_an_earlier_run(make_nlp):
    nlp = make_nlp(sents=True, threshold=1.0, spans_key="risks")
    nlp.set_error_handler(ignore_error)
    component = nlp.get_pipe("duoguard")
    doc = nlp("The dog sleeps. So do I.")
    assert not doc.spans["risks"]
    component.cfg["spans_key"] = None
    assert component(doc) is doc
    assert_failed(doc)
    assert len(doc.spans["risks"]) == 2 * len(CATEGORIES)
    component.cfg.update(spans_key="others", thresholds=None)
    component(doc)
    assert list(doc.spans) == ["others"]
    component.cfg.update(spans_key=5, thresholds={})
    component(doc)
    assert list(doc.spans) == ["others"]
    assert len(doc.spans["others"]) == 2 * len(CATEGORIES)


@pytest.mark.parametrize("name", ["in_context", "span_getter", "configured", "name"])
def test_a_component_without_its_attributes(make_nlp, name):
    nlp = make_nlp(sents=True)
    nlp.set_error_handler(ignore_error)
    component = nlp.get_pipe("duoguard")
    doc = nlp("The dog sleeps.")
    component.cfg["curve"] = None
    setattr(component, name, None)
    with suppress(AttributeError):
        delattr(component, name)
    component(doc)
    assert_failed(doc)


def test_spans_of_another_component_survive_a_failure(breaking):
    nlp = breaking(ValueError("broken"), sents=True, spans_key="second")
    nlp.set_error_handler(ignore_error)
    doc = nlp.make_doc(f"The dog sleeps. {BAD} things.")
    doc.spans["first"] = [doc[:1]]
    doc.user_data["duoguard"] = {"component": "first", "spans_key": "first"}
    nlp.get_pipe("duoguard")(nlp.get_pipe("sentencizer")(doc))
    assert_failed(doc)
    assert set(doc.spans) == {"first", "second"}


@pytest.mark.parametrize("damage", ["cats", "user_data", "record"])
def test_a_doc_whose_data_is_damaged(breaking, damage):
    nlp = breaking(ValueError("broken"))
    nlp.set_error_handler(ignore_error)
    docs = [nlp.make_doc(text) for text in ("The dog sleeps.", BAD)]
    for doc in docs:
        if damage == "record":
            doc.user_data["duoguard"] = "ok"
        else:
            setattr(doc, damage, None)
    good, bad = nlp.get_pipe("duoguard").pipe(docs)
    assert good._.duoguard_status == "ok"
    assert good.cats == nlp("The dog sleeps.").cats
    assert_failed(bad)


WRONG = st.sampled_from(
    [
        *(
            None,
            5,
            -1,
            0.5,
            True,
            "",
            "x",
            float("nan"),
            float("inf"),
            {},
            [],
            object(),
        ),
        *({"Hate": float("nan")}, {"unsafe": 0.1}, {"Hate": "x"}, {5: 0.5}),
    ]
)


@settings(deadline=None, max_examples=150)
@given(
    changes=st.dictionaries(st.sampled_from(RUN_TIME_SETTINGS), WRONG, max_size=3),
    removed=st.sets(st.sampled_from(RUN_TIME_SETTINGS), max_size=2),
    replaced=st.booleans(),
    earlier=st.booleans(),
)
def test_any_damage_to_the_settings_fails_closed(
    sentence_nlp, changes, removed, replaced, earlier
):
    component = sentence_nlp.get_pipe("duoguard")
    component.cfg = dict(component.configured)
    truth = sentence_nlp("The dog sleeps. So do I.").cats
    docs = [sentence_nlp.make_doc("The dog sleeps. So do I.") for _ in range(2)]
    docs = [sentence_nlp.get_pipe("sentencizer")(doc) for doc in docs]
    if earlier:
        docs = list(component.pipe(docs))
    damaged = {**component.cfg, **changes}
    damaged = {key: value for key, value in damaged.items() if key not in removed}
    if replaced:
        component.cfg = damaged
    else:
        component.cfg.clear()
        component.cfg.update(damaged)
    for doc in component.pipe(docs):
        if doc._.duoguard_status != "ok" or removed:
            assert_failed(doc)
            assert {len(group) for group in doc.spans.values()} == {24}
        else:
            assert doc.cats == pytest.approx(truth, abs=1e-5)
