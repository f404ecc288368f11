"""With `normalize`, each message of a conversation is read by itself."""

import base64

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_duoguard import Classifier, make_conversation
from spacy_duoguard.engine.conversation import read_messages
from spacy_duoguard.engine.text.views.functions import read_views
from spacy_duoguard.engine.text.views.messages import views_of_messages
from spacy_duoguard.engine.turn_scores import TurnSpan

pytestmark = pytest.mark.filterwarnings("ignore:.W001")  # the model is the demo

THREAT = "I will kill you, idiot"
HIDDEN = base64.b64encode(THREAT.encode()).decode()


def read(turns, views=()):
    conversation = read_messages(turns)
    spans = tuple((span.start, span.end) for span in conversation.spans)
    functions = views_of_messages({conversation.text: spans}, views)
    return {view.name: view for view in read_views(conversation.text, functions)}


@pytest.fixture(scope="module")
def classifier():
    return Classifier.from_pretrained("demo", precision="float32", device="cpu")


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("you are a b i t c h", "you are abitch"),
        ("you are a \u202ehctib", "you are a bitch"),
        ("YOU ARE A STUPID BITCH", "you are a stupid bitch"),
        (HIDDEN, THREAT),
    ],
)
@pytest.mark.parametrize("answer", ["I can't help.", "\x7f" * 40 + "Good day.", "1. A"])
def test_what_a_message_leaves_open_does_not_go_on_in_the_next(first, expected, answer):
    views = read([first, answer])
    found = [v for v in views.values() if v.text.startswith(f"{expected} ")]
    assert found
    for view in found:
        assert view.char_span(0, len(expected)) == (0, len(first))


def test_a_view_of_one_message_has_the_others_as_they_read():
    views = read([HIDDEN, "Y\u200bou s\u200bay so", "Fine."])
    assert {name: view.text for name, view in views.items()} == {
        "folded": f"{HIDDEN} You say so Fine.",
        "decoded": f"{THREAT} You say so Fine.",
    }
    assert read(["Hello.", "Hi."]) == {}


@pytest.mark.parametrize("hidden", ["\u200b", "\u202e", "\x7f", "\u00ad", "\u3164"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_message_of_which_nothing_is_read_hides_no_other(classifier, hidden, at):
    turns = ["You idiot, I will kill you"]
    turns.insert(at, hidden * 300)
    for view in read(turns).values():
        assert view.text.strip() == turns[1 - at]
    rows = classifier.score_turns(turns, normalize=True)
    assert rows[-1].max() > 0.8


@pytest.mark.parametrize("space", [" ", "\n", "\u00a0", "\u3000", "\t \n"])
@pytest.mark.parametrize(
    ("before", "after"),
    [("{}", "You idiot"), ("Hi{}", "You idiot"), ("Hi", "{}You idiot")],
)
def test_long_gaps_between_messages_are_read_as_a_space(
    classifier, space, before, after
):
    gap = space * 100
    turns = [before.format(gap), after.format(gap)]
    (view,) = read(turns).values()
    assert view.text == f"{before.format('')} You idiot"
    assert classifier.score_turns(turns, normalize=True)[-1].max() > 0.9
    assert read(["Hi\n", " You say so. "]) == {}


@pytest.mark.parametrize("count", [10, 50, 300])
@pytest.mark.parametrize(
    "blank",
    ["", " ", "\n", "\t" * 7, "\u200b", "\u202e", "\x7f", "\u3164", "\u2800", "\ufeff"],
)
def test_long_gaps_are_read_as_a_space_however_they_are_divided(
    classifier, blank, count
):
    turns = ["Hi", *[blank] * count, "You idiot"]
    (view,) = read(turns).values()
    assert view.text == "Hi You idiot"
    assert view.char_span(3, 12)[1] == len(read_messages(turns).text)
    assert classifier.score_turns(turns, normalize=True)[-1].max() > 0.9


@pytest.mark.parametrize("turns", [["Hi", "\ufeffyou", "\ufeff", "\ufeffidiot"]])
def test_a_byte_order_mark_is_one_at_the_start_only(turns):
    (view,) = read(turns).values()
    assert view.text == "Hi you  idiot"


@pytest.mark.parametrize("blank", ["\u2800", "\xa0", "\u3000", "\u2028", "\ufeff"])
@pytest.mark.parametrize("words", ["{}You {}idiot", "You{} idiot{}", "{}You{} {}idiot"])
def test_blanks_at_the_ends_of_messages_are_read_as_spaces(classifier, blank, words):
    turns = words.format(*[blank] * 3).split(" ")
    (view,) = read(turns).values()
    assert view.text.strip() == "You idiot"
    assert classifier.score_turns(turns, normalize=True)[-1].max() > 0.9
    assert read(["You \n", "say so.\t"]) == {}


@pytest.mark.parametrize("space", [" " * 8, "\n" * 5, "\u2003" * 4, "\t\t"])
def test_whitespace_around_a_message_is_read_as_a_space(space):
    for view in read([f"{space}{HIDDEN}{space}", f"{space}Hi"]).values():
        assert view.text == f" {THREAT if view.name == 'decoded' else HIDDEN} Hi"


def test_blank_messages_alone_have_no_reading():
    assert read(["\n\n\u200b", "", "\u2800" * 9, "\ufeff"]) == {}


def test_invisible_messages_leave_the_space_that_is_around_them():
    (view,) = read(["Hi", "\u200b" * 9, "you \u200bidiot"]).values()
    assert view.text == "Hi  you idiot"


def test_a_view_of_users_is_used_for_each_message():
    def plain(text):
        kept = [i for i, c in enumerate(text) if c != "\u200b"]
        return "".join("i" if text[i] == "§" else text[i] for i in kept), kept

    views = read(["y\u200bou", "§diot"], (("plain", plain),))
    assert views["plain"].text == "you idiot"


def test_views_of_users_read_each_message():
    seen = []

    def louder(text):
        seen.append(text)
        return (text.upper(), range(len(text))) if text else None

    views = read(["a b", "", "c"], (("louder", louder),))
    assert views["louder"].text == "A B  C"
    assert seen == ["a b", "c"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.text("aI b\u200b\u202e\x7f\u0301=Q", max_size=12), min_size=1, max_size=5
    )
)
def test_characters_of_a_message_come_from_it(turns):
    conversation = read_messages(turns)
    for view in read(turns).values():
        starts = view.starts[:-1]
        assert ((starts >= 0) & (starts < len(conversation.text))).all()
        assert (view.ends > starts).all()
        assert (view.ends <= len(conversation.text)).all()


@pytest.mark.parametrize(
    "first",
    ["you are a b i t c h", "you are a \u202ehctib", HIDDEN],
)
def test_a_turn_scores_as_the_last_one(classifier, first):
    alone = classifier.score_turns([first], normalize=True)[0]
    for answer in ("I can't help with that.", "\x7f" * 40 + "What a lovely day."):
        rows = classifier.score_turns([first, answer], normalize=True)
        np.testing.assert_allclose(rows[0], alone, atol=1e-5)


@pytest.mark.parametrize("answer", [" a", "\u00a0ok", "\x85ok", "  ok"])
def test_a_turn_that_ends_with_whitespace_has_its_reading(classifier, answer):
    """It's in one token with that of the next turn."""
    rows = classifier.score_turns(["Hi. \u202etoidi uoY ", answer], normalize=True)
    assert rows[0].max() > 0.9


def test_turns_of_docs_are_read_one_by_one():
    nlp = spacy.blank("en")
    model = {"name": "demo", "precision": "float32", "device": "cpu"}
    nlp.add_pipe("duoguard", config={"model": model, "normalize": True})
    first = [{"role": "user", "content": "you are a b i t c h"}]
    chat = [*first, {"role": "assistant", "content": "I can't help with that."}]
    # The same text, with other messages, and as a text.
    other = [{"role": "user", "content": "you are a b i t c h I can't help with that."}]
    docs = [make_conversation(nlp, messages) for messages in (chat, other, first)]
    text = nlp.make_doc(docs[0].text)
    together = list(nlp.pipe([*docs, text]))
    alone = [nlp(make_conversation(nlp, m)) for m in (chat, other, first)]
    for doc, expected in zip(together, [*alone, nlp(text.text)], strict=True):
        assert doc.cats == pytest.approx(expected.cats, abs=1e-5)
    turn, last = together[0]._.duoguard_turns[0], together[2]._.duoguard_turns[0]
    assert turn["cats"] == pytest.approx(last["cats"], abs=1e-5)
    assert turn["flags"]


def test_offsets_of_turns_are_those_of_messages():
    spans = read_messages(["ab", "", "c"]).spans
    assert spans == [TurnSpan(None, 0, 2), TurnSpan(None, 3, 3), TurnSpan(None, 4, 5)]
