"""Letters that stand apart, with any separator, and spaces that aren't spaces."""

import pytest

from spacy_duoguard.engine.text.views.readings import readings

TEXT = "I will kill you, you worthless idiot."


def read(text):
    return [view.text for view in readings(text)]


def apart(text, separator, between=" "):
    return between.join(separator.join(word) for word in text.split())


@pytest.mark.parametrize("between", [" ", "   ", "\n"])
@pytest.mark.parametrize("space", list("\xa0\u2003\u2009\u3000\x0b\x1f\u205f"))
def test_letters_between_other_spaces_than_the_words(space, between):
    expected = TEXT.replace(" ", "\n") if between == "\n" else TEXT
    assert read(apart(TEXT, space, between)) == [expected]
    assert read(apart("kill them all", " ", space * 2)) == ["kill them all"]


def test_wider_gaps_of_the_same_space():
    assert read(apart(TEXT, "\u3000", "\u3000" * 3)) == [TEXT]


def test_decorative_letters_between_other_spaces():
    text = "\U0001d424\U0001d422\U0001d425\U0001d425 \U0001d432\U0001d428\U0001d42e"
    assert read(apart(text, "\xa0")) == ["kill you"]


@pytest.mark.parametrize("sign", ["/", "|", " / ", "//"])
@pytest.mark.parametrize("word", ["kill", "murder", "worthless", "KILLS"])
def test_letters_between_bars(word, sign):
    assert read(f"I will {sign.join(word)} you") == [f"I will {word} you"]


@pytest.mark.parametrize("sign", ["/", "|", " | "])
def test_a_text_between_bars(sign):
    assert read(apart(TEXT, sign, "  " if sign == " | " else " ")) == [TEXT]


@pytest.mark.parametrize(
    "text",
    [
        "Answer y/n, a/b/c or a/b/c/d, and A/B/C/D/E.",
        "y/n/y/n, x|o|x|o, N/A, S/M/L, w/o and c/o",
        "| a | b | c | d |\n| 1 | 2 | 3 | 4 |",
        "w|x|y|z and p / q / r / s",
    ],
)
def test_choices_are_no_words(text):
    assert not readings(text)


@pytest.mark.parametrize("sign", [".", "-", "_", "\u2022"])
@pytest.mark.parametrize(
    "text",
    [
        "Il y a environ un an que j'ai vu ma nouvelle voiture, \u00e0 c\u00f4t\u00e9.",
        "I. I started at 7 to make myself stop crying as I am a boy",
    ],
)
def test_words_of_one_letter_divide_no_text_in_separated_letters(text, sign):
    apart = sign.join(text)
    assert readings(apart)[0].text == text
