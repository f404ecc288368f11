"""Overrides of the direction hide nothing below them, and what is deleted."""

import time

import pytest

from spacy_duoguard.disguises.suite import SUITE
from spacy_duoguard.engine.text.views.readings import readings

TEXT = "I will kill you, you worthless idiot."
REVERSED = f"\u202e{TEXT[::-1]}\u202c"
ENCODINGS = (
    *("tag characters", "variation selectors on an emoji", "base64", "hex"),
    *("percent", "HTML, decimal", "\\x escapes"),
)
DISGUISES = (
    *("zero-width spaces", "combining underline", "dots between letters"),
    *("mathematical bold", "circled", "Cyrillic look-alikes", "letters twice"),
)


def read(text):
    return [view.text for view in readings(text)]


@pytest.mark.parametrize("form", ["\u202e{}", "\u202d\u202e{}\u202c", "Hi. \u202e{}"])
@pytest.mark.parametrize("name", [*ENCODINGS, *DISGUISES])
def test_what_an_override_turns_around_is_read_as_it_is_stored(name, form):
    text = form.format(SUITE[name].apply(TEXT))
    assert any(TEXT.lower() in reading.lower() for reading in read(text))


def test_an_override_that_is_encoded():
    text = "&#8238;" + SUITE["base64"].apply(TEXT)
    assert TEXT in read(text)


def test_what_is_turned_around_stays_turned_around():
    encoded = SUITE["base64"].apply(" Go on.")
    assert read(REVERSED) == [TEXT]
    assert f"{TEXT} Go on." in read(REVERSED + encoded)
    assert TEXT in read(SUITE["base64"].apply(REVERSED))
    assert TEXT in read(f"\u202e{SUITE['base64'].apply(TEXT)[::-1]}\u202c")
    assert TEXT in read("&#8238;" + TEXT[::-1])


def test_many_overrides_with_codes():
    line = f"\u202e{SUITE['base64'].apply(TEXT)}\u202c\n"
    assert read(line * 3)[-1] == f"{TEXT}\n" * 3


def test_hex_with_overrides_for_separators():
    text = "\u202e" + "\u202e".join(f"{byte:02x}" for byte in TEXT.encode())
    assert TEXT in read(text)


@pytest.mark.parametrize("opening", ["\u202a", "\u202e", "\u2067"])
def test_time_is_linear_in_the_depth(opening):
    closing = "\u2069" if opening == "\u2067" else "\u202c"

    def seconds(depth):
        text = f"{SUITE['base64'].apply(TEXT)} \u202e{opening * depth}{closing * depth}"
        start = time.process_time()
        read(text)
        return time.process_time() - start

    seconds(100)
    assert seconds(32_000) < 40 * max(seconds(2_000), 0.01)


def test_a_flag_is_deleted_as_one_character():
    text = "I w\U0001f1e9\U0001f1ea\bill k\U0001f1eb\U0001f1f7\x7fill \U0001f1e9\bhim"
    assert readings(text)[0].text == "I will kill him"


def test_of_two_flags_one_is_deleted():
    flags = "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7"
    assert readings(f"kill {flags}\bthem")[0].text == f"kill {flags[:2]}them"


@pytest.mark.parametrize(
    "character",
    [
        "\u0928\u093f",
        "\u0e01\u0e34",
        "1\ufe0f\u20e3",
        "x\u0488",
        "\U0001f44d\U0001f3fd",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f3f3\ufe0f\u200d\U0001f308",
    ],
)
def test_a_character_is_deleted_with_what_belongs_to_it(character):
    assert readings(f"I will ki{character}\bll you")[0].text == "I will kill you"
    for sign in ("x", "#", " ", "\u00a9"):  # no emoji
        text = f"I wi\u200d{sign}\bll"
        assert readings(text)[0].text == "I will"
