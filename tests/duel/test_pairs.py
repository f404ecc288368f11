"""Losses and preference pairs on a worked example."""

import math

import pytest
from support.duels import Watcher

from spacy_duoguard.duel import guard as guard_module
from spacy_duoguard.duel.guard import Guard, hardest_first, loss_of
from spacy_duoguard.duel.measuring import wrong_rates
from spacy_duoguard.duel.pairs import make_pairs
from spacy_duoguard.duel.prompts import read_prompts
from spacy_duoguard.duel.seeds import Seed

SEEDS = {
    1: Seed(1, "Zorp the gleeb", {"Hate": 1.0}, unsafe=True),
    2: Seed(2, "See you at noon", {"unsafe": 0.0}, unsafe=False),
}
PROMPTS = read_prompts(None)

# seed, language, unsafe, text, probability of `unsafe`; the threshold is 0.5
TEXTS = [
    (1, "German", 1, "a", 0.9),
    (1, "German", 1, "b", 0.1),
    (1, "German", 1, "c", 0.4),
    (1, "German", 1, "d", 0.6),
    (1, "German", 1, "e", 0.2),
    (1, "German", 0, "f", 0.8),
    (1, "German", 0, "g", 0.3),
    (1, "French", 1, "h", 0.1),  # no right one to compare with
    (2, "French", 0, "i", 0.2),  # no wrong one
    (2, "German", 0, "j", 0.7),
    (2, "German", 0, "k", 0.6),
    (2, "German", 0, "l", 0.5),  # not above the threshold
]


def scored():
    return [
        {
            **{"seed": seed, "language": language, "unsafe": unsafe, "text": text},
            "loss": loss_of(p, unsafe=bool(unsafe)),
            "wrong": (p > 0.5) != bool(unsafe),
        }
        for seed, language, unsafe, text, p in TEXTS
    ]


def test_the_pairs_are_those_made_by_hand():
    pairs = make_pairs(scored(), SEEDS, PROMPTS)
    made = [
        (pair["prompt"], pair["chosen"][0]["content"], pair["rejected"][0]["content"])
        for pair in pairs
    ]
    unsafe = PROMPTS.for_generator(SEEDS[1], "German", unsafe=True)
    contrast = PROMPTS.for_generator(SEEDS[1], "German", unsafe=False)
    safe = PROMPTS.for_generator(SEEDS[2], "German", unsafe=False)
    assert made == [
        (unsafe, "b", "a"),
        (unsafe, "e", "d"),
        (unsafe, "c", "a"),
        (contrast, "f", "g"),
        (safe, "j", "l"),
        (safe, "k", "l"),
    ]


def test_pairs_have_the_format_of_trl():
    for pair in make_pairs(scored(), SEEDS, PROMPTS):
        assert list(pair) == ["prompt", "chosen", "rejected"]
        assert [message["role"] for message in pair["prompt"]] == ["system", "user"]
        for answer in (pair["chosen"], pair["rejected"]):
            assert [message["role"] for message in answer] == ["assistant"]


@pytest.mark.parametrize(
    ("probability", "unsafe", "loss"),
    [
        (0.25, True, math.log(4)),
        (0.25, False, math.log(4 / 3)),
        (1.0, True, 0.0),
        (1.0, False, -math.log(1e-12)),
        (0.0, True, -math.log(1e-12)),
    ],
)
def test_the_loss_is_that_of_the_label(probability, unsafe, loss):
    assert loss_of(probability, unsafe=unsafe) == pytest.approx(loss)


def test_a_text_that_was_not_scored_teaches_nothing():
    results = scored()
    results[1] |= {"loss": None, "wrong": None}
    assert "b" not in str(
        [pair["chosen"] for pair in make_pairs(results, SEEDS, PROMPTS)]
    )
    assert wrong_rates(results)["all"]["texts"] == len(TEXTS) - 1
    assert "b" not in [result["text"] for result in hardest_first(results)]


def test_the_rates_are_those_counted_by_hand():
    rates = wrong_rates(scored())
    assert list(rates) == ["all", "German", "French"]
    assert rates["all"] == {
        "texts": 12,
        "wrong": 7 / 12,
        "wrong of unsafe": 4 / 6,
        "wrong of safe": 3 / 6,
    }
    assert rates["French"] == {
        "texts": 2,
        "wrong": 1 / 2,
        "wrong of unsafe": 1.0,
        "wrong of safe": 0.0,
    }


def test_a_guard_is_wrong_where_its_flags_differ_from_the_label(
    qwen2_folder, monkeypatch
):
    guard = Guard(str(qwen2_folder), "cpu")
    texts = [{"text": "a dog", "unsafe": 1}, {"text": "a fox", "unsafe": 0}]
    watcher = Watcher()
    results = guard.score_texts(texts, "score", watcher)
    assert watcher.steps == [("score", 2, 0)]
    for text, result in zip(texts, results, strict=True):
        p = result["cats"]["unsafe"]
        expected = -math.log(p if text["unsafe"] else 1 - p)
        assert result["loss"] == pytest.approx(expected, abs=1e-5)
        assert result["wrong"] == (bool(result["flags"]) != bool(text["unsafe"]))

    def fail(queries, **kwargs):
        raise RuntimeError

    classifier = guard._scorer._guard.classifier
    monkeypatch.setattr(classifier, "answer", fail)
    results = guard.score_texts(texts, "score", watcher)
    assert [(r["status"], r["loss"], r["wrong"]) for r in results] == [
        ("error", None, None)
    ] * 2
    assert guard_module.hardest_first(results) == []
