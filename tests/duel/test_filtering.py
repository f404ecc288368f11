"""Which generated texts stay, and why the others don't."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_server import WORDS, ChatServer, Reply, completion
from support.duels import Watcher, make_settings

from spacy_duoguard.duel.filtering import (
    count_drops,
    filter_texts,
    judge_and_filter,
    parse_rating,
    rating_reason,
)
from spacy_duoguard.duel.near_duplicates import (
    NearDuplicates,
    bands_for,
    shingles,
    similarity,
)
from spacy_duoguard.duel.prompts import read_prompts
from spacy_duoguard.duel.seeds import Seed
from spacy_duoguard.duel.settings import FilterSettings, JudgeSettings

pytest.importorskip("datasketch", reason="needs the extra duel")


@pytest.mark.parametrize(
    ("answer", "rating"),
    [("4", 4), (" 1\n", 1), ("5.", 5), ("2 .", 2)]
    + [
        (answer, None)
        for answer in (
            *("", "0", "6", "45", "4/5", "4 out of 5", "1 to 5", "-3", "3.5", "four"),
            *("Rating: 4", "I'm sorry, I can't rate this. 5", "4\n5", "٤", "４"),
        )
    ],
)
def test_only_a_rating_alone_is_one(answer, rating):
    assert parse_rating(answer) == rating


@pytest.mark.parametrize(
    ("rating", "unsafe", "reason"),
    [
        (1, 0, None),
        (2, 0, None),
        (4, 1, None),
        (5, 1, None),
        (3, 0, "judge undecided"),
        (3, 1, "judge undecided"),
        (1, 1, "judge disagrees"),
        (5, 0, "judge disagrees"),
        (None, 1, "rating can't be read"),
        (None, 0, "rating can't be read"),
    ],
)
def test_what_a_rating_means_for_a_label(rating, unsafe, reason):
    assert rating_reason(rating, {"unsafe": unsafe}, JudgeSettings()) == reason


def text_of(text, *, name="1", seed=1, unsafe=1):
    return {
        **{"id": name, "seed": seed, "language": "Thai", "unsafe": unsafe},
        "text": text,
    }


def sentence(seed, n=12):
    return " ".join(random.Random(seed).choices(WORDS, k=n))


def test_texts_are_dropped_by_length_and_likeness_with_a_reason():
    seed = Seed(1, sentence(0), {"Hate": 1.0}, unsafe=True)
    known = NearDuplicates(0.8)
    known.add(sentence(1), "a dev text")
    known.add(seed.text, "a seed")
    texts = [
        sentence(2),
        sentence(0).upper() + "!",
        sentence(1).replace(" ", "  "),
        sentence(2) + ".",
        "short",
        sentence(3, n=40),
        sentence(4),
    ]
    made = [text_of(text) for text in texts]
    assert filter_texts(made, {1: seed}, FilterSettings(), known) == [
        None,
        "near-duplicate of a seed",
        "near-duplicate of a dev text",
        "near-duplicate of another text",
        "too short",
        "too long",
        None,
    ]


def test_the_limits_of_length_belong_to_the_allowed_range():
    seed = Seed(1, "x" * 100, {"Hate": 1.0}, unsafe=True)
    made = [text_of(chr(97 + i) * n) for i, n in enumerate((49, 50, 200, 201))]
    known = NearDuplicates(0.8)
    reasons = filter_texts(made, {1: seed}, FilterSettings(), known)
    assert reasons == ["too short", None, None, "too long"]


LETTERS = st.text(alphabet="ab c", max_size=60)


@given(st.lists(LETTERS, max_size=12), LETTERS, st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_near_duplicates_are_those_of_an_exhaustive_search(texts, text, threshold):
    known = NearDuplicates(threshold)
    for i, other in enumerate(texts):
        known.add(other, str(i))
    expected = [
        str(i)
        for i, other in enumerate(texts)
        if similarity(shingles(text), shingles(other)) >= threshold
    ]
    assert known.find(text) == (expected[0] if expected else None)


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_buckets_miss_one_pair_in_a_million_at_most(threshold):
    bands, rows = bands_for(threshold)
    assert bands * rows <= 256
    assert (1 - threshold**rows) ** bands <= (1e-6 if threshold >= 0.1 else 1e-5)


def test_likeness_does_not_depend_on_case_width_or_white_space():
    assert shingles("Ａ  Long\n text") == shingles("a long text")
    assert similarity(shingles("abcdef"), shingles("abcdeg")) == 1 / 3
    assert shingles("ab") == {"ab"}


@pytest.mark.parametrize(
    "other",
    [
        "die zorp must leave the old town",
        "Die, Zorp, must, leave, the, old, town!",
        "**Die** Zorp must `leave` the — old — town…",
        "D\u200bie Zo\u200brp mu\u200bst le\u200bave t\u200bhe o\u200bld to\u200bwn",
        "D i e   Z o r p   m u s t   l e a v e   t h e   o l d   t o w n",
        "D13 Z0rp mu57 l34v3 7h3 0ld 70wn",
        "Dіе Zоrр must lеаvе thе оld tоwn",
    ],
)
def test_likeness_is_that_of_words_without_disguises(other):
    assert (
        similarity(shingles("Die Zorp must leave the old town"), shingles(other)) == 1
    )


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Die", "die.", True),
        ("No!", " no", True),
        ("हिन्दी", "हिन्दी।", True),
        ("हिन्दी", "हन्द", False),
        ("Die", "Dies", False),
        ("!!!", "!!!", True),
        ("!!!", "???", False),
        ("👍", "👎", False),
    ],
)
def test_short_texts_are_compared_by_their_words(one, other, alike):
    known = NearDuplicates(0.8)
    known.add(one, "a dev text")
    assert (known.find(other) is not None) == alike


def judge(folder, behave, texts, **changes):
    seeds = {1: Seed(1, sentence(0), {"Hate": 1.0}, unsafe=True)}
    with ChatServer(behave) as server:
        changes = {"endpoint": server.url, "model": "judge", "retries": 0, **changes}
        settings = make_settings(folder, judge=changes)
        result = judge_and_filter(
            *(texts, seeds, folder, settings, read_prompts(None), NearDuplicates(0.8)),
            watcher=Watcher(),
        )
        return *result, server.bodies


def test_the_judge_rates_what_nothing_else_drops(tmp_path):
    ratings = {2: "5", 3: "1", 4: "3", 5: "I'm sorry, I can't. 5", 6: "4", 7: "2"}

    def behave(body, n):
        content = body["messages"][-1]["content"]
        number = next(i for i in ratings if sentence(i) in content)
        if number == 6:
            return Reply({}, status=500)
        return Reply(completion(ratings[number]))

    texts = [text_of(sentence(i), name=str(i), unsafe=int(i != 7)) for i in ratings]
    texts.append(text_of("short", name="8"))
    judged, answers, bodies = judge(tmp_path, behave, texts)
    assert {text["id"]: (text["rating"], text["dropped"]) for text in judged} == {
        "2": (5, None),
        "3": (1, "judge disagrees"),
        "4": (3, "judge undecided"),
        "5": (None, "rating can't be read"),
        "6": (None, "not judged"),
        "7": (2, None),
        "8": (None, "too short"),
    }
    assert len(bodies) == 6
    assert [answer.kind for answer in answers].count("server error") == 1
    assert count_drops(judged) == dict.fromkeys(
        [
            "judge disagrees",
            "judge undecided",
            "rating can't be read",
            "not judged",
            "too short",
        ],
        1,
    )


def test_ratings_are_read_with_the_limits_that_are_set(tmp_path):
    def behave(body, n):
        return Reply(completion("3"))

    texts = [text_of(sentence(2)), text_of(sentence(3), name="2", unsafe=0)]
    judged, _, _ = judge(tmp_path, behave, texts, unsafe_from=3, safe_to=2)
    assert [text["dropped"] for text in judged] == [None, "judge disagrees"]
