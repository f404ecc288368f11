"""Texts in an odd spelling throughout, unevenly."""

import random
import unicodedata
from unicodedata import normalize

import pytest

from spacy_duoguard.engine.text.views.readings import readings

TEXT = "I will kill you, you worthless idiot."
STROKED = dict(
    zip(
        "bcdefghijloprtuyzI",
        "ƀȼđɇfǥħɨɉłøᵽɍŧʉɏƶƗ",
        strict=True,
    )
)


def read(text):
    return [view.text for view in readings(text)]


@pytest.mark.parametrize("seed", range(12))
def test_capitals_at_random(seed):
    draw = random.Random(seed)
    text = "".join(draw.choice((c.upper(), c.lower())) for c in TEXT)
    assert read(text) == [TEXT.lower()]


def test_capitals_at_the_wrong_end():
    words = TEXT.split()
    assert read(" ".join(w[:2].upper() + w[2:] for w in words)) == [TEXT.lower()]


@pytest.mark.parametrize("seed", range(6))
def test_letters_repeated_unequally(seed):
    draw = random.Random(seed)
    text = "".join(c * draw.randint(3, 4) if c.isalpha() else c for c in TEXT)
    assert read(text) == [TEXT]
    text = "".join(c * draw.randint(2, 4) if c.isalpha() else c for c in TEXT)
    (result,) = read(text)
    assert read_once(result) == read_once(TEXT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("II kkiillll uu", "I kill u"),
        ("uuu aaarrreee aaa sssllluuuttt", "u are a slut"),
        ("the KKKKKK hhaattee uu tthheenn", "the KKK hate u then"),
        ("YYoouu aaarrreee ssstttuuupppiiiddd, aaallllll!", "You are stupid, all!"),
        ("YYoouu aaaaaaaarrrrrrrreeeeeeee aaaaaaaa bbbaaaddd", "You are a bad"),
        (
            "YYoouu aarree aallll ssttuuppiidd bbaaadd ffoollkk",
            "You are all stupid baad folk",
        ),
    ],
)
def test_words_of_one_letter_and_words_repeated_by_another_number(text, expected):
    assert read(text) == [expected]


@pytest.mark.parametrize(
    "text",
    ["World War II, aa and mm", "the Acts II, III and XX", "aa bb cc dd", "Aa oo ee"],
)
def test_pairs_of_letters_alone_are_not_repeated(text):
    assert read(text) == []


def read_once(text):
    return "".join(a for a, b in zip(text, text[1:] + " ", strict=True) if a != b)


@pytest.mark.parametrize(
    "mark", ["\u0301", "\u0300", "\u0302", "\u0303", "\u0304", "\u0306", "\u0309"]
)
def test_the_same_accent_on_each_vowel(mark):
    text = "".join(c + mark if c.lower() in "aeiou" else c for c in TEXT)
    composed = unicodedata.normalize("NFC", text)
    assert not any(map(unicodedata.combining, composed))
    assert read(composed) == [TEXT]


@pytest.mark.parametrize("mark", ["\u0301", "\u0307"])
def test_the_same_accent_on_each_letter(mark):
    text = "".join(c + mark if c.isalpha() else c for c in TEXT)
    composed = unicodedata.normalize("NFC", text)
    assert any(map(unicodedata.combining, composed))
    assert read(composed) == [TEXT]


def test_strokes_through_most_letters():
    text = "".join(STROKED.get(c, c) for c in TEXT)
    assert read(text) == [TEXT]


def test_upside_down_capitals_of_lisu():
    assert read("\ua4d8ill this i\ua4f7iot") == ["Kill this iDiot"]


@pytest.mark.parametrize("stop", ["", "˙"])
@pytest.mark.parametrize(
    "form",
    ["Hi {}", "No, {}", "So {}", "Lol {}", "I {}", "@Bob {}", "{} - Ann", "{} Bob"],
)
def test_words_that_can_stand_as_they_are_beside_upside_down_ones(form, stop):
    (reading,) = read(form.format(f"{stop}ɥɔʇᴉq 'ʞɔᴉp ʎɯ ʞɔns"))
    assert "suck my dick, bitch" in reading


@pytest.mark.parametrize(
    "text",
    [
        "Nǐ hǎo, wǒ shì Zhōngguó rén. Wǒ bù zhīdào nǐ shì shéi.",
        "Ọjọ́ dára, mo fẹ́ràn rẹ púpọ̀, ẹ ṣé gan-an ni.",
        "Árvíztűrő tükörfúrógép, és úgy örül, hogy él.",
        "Tā moko me te kōrero Māori o tēnei wā, ngā mihi nui",
        "Chwała Bogu, Łódź płynęła żółwim tempem wzdłuż łąk.",
        "Đây là đội tuyển được yêu thích nhất ở đất nước đó.",
        "Hmmm, aaah, yeesss, noooo, pleeease, zzzz, sooo coool, ooookay",
        "MacBook, iPhone and YouTube: see getElementById, innerHTML and onClick.",
        "The McDonalds of the PhD student in the LaTeX group, by DeShawn LeBron",
    ],
)
def test_ordinary_spelling_stays(text):
    assert not readings(text)


def test_accents_among_look_alikes_stay():
    word = "\u0430\u0440\u0435\u0441\u0430á\u043e\u0441"
    assert all("á" in reading for reading in read(" ".join([word] * 10)))


@pytest.mark.parametrize(
    "text",
    [
        *("Bố tớ đã về rồi đấy.", "Để tớ hỏi đã, đợi đấy.", "Tớ đã để nó ở đấy rồi ạ."),
        *("Cậu ở đó đợi tớ nhé.", "Cứ để ở đó, tớ sẽ đến lấy."),
        *(
            "המחיר הוא 50$ (USD) ב-Amazon.",
            "חיבור HDMI, USB, VGA",
            "LG의 OLED TV와 LCD TV",
        ),
        *("IBMで働く。NASA、FBI、CIA。", "मैं IBM में काम करता हूँ, वह NASA और FBI में"),
    ],
)
def test_accents_and_names_of_everyday_texts_stay(text):
    assert readings(text) == []
    assert readings(normalize("NFD", text)) == []
