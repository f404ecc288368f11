"""Marks of the direction: needed beside letters from right to left, nowhere else."""

import pytest

from spacy_duoguard.engine.text.views.readings import readings

TEXT = "I will kill you, you worthless idiot."
MARKS = "\u200e\u200f\u061c"
HEBREW = "\u05e9\u05dc\u05d5\u05dd"
ARABIC = "\u0645\u0631\u062d\u0628\u0627"


def read(text):
    return [view.text for view in readings(text)]


@pytest.mark.parametrize("mark", MARKS)
def test_marks_between_letters(mark):
    assert read(mark.join(TEXT)) == [TEXT]
    assert read(TEXT.replace("ill", f"i{mark}ll")) == [TEXT]


@pytest.mark.parametrize("mark", [*MARKS, "\u2066", "\u202a"])
@pytest.mark.parametrize("word", [HEBREW, ARABIC])
def test_a_word_from_right_to_left_does_not_hide_them(word, mark):
    for marks in (mark, mark * 9):
        text = TEXT.replace("ki", f"k{marks}i")
        assert read(f"{word} {text}") == [f"{word} {TEXT}"]


@pytest.mark.parametrize("mark", MARKS)
def test_marks_do_not_change_what_an_override_turns_around(mark):
    assert read("\u202e" + (TEXT + mark * 60)[::-1])[0] == TEXT


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("word", [HEBREW, ARABIC])
def test_marks_that_a_script_needs_are_ordinary(word, mark):
    for text in (
        f"{word}{mark} (C++{mark}) {word}!{mark}",
        f"{word[:2]}{mark}{word[2:]}",
        f"{mark}{word}, abc{mark} {word}",
        f"{word}{mark}abc {word}",
        f"{word} \u2068abc\u2069 {word}",
    ):
        assert not readings(text)
