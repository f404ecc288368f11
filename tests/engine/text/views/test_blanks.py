"""Blanks that are no spaces for Unicode."""

import pytest

from spacy_duoguard.engine.text.views.readings import readings

TEXT = "I will kill you, you worthless idiot."
BLANKS = "\u2800\u3164\uffa0"
BRAILLE = "\u2813\u2811\u2807\u2807\u2815\u2800\u283a\u2815\u2817\u2807\u2819"


def read(text):
    return [view.text for view in readings(text)]


@pytest.mark.parametrize("n", [1, 3, 20])
@pytest.mark.parametrize("blank", BLANKS)
def test_blanks_for_the_spaces(blank, n):
    assert read(TEXT.replace(" ", blank * n)) == [TEXT]
    assert read(TEXT.replace(" ", blank * n, 5)) == [TEXT]


@pytest.mark.parametrize("blank", BLANKS)
def test_blanks_between_letters(blank):
    assert read(blank.join("murder")) == ["murder"]
    assert read(" ".join(map(blank.join, TEXT.split()))) == [TEXT]


def test_fillers_inside_of_words():
    assert read(TEXT.replace("ll", "l\u3164l")) == [TEXT]


def test_many_blanks_are_whitespace():
    assert read("\u2800" * 500 + TEXT) == [f" {TEXT}"]
    assert read(TEXT.replace(" ", " \u2800\u2800 ")) == [TEXT]


@pytest.mark.parametrize(
    "text",
    [
        BRAILLE,
        f"Hello is {BRAILLE} in Braille.",
        "First line\n\u2800\nSecond line\n\u2800\u2800\nThird line",
    ],
)
def test_braille_and_empty_lines_are_ordinary(text):
    assert not readings(text)
