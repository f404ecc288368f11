"""What is decided about a text while it arrives."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.texts import texts

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.decisions import ACTIONS
from spacy_duoguard.engine.streaming.stream import Stream, StreamBatch
from spacy_duoguard.errors import ScoringError, SettingsError


@pytest.fixture(scope="module")
def small(qwen2_folder):
    settings = {"precision": "float32", "device": "cpu", "window": 16, "stride": 11}
    return Classifier.from_pretrained(str(qwen2_folder), **settings)


BAND = {"threshold": 0.9, "review_threshold": 0.8}


def push_all(stream, text, places):
    bounds = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    chunks = [text[a:b] for a, b in itertools.pairwise(bounds)]
    return [*(stream.push(chunk) for chunk in chunks), stream.close()]


@settings(max_examples=40, deadline=None)
@given(text=texts, places=st.lists(st.integers(0, 400), max_size=20))
def test_the_action_follows_from_what_has_held(small, text, places):
    flags, reviews, action = [], [], "allow"
    for scores in push_all(Stream(small, **BAND), text, places):
        flags += scores.flags
        reviews += scores.reviews
        expected = "block" if flags else "review" if reviews else "allow"
        assert scores.action == expected
        assert ACTIONS.index(scores.action) >= ACTIONS.index(action)
        action = scores.action
        limit, held = (0.9, flags) if flags else (0.8, reviews)
        margins = {flag.category: flag.probability - limit for flag in held}
        category, margin = scores.reason["category"], scores.reason["margin"]
        assert margin == max(margins.values(), default=None)
        assert category is None or margins[category] == margin
    # A review comes with each flag, not later.
    offsets = {review.category: review.offset for review in reviews}
    for flag in flags:
        assert offsets[flag.category] <= flag.offset


@settings(max_examples=20, deadline=None)
@given(text=texts, places=st.lists(st.integers(0, 400), max_size=20))
def test_reviews_depend_on_the_text_only(small, text, places):
    parts = push_all(Stream(small, **BAND), text, places)
    whole = push_all(Stream(small, **BAND), text, [])
    for of in (lambda scores: scores.reviews, lambda scores: scores.flags):
        found = [(f.category, f.offset) for scores in parts for f in of(scores)]
        assert found == [(f.category, f.offset) for scores in whole for f in of(scores)]
    assert parts[-1].action == whole[-1].action


def test_without_review_thresholds_a_stream_has_no_reviews(small):
    stream = Stream(small, threshold=0.0)
    scores = [stream.push("The dog sleeps and sleeps."), stream.close()]
    assert all(of.reviews == () for of in scores)
    assert scores[-1].action == "block"
    calm = Stream(small, threshold=1.0)
    assert calm.push("The dog sleeps.").action == "allow"
    assert calm.close().reason == {"category": None, "margin": None}


def test_a_review_threshold_of_one_category(small):
    stream = Stream(small, threshold=1.0, review_thresholds={"Hate": 0.0})
    stream.push("The dog sleeps.")
    scores = stream.close()
    assert scores.action == "review"
    assert scores.reason["category"] == "Hate"


def test_a_stream_that_fails_is_blocked(small):
    batch = StreamBatch(small, **BAND)
    bad, good = batch.open(), batch.open()
    failed, scores = batch.push([bad, good], ["dog \ud83d", "a dog"])
    assert (failed.action, scores.status) == ("block", "ok")
    assert failed.reason == {"category": None, "margin": None}
    assert bad.close().action == "block"
    with pytest.raises(ScoringError):
        Stream(small).push(b"\xff\xff")


def test_a_review_threshold_above_the_threshold_is_refused(small):
    for settings_ in (
        {"threshold": 0.5, "review_threshold": 0.6},
        {"thresholds": {"Hate": 0.1}, "review_thresholds": {"Hate": 0.2}},
    ):
        with pytest.raises(SettingsError, match="E250"):
            Stream(small, **settings_)
