"""Look-alikes of I and l, and letters that look like none."""

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


@pytest.mark.parametrize("sign", [*"\u02bc\u02bb\u02d0\u30fc\u0640"])
def test_letters_that_modify_others_belong_to_no_script(sign):
    disguised = f"I will k\u0456ll{sign} you, {sign}idi\u043et"
    expected = f"I will kill{sign} you, {sign}idiot"
    assert readings(disguised)[0].text == expected
    assert readings(expected) == []


def test_a_word_is_read_in_the_script_of_its_only_letter_that_looks_like_no_latin_one():
    text = "Merci beaucoup \u0436a\u043b\u043a\u0438\u0439 ypo\u0434"
    expected = (
        "Merci beaucoup \u0436\u0430\u043b\u043a\u0438\u0439 \u0443\u0440\u043e\u0434"
    )
    assert readings(text)[0].text == expected
