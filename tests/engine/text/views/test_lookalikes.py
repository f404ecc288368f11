"""Look-alikes of I and l: which of them a word means."""

import pytest

from spacy_duoguard.engine.text.views.readings import readings


@pytest.mark.parametrize("bar", list("\u0406\u04c0\u0399\u2c92"))
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I will kill all of you, lowlife.", "I wi|| ki|| a|| of you, |ow|ife."),
        ("They are still evil.", "They are sti|| evi|."),
        ("a lol from llamas", "a |o| from ||amas"),
        ("It is an Idiot, and an Island", "|t is an |diot, and an |sland"),
    ],
)
def test_capitals_that_look_like_l(text, expected, bar):
    disguised = expected.replace("|", bar)
    assert [view.text for view in readings(disguised)] == [text]


@pytest.mark.parametrize("bar", list("\u0406\u04c0\u0399\u2c92"))
def test_capitals_in_words_in_capitals(bar):
    disguised = f"Kill the {bar}D{bar}OT and the MAF{bar}A"
    assert [view.text for view in readings(disguised)] == [
        "Kill the IDIOT and the MAFIA"
    ]
