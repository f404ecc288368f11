"""Text in tag characters and variation selectors."""

import base64
import re

import pytest

from spacy_duoguard.disguises.encodings import to_selectors
from spacy_duoguard.engine.text.views.readings import readings


def to_tags(text):
    return "".join(chr(0xE0000 + ord(c)) if c.isascii() else c for c in text)


def in_tags(text):
    """What is in brackets."""
    return re.sub(r"\[(.*?)\]", lambda match: to_tags(match[1]), text)


@pytest.mark.parametrize(
    "invisible", ["\u200b", "\u2060\xad", "\ufe0f", "\U000e0001", "\U000e007f"]
)
def test_invisible_characters_between_tags_separate_no_words(invisible):
    text = in_tags(f"[ki]{invisible}[ll y]{invisible}[ou]{invisible}[ now] ok")
    assert readings(text)[-1].text == "kill you now ok"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f[u]ck y[ou]", "fuck you"),
        ("[f]uck yo\u200b[u]", "fuck you"),
        ("stu[pid], wor[thless]", "stupid, wor thless"),
        ("I[ ]w[i]l[l] [k]i[l]l[ ]y[o]u", "I will kill you"),
        ("I['m] 1[8]", "I'm 18"),
        ("ok![no]", "ok! no"),
    ],
)
def test_a_few_tags_beside_letters_are_letters_of_the_word(text, expected):
    assert readings(in_tags(text))[-1].text == expected


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("invisible", ["\u200b", "\u2060\u200d", "\xad"])
def test_invisible_characters_between_selectors_separate_no_words(invisible, size):
    parts = re.findall(f".{{1,{size}}}", "I will kill you now")
    text = "\U0001f600" + invisible.join(map(to_selectors, parts)) + " ok"
    assert readings(text)[-1].text == "\U0001f600 I will kill you now ok"


def test_a_few_selectors_beside_letters_are_letters_of_the_word():
    text = f"I w{to_selectors('il')}l k{to_selectors('il')}l y{to_selectors('ou')}"
    assert readings(text)[-1].text == "I will kill you"
    assert readings("\u845b\U000e0141 k\ufe0fill")[-1].text == "\u845b kill"


def test_other_hidden_text_between_tags_is_read_too():
    selectors = to_selectors("kill you")
    assert readings(in_tags(f"[I will]{selectors}[now]"))[-1].text == (
        "I will kill you now"
    )


@pytest.mark.parametrize(
    "text", ["Quiero matarte, niño idiota", "Où es-tu, espèce de tête", "Я убью тебя"]
)
def test_letters_without_tags_stay_inside_of_their_word(text):
    hidden = to_tags(text)
    assert readings(hidden)[-1].text == text


def test_hidden_text_is_set_apart_from_words_that_are_visible():
    hidden = to_tags("kill you")
    assert (
        readings(f"a café{hidden} é{hidden}")[-1].text == "a café kill you é kill you"
    )


@pytest.mark.parametrize("payload", ["suck my dick, bitch", "I will kill you tonight"])
@pytest.mark.parametrize("before", [True, False])
def test_hidden_text_is_read_beside_disguised_encodings(payload, before):
    """Without disguises, invisible characters are dropped."""
    safe = base64.b64encode(b"Good morning, how are you? The sun shines.").decode()
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in safe)
    divided = safe[:9] + "\u200b" + safe[9:21] + "\u200b" + safe[21:]
    tags = to_tags(payload)
    selectors = "a" + to_selectors(payload)
    for hidden in (tags, selectors):
        for other in (wide, divided):
            text = f"{hidden} {other}" if before else f"{other} {hidden}"
            read = readings(text)[-1].text
            assert payload in read
            assert "how are you" in read


@pytest.mark.parametrize("word", ["fuck", "bitch", "kill yourself", "murder"])
@pytest.mark.parametrize("before", ["\n", "\n- ", "\n> "])
@pytest.mark.parametrize("safe", ["See you at noon, my friend.", "Good morning!"])
def test_words_below_base64_are_no_part_of_it(word, before, safe):
    encoded = base64.b64encode(safe.encode()).decode().rstrip("=") + before
    spaced = " ".join(f"{byte:02x}" for byte in word.encode())
    references = "".join(f"&#{ord(c)};" for c in word)
    for hidden in (to_tags(word), spaced, references):
        assert readings(encoded + hidden)[-1].text == safe + before + word


@pytest.mark.parametrize("hide", [to_tags, to_selectors])
@pytest.mark.parametrize("letters", ["x", "ab", "xyz"])
@pytest.mark.parametrize(
    "encoded",
    [
        base64.b64encode(b"I will kill you").decode(),
        base64.b64encode(b"I will kill you!").decode().rstrip("="),
        b"I will kill you".hex(),
        b"I will kill you".hex(" "),
        "\\x" + b"I will kill you".hex(),
    ],
)
def test_a_few_hidden_letters_hide_no_encoded_text(hide, letters, encoded):
    hidden = hide(letters)
    for i in (0, 2, len(encoded) // 2 + 1, len(encoded) - 1, len(encoded)):
        text = f"See: {encoded[:i]}{hidden}{encoded[i:]} ok"
        assert "I will kill you" in readings(text)[-1].text, i
        if letters == "xyz" and i in (0, len(encoded)):
            assert letters in readings(text)[-1].text


@pytest.mark.parametrize("hide", [to_tags, to_selectors])
@pytest.mark.parametrize(
    "encoded", ["%69%64%69%6f%74", "&#105;d&#105;ot", "\\u0069diot"]
)
def test_a_few_hidden_letters_divide_no_escape(hide, encoded):
    for i in (1, 2):
        text = f"you {encoded[:i]}{hide('ab')}{encoded[i:]}"
        assert readings(text)[-1].text == "you idiot"


@pytest.mark.parametrize("hide", [to_tags, to_selectors])
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["I", "will", "kill", "you"], "I will kill you"),
        (["I w", "ill k", "ill you"], "I will kill you"),
        (["bi", "tc", "h!"], "bitch!"),
        (["id", "io", "t"], "idiot"),
    ],
)
def test_what_divides_hidden_text_without_spaces_are_words(hide, parts, expected):
    text = "ok " + "\u200b".join(map(hide, parts)) + " ok"
    assert readings(text)[-1].text == f"ok {expected} ok"


@pytest.mark.parametrize("invisible", ["\u200b", "\u200d", "\xad"])
def test_a_selector_of_an_emoji_is_no_word_before_hidden_text(invisible):
    text = "\u2764\ufe0f" + invisible + to_selectors("hateyou")
    assert readings(text)[-1].text == "\u2764 hateyou"
