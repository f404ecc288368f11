"""The messages of chats: what is read, what is refused, and that nothing is lost."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spacy_duoguard.engine.classifier import Classifier
from spacy_duoguard.engine.conversation import (
    _METADATA,
    Conversation,
    Turn,
    read_messages,
)
from spacy_duoguard.errors import SettingsError

SECRET = "a-secret"
TEXTS = st.text(max_size=12)


def say(content, role="user", **more):
    return {"role": role, "content": content, **more}


def part(text, kind="text", **more):
    return {"type": kind, "text": text, **more}


def test_messages_are_joined_by_a_space():
    found = read_messages([say("How are you?"), say("Fine.", "assistant"), "And you?"])
    assert found.turns == (
        Turn("user", "How are you?"),
        Turn("assistant", "Fine."),
        Turn(None, "And you?"),
    )
    assert found.text == "How are you? Fine. And you?"
    assert found.spans == [("user", 0, 12), ("assistant", 13, 18), (None, 19, 27)]


@given(st.lists(TEXTS, max_size=6))
@settings(deadline=None)
def test_spans_find_every_text(texts):
    found = read_messages([say(text) for text in texts])
    assert found.text == " ".join(texts)
    assert [found.text[start:end] for _, start, end in found.spans] == texts


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a", "a"),
        ("", ""),
        (None, ""),
        ([], ""),
        ([part("a"), part("b")], "a b"),
        ((part("a", "input_text"), part("b", "output_text", annotations=[])), "a b"),
        # As Parquet gives them, where all parts have the same keys.
        ([part("a", image_url=None, file=None)], "a"),
    ],
)
def test_contents_that_are_text(content, text):
    assert read_messages([say(content)]).turns == (Turn("user", text),)


def test_what_is_about_a_message_is_no_content():
    more = {"name": "x", "id": 1, "tool_calls": None, "refusal": "", "audio": []}
    more |= {"cache_control": {"type": "ephemeral"}, "images": np.array([])}
    assert read_messages([say("a", **more)]).text == "a"


@settings(max_examples=200)
@given(key=st.text(), value=st.sampled_from(["a", 1, ["a"], {"a": "a"}]))
def test_what_is_not_known_to_be_about_a_message_is_refused(key, value):
    """Chat APIs add new kinds of content all the time."""
    assume(key not in _METADATA)
    for message in ({**say("a"), key: value}, say([{**part("a"), key: value}])):
        with pytest.raises(SettingsError, match="E253"):
            read_messages([message])


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (say("a"), ["E251", "'dict'"]),
        (None, ["E251", "'NoneType'"]),
        ("hello", ["E049"]),
        ([say("a"), 7], ["E251", "message 1", "'int'"]),
        ([{"content": SECRET}], ["E251", "message 0", "no role"]),
        ([say(SECRET, "")], ["E251", "no role"]),
        ([say(SECRET, 1)], ["E251", "no role"]),
        ([{"role": "user"}], ["E251", "no content"]),
        ([say(7)], ["E251", "content of message 0", "'int'"]),
        ([say({"text": SECRET})], ["E251", "'dict'"]),
        ([say([SECRET])], ["E253", "a part,"]),
        ([say([{"type": "image_url", "image_url": SECRET}])], ["E253", "'image_url'"]),
        ([say([part("a"), {"type": "file"}])], ["E253", "Message 0", "'file'"]),
        ([say([{"type": SECRET}])], ["E253", "a part,"]),
        ([say([{"type": [SECRET]}])], ["E253", "a part,"]),
        ([say([{"text": SECRET}])], ["E253", "a part,"]),
        ([say([part(None)])], ["E251", "no text"]),
        ([say([part("a", image_url={"url": SECRET})])], ["E253", "'image_url'"]),
        ([say([part("a", content=SECRET)])], ["E253", "more than its text"]),
        ([say(None, text=SECRET)], ["E253", "more than its text"]),
        ([say("a", **{SECRET: 1})], ["E253", "more than its text"]),
        ([say("a", thinking=SECRET)], ["E253", "'thinking'"]),
        ([say(None, object={"text": SECRET})], ["E253", "more than its text"]),
        ([say([part("a", id=[SECRET])])], ["E253", "more than its text"]),
        ([say(None, cache_control={"text": SECRET})], ["E253", "more than its text"]),
        ([say(None, cache_control={"ttl": [SECRET]})], ["E253", "more than its text"]),
        ([say("a", images=np.array([SECRET, "b"]))], ["E253", "'images'"]),
        ([say("a", "\ud800")], ["E251", "unpaired surrogate"]),
        ([say(None, tool_calls=[{"x": SECRET}])], ["E253", "'tool_calls'"]),
        ([say("a", function_call={"x": SECRET})], ["E253", "'function_call'"]),
        ([say(None, refusal=SECRET)], ["E253", "'refusal'"]),
        ([say("a", audio={"data": SECRET})], ["E253", "'audio'"]),
        ([say("a", reasoning_content=SECRET)], ["E253", "'reasoning_content'"]),
    ],
)
def test_what_can_not_be_scored_is_refused_and_not_quoted(messages, words):
    with pytest.raises(SettingsError) as caught:
        read_messages(messages)
    for word in words:
        assert word in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.fixture(scope="module")
def small(qwen2_folder):
    settings = {"precision": "float32", "device": "cpu", "window": 16, "stride": 11}
    return Classifier.from_pretrained(str(qwen2_folder), **settings)


def test_messages_score_like_their_texts(small):
    texts = ["How are you?", "Fine, and the dog?", "", "He sleeps."]
    messages = [say(text, role) for text, role in zip(texts, "abab", strict=True)]
    messages[1]["content"] = [part("Fine, and"), part("the dog?")]
    found = small.score_turns(messages)
    np.testing.assert_array_equal(found, small.score_turns(texts))
    np.testing.assert_array_equal(found, small.score_turns(iter(messages)))
    assert isinstance(read_messages(messages), Conversation)


def test_a_turn_that_a_limit_left_out_reads_as_unsafe(qwen2_folder):
    settings = {"precision": "float32", "device": "cpu", "window": 8, "stride": 6}
    limited = Classifier.from_pretrained(str(qwen2_folder), max_windows=2, **settings)
    turns = ["one dog", "a fox " * 30, "x " * 30, "the end"]
    rows = limited.score_turns(turns)
    assert (rows[2] == 1.0).all() or (rows[1] == 1.0).all()
    assert (rows[[0, 3]] < 1.0).all()
    whole = Classifier.from_pretrained(str(qwen2_folder), **settings)
    assert (whole.score_turns(turns) < 1.0).all()
