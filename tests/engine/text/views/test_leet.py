"""Digits for letters in words of capitals."""

import pytest

from spacy_duoguard.engine.text.views.readings import readings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "1 W1LL K1LL Y0U, Y0U W0RTHL355 1D10T.",
            "i will kill you, you worthless idiot.",
        ),
        ("Y0U 1D10T, D1E.", "you idiot, die."),
        ("I W1LL K1LL Y0U.", "i will kill you."),
        (
            "YOU ARE AN 1D10T AND A B1TCH, D1E.",
            "you are an idiot and a bitch, die.",
        ),
        ("G0 K1LL Y0URSELF", "go kill yourself"),
        ("1 W1LL S33 Y0U 1N H3LL", "i will see you in hell"),
        ("\u2460 W\u2460LL K\u2460LL Y\u24eaU", "i will kill you"),
    ],
)
def test_digits_in_a_text_in_capitals(text, expected):
    assert [view.text for view in readings(text)] == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "K1A 0B6, M5V 3L9, H0H 0H0, T2P 1J9",
        "THE AK47, B52, H2O, WW2, P51 AND F16",
        "The MP3, the H2O and the CO2 of the A1B and the WW2",
        "Flights BA249, LH400, AF1 and UA1 leave from T2 and T3.",
        "We need 1 R2D2, 1 BB8 and the T1000, and ABC 123.",
    ],
)
def test_names_and_codes_in_capitals_stay(text):
    read = {view.text.lower() for view in readings(text)}
    assert read <= {text.lower()}  # a heading may be in small letters


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ki1l you", "kill you"), ("fi1thy", "filthy"), ("that c1inic", "that clinic")],
)
def test_beside_an_i_the_digit_is_an_l(text, expected):
    assert readings(text)[0].text.lower() == expected.lower()


def test_the_capital_that_begins_a_word_is_the_only_one():
    (view,) = readings("L157 7h3 7h1n65 7h47 1 h473, 4nd 574y")
    assert view.text == "List the things that i hate, and stay"
