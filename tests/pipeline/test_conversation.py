"""Docs of conversations: their turns, whose are scored, and what others do to them."""

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin
from spacy.util import ignore_error
from support.failures import BAD, FAILED_CATS

from spacy_duoguard import make_conversation
from spacy_duoguard.errors import ScoringError, SettingsError
from spacy_duoguard.pipeline.conversation import KEY
from spacy_duoguard.taxonomy import CATEGORIES

CHAT = [
    {"role": "system", "content": "You are a dog."},
    {"role": "user", "content": "How to kill a python process?"},
    {
        "role": "assistant",
        "content": [{"type": "text", "text": "Use the kill command"}],
    },
    {"role": "user", "content": ""},
    {"role": "user", "content": "See you."},
]
NOTHING = dict.fromkeys(("cats", "flags", "action", "reason"))


def values(cats):
    return [cats[label] for label in CATEGORIES]


@pytest.mark.parametrize("config", [{}, {"curve": True}, {"sents": True}])
def test_turns_are_scored_in_context(make_nlp, config):
    nlp = make_nlp(threshold=0.6, review_threshold=0.5, **config)
    doc = nlp(make_conversation(nlp, CHAT))
    text = " ".join(
        ["You are a dog.", "How to kill a python process?", "Use the kill command"]
    )
    assert doc.text == f"{text}  See you."
    turns = doc._.duoguard_turns
    assert [turn["role"] for turn in turns] == [message["role"] for message in CHAT]
    assert [doc.text[turn["start"] : turn["end"]] for turn in turns] == [
        *["You are a dog.", "How to kill a python process?", "Use the kill command"],
        *["", "See you."],
    ]
    rows = nlp.get_pipe("duoguard").classifier.score_turns(CHAT)
    for turn, row in zip(turns, rows, strict=True):
        np.testing.assert_allclose(values(turn["cats"]), row, atol=1e-6)
        assert turn["cats"]["unsafe"] == max(values(turn["cats"]))
        assert turn["status"] == "ok"
        flags = [label for label in CATEGORIES if turn["cats"][label] > 0.6]
        assert turn["flags"] == flags
        assert (turn["action"] == "block") == bool(flags)
        assert (turn["reason"]["margin"] > 0) == (turn["action"] != "allow")
    # The doc is what it would be without turns.
    plain = nlp(doc.text)
    np.testing.assert_allclose(values(doc.cats), values(plain.cats), atol=1e-6)
    np.testing.assert_allclose(values(doc.cats), values(turns[-1]["cats"]), atol=1e-6)
    assert plain._.duoguard_turns is None
    assert (doc._.duoguard_curve is None) == ("curve" not in config)


def test_other_roles_are_context(make_nlp):
    nlp = make_nlp()
    everything = nlp(make_conversation(nlp, CHAT))._.duoguard_turns
    nlp.get_pipe("duoguard").roles = ["assistant", "tool"]
    doc = nlp(make_conversation(nlp, CHAT))
    turns = doc._.duoguard_turns
    for turn, full in zip(turns, everything, strict=True):
        if turn["role"] == "assistant":
            assert turn == full  # what the others said still counts
        else:
            assert turn == {**full, **NOTHING, "status": "context"}
    alone = nlp("Use the kill command").cats
    assert values(alone) != values(turns[2]["cats"])
    plain = nlp(doc.text)
    np.testing.assert_allclose(values(doc.cats), values(plain.cats), atol=1e-6)


def test_a_turn_without_a_role_is_always_scored(make_nlp):
    nlp = make_nlp(roles=["user"])
    doc = nlp(make_conversation(nlp, ["a dog", *CHAT[:1]]))
    assert [turn["status"] for turn in doc._.duoguard_turns] == ["ok", "context"]


def test_roles_that_no_turn_has_are_pointed_out(make_nlp):
    nlp = make_nlp(roles=["asistant"])
    with pytest.warns(UserWarning, match=r"W024.*'asistant'"):
        doc = nlp(make_conversation(nlp, CHAT))
    assert {turn["status"] for turn in doc._.duoguard_turns} == {"context"}
    assert doc._.duoguard_status == "ok"


def through_bytes(nlp, docs):
    return [Doc(nlp.vocab).from_bytes(doc.to_bytes()) for doc in docs]


def through_doc_bin(nlp, docs):
    stored = DocBin(docs=docs, store_user_data=True).to_bytes()
    return list(DocBin().from_bytes(stored).get_docs(nlp.vocab))


@pytest.mark.parametrize("carry", [through_bytes, through_doc_bin])
def test_conversations_travel_with_their_docs(make_nlp, carry):
    nlp = make_nlp(roles=["user"])
    docs = [make_conversation(nlp, CHAT[:n]) for n in (2, 5, 0)]
    before = list(nlp.pipe(carry(nlp, docs)))
    after = carry(nlp, before)
    for doc, copy in zip(before, after, strict=True):
        assert copy._.duoguard_turns == doc._.duoguard_turns
        assert copy._.duoguard_status == doc._.duoguard_status
    assert [len(doc._.duoguard_turns) for doc in after] == [2, 5, 0]
    assert after[-1]._.duoguard_status == "empty"


def test_several_processes(make_nlp):
    nlp = make_nlp()
    _ = nlp.get_pipe("duoguard").classifier
    docs = [make_conversation(nlp, CHAT[:n]) for n in (1, 2, 3, 5)]
    found = nlp.pipe(
        (make_conversation(nlp, CHAT[:n]) for n in (1, 2, 3, 5)), n_process=2
    )
    for doc, expected in zip(found, nlp.pipe(docs), strict=True):
        for turn, other in zip(
            doc._.duoguard_turns, expected._.duoguard_turns, strict=True
        ):
            np.testing.assert_allclose(
                values(turn["cats"]), values(other["cats"]), atol=1e-5
            )
            assert turn["role"] == other["role"]


def test_no_sentence_goes_beyond_a_message(make_nlp):
    nlp = make_nlp(sents=True)
    chat = [{"role": "user", "content": text} for text in ("a dog and", "a fox. Two")]
    doc = nlp(make_conversation(nlp, chat))
    assert [sentence.text for sentence in doc.sents] == ["a dog and", "a fox.", "Two"]


@given(st.lists(st.text(st.sampled_from("ab. \n\t\u3000")), min_size=1, max_size=5))
def test_a_sentence_with_words_of_two_messages_is_none(texts):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    doc = nlp(make_conversation(nlp, texts))
    message_of = np.repeat(np.arange(len(texts)), [len(text) + 1 for text in texts])
    for sentence in doc.sents:
        visible = [
            message_of[i]
            for i in range(sentence.start_char, sentence.end_char)
            if not doc.text[i].isspace()
        ]
        assert len(set(visible)) <= 1


def test_a_conversation_that_fails_is_blocked_in_every_turn(breaking):
    nlp = breaking(ValueError("no"), roles=["user"])
    nlp.set_error_handler(ignore_error)
    chat = [*CHAT, {"role": "user", "content": BAD}]
    bad, good = nlp.pipe([make_conversation(nlp, chat), make_conversation(nlp, CHAT)])
    assert good._.duoguard_status == "ok"
    assert [turn["role"] for turn in bad._.duoguard_turns] == [m["role"] for m in chat]
    for turn in bad._.duoguard_turns:
        assert turn["status"] == "error"
        assert turn["cats"] == FAILED_CATS
        assert turn["flags"] == list(CATEGORIES)
        assert turn["action"] == "block"


@pytest.mark.parametrize("limit", [{"max_chars": 30}, {"max_windows": 2}])
def test_turns_that_a_limit_left_out_are_not_scored(make_nlp, limit):
    model = {"window": 8, "stride": 6}
    config = {"review_threshold": 0.0, "threshold": 1.0}
    if "max_chars" in limit:
        config |= limit
    else:
        model |= limit
    nlp = make_nlp(model=model, **config)
    chat = [
        {"role": "user", "content": text} for text in ("a dog", "x " * 90, "y " * 90)
    ]
    chat += [{"role": "user", "content": "the end"}]
    chat.insert(2, {"role": "user", "content": "in the middle"})
    doc = nlp(make_conversation(nlp, chat))
    assert doc._.duoguard_status == "truncated"
    turns = doc._.duoguard_turns
    statuses = [turn["status"] for turn in turns]
    assert statuses == ["ok", "truncated", "error", "truncated", "truncated"]
    assert turns[2]["cats"] == FAILED_CATS
    assert turns[2]["action"] == "block"
    assert turns[1]["action"] == "review"


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"roles": ["user"]},
        {"roles": ["user"], "ends": [1]},
        {"roles": ["user"], "ends": [7, 7]},
        {"roles": ["user", "user"], "ends": [2, 7]},
        {"roles": ["user"], "ends": [8]},
        {"roles": ["user"], "ends": [7.0]},
        {"roles": [7], "ends": [7]},
        {"roles": [], "ends": []},
        {"roles": ["user", "user"], "ends": [7, 3]},
    ],
)
def test_turns_that_do_not_fit_their_text_fail_closed(make_nlp, content):
    nlp = make_nlp()
    doc = nlp.make_doc("one dog")
    doc.user_data[KEY] = content
    with pytest.raises(ScoringError, match="E254"):
        nlp(doc)
    assert doc._.duoguard_status == "error"
    assert doc._.duoguard_turns == []
    assert doc._.duoguard_action == "block"


def remove(key):
    return lambda record: record.pop(key)


def change(i, key, value):
    def damage(record):
        record["turns"][i][key] = value

    return damage


DAMAGES = {
    "no turns": remove("turns"),
    "a turn is missing": lambda record: record["turns"].pop(),
    "a turn is twice": lambda record: record["turns"].append(record["turns"][-1]),
    "another role": change(1, "role", "assistant"),
    "another start": change(1, "start", 0),
    "another end": change(1, "end", 0),
    "another status": change(1, "status", "fine"),
    "a turn becomes context": change(1, "status", "context"),
    "context becomes a turn": change(0, "status", "ok"),
    "lower scores": change(1, "probs", [0.0] * 12),
    "no scores": change(1, "probs", None),
    "no flags": change(1, "flags", []),
    "another action": change(1, "action", "allow"),
    "turns are None": lambda record: record.update(turns=None),
    "turns are numbers": lambda record: record.update(turns=[1, 2, 3, 4, 5]),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.filterwarnings("ignore:.*W004")
def test_a_damaged_turn_makes_its_conversation_not_scored(make_nlp, name):
    nlp = make_nlp(threshold=0.2, roles=["user"])
    doc = nlp(make_conversation(nlp, CHAT))
    assert doc._.duoguard_turns[1]["flags"]
    DAMAGES[name](doc.user_data["duoguard"])
    assert doc._.duoguard_status == "error"
    assert {turn["action"] for turn in doc._.duoguard_turns} == {"block"}


def test_the_turns_of_another_conversation_count_for_nothing(make_nlp):
    nlp = make_nlp()
    doc = nlp(make_conversation(nlp, CHAT))
    doc.user_data[KEY]["roles"][1] = "assistant"
    with pytest.warns(UserWarning, match="W004"):
        status = doc._.duoguard_status
    assert status == "error"


@given(
    texts=st.lists(st.text("a b.é🙂\n", max_size=8), max_size=5),
    roles=st.lists(st.sampled_from(["user", "assistant"]), min_size=5, max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_every_turn_is_the_conversation_up_to_there(texts, roles):
    chat = [
        {"role": role, "content": text}
        for role, text in zip(roles, texts, strict=False)
    ]
    doc = NLP(make_conversation(NLP, chat))
    assert doc.text == " ".join(texts)
    turns = doc._.duoguard_turns
    rows = NLP.get_pipe("duoguard").classifier.score_turns(texts)
    for turn, row, role in zip(turns, rows, roles, strict=False):
        assert turn["role"] == role
        np.testing.assert_allclose(values(turn["cats"]), row, atol=1e-3)


@pytest.fixture(scope="module", autouse=True)
def loaded(qwen2_folder):
    global NLP
    NLP = spacy.blank("en")
    model = {"name": str(qwen2_folder), "device": "cpu", "precision": "float32"}
    NLP.add_pipe("duoguard", config={"model": model})


def test_what_is_refused_makes_no_doc(make_nlp):
    nlp = make_nlp()
    image = [{"type": "image_url", "image_url": {"url": "x"}}]
    with pytest.raises(SettingsError, match="E253"):
        make_conversation(nlp, [{"role": "user", "content": image}])
