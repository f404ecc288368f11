"""Disguises and encodings inside of each other, and bytes that are to spoil them."""

import base64
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_duoguard.disguises.suite import SUITE
from spacy_duoguard.engine.text.views.bytes_read import ReadBytes, read_bytes
from spacy_duoguard.engine.text.views.readings import decoded, readings

TEXT = "I will kill you, you worthless idiot."
LINES = ("Read this long line first", "and then read this one, too", "Thanks a lot!")
FOREIGN = (
    "मैं तुम्हें मार डालूंगा, तुम बेवकूफ हो",
    "உன்னை கொன்று விடுவேன் முட்டாள்",
    "ฉันจะฆ่าคุณ เจ้าโง่",
)
ENCODINGS = (
    *("tag characters", "variation selectors on an emoji", "base64", "hex"),
    *("percent", "HTML, decimal", "\\x escapes"),
)
DISGUISES = (
    *("zero-width spaces", "letter, x, backspace", "combining underline"),
    *("right-to-left override", "dots between letters", "mathematical bold"),
    *("circled", "squared", "Cyrillic look-alikes", "words of look-alikes"),
    *("numbers for letters", "letters twice", "precomposed accents"),
)


def read(text):
    return [view.text.lower().replace(" ", "") for view in readings(text)]


def found(text):
    plain = TEXT.lower().replace(" ", "")
    return any(plain.rstrip(".") in reading for reading in read(text))


def encode(text, name="base64"):
    return SUITE[name].apply(text)


@pytest.mark.parametrize(("inner", "outer"), list(product(ENCODINGS, repeat=2)))
def test_encodings_inside_of_each_other(inner, outer):
    assert found(encode(encode(TEXT, inner), outer))


@pytest.mark.parametrize("outer", ["base64", "hex"])
@pytest.mark.parametrize("inner", DISGUISES)
def test_what_is_encoded_may_be_disguised(inner, outer):
    assert found(encode(encode(TEXT, inner), outer))


@pytest.mark.parametrize("outer", ["zero-width spaces", "dots between letters"])
def test_what_is_disguised_may_be_encoded(outer):
    assert found(encode(encode(TEXT), outer))


@pytest.mark.parametrize(
    "data",
    [
        *(TEXT.encode() + end for end in (b"\0", b"\x1b", b"!" * 60, b"\xff", b"\xe9")),
        *(b"\0" + TEXT.encode(), TEXT[:5].encode() + b"\1" + TEXT[5:].encode()),
        *((TEXT + end).encode() for end in ("\ue000", "\u0378", "\U0001f600" * 9)),
        *(TEXT.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-16-be")),
    ],
)
def test_a_few_other_bytes_spoil_nothing(data):
    assert found(base64.b64encode(data).decode())
    assert found(data.hex())
    percent = "".join(f"%{byte:02x}" for byte in data)
    assert found(percent)
    selectors = [0xFE00 + b if b < 16 else 0xE0100 + b - 16 for b in data]
    assert found("ok" + "".join(map(chr, selectors)))


@pytest.mark.parametrize("space", list("\xa0\u2003\u3000\x0b\x1f\u2028"))
def test_words_between_other_spaces(space):
    assert [view.text for view in readings(TEXT.replace(" ", space))] == [TEXT]


@pytest.mark.parametrize("form", ["&#{:07d};", "&#{:030d};", "&#x{:08x};"])
def test_references_with_zeros(form):
    assert found("".join(form.format(ord(c)) for c in TEXT))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("length", [16, 19, 20, 33, 57, 60, 76])
def test_lines_of_any_length(length, end):
    encoded = encode(TEXT * 3)
    lines = [encoded[i : i + length] for i in range(0, len(encoded), length)]
    assert TEXT * 3 in decoded(f"Read this:\n{end.join(lines)}{end}Thanks").text


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"&#{'0' * 5000}{ord(c)};" for c in "kill"),
        "".join(f"&#x{'0' * 5000}{ord(c):x};" for c in "kill"),
        "k&shy;i&#x200b;l&#1;l",
        "k&#x336;i&#x336;l&#x336;l&#x336;",
        "&#x202e;llik&#x202c;",
        "k%00i%00l%00l",
        "%2525252525252541 " + SUITE["fullwidth"].apply("a2lsbCBraWxsIGtpbGw="),
    ],
)
def test_what_stands_between_letters_hides_nothing(text):
    assert any("kill" in reading for reading in read(text))


@pytest.mark.parametrize("deletion", ["\b", "\x7f"])
def test_deletions_do_not_hide_what_is_encoded(deletion):
    for text in (TEXT + deletion * len(TEXT), deletion.join(TEXT) + deletion):
        assert found(encode(text))
        assert found(encode(text, "hex"))
        assert found(encode(text, "HTML, decimal"))


@pytest.mark.parametrize("words", ["kill you", "kill them now!", "dogs bark a lot"])
def test_a_few_hexadecimal_words(words):
    encoded = " ".join(word.encode().hex() for word in words.split())
    assert decoded(encoded).text == words


def test_lines_that_are_encoded_each():
    lines = [base64.b64encode(line.encode()).decode().rstrip("=") for line in LINES]
    assert decoded("\n".join(lines)).text == "\n".join(LINES)


def test_hexadecimal_words():
    words = " ".join(word.encode().hex() for word in TEXT.split())
    assert decoded(f"Read: {words}").text == f"Read: {TEXT}"
    dump = TEXT.encode().hex(" ", -4)
    assert decoded(dump).text == TEXT


def test_digits_that_are_encoded_once_more():
    assert found(encode(encode(encode(TEXT, "hex"), "hex")))


@pytest.mark.parametrize("name", ["base64", "hex", "variation selectors on an emoji"])
@pytest.mark.parametrize("text", [*FOREIGN, TEXT])
def test_text_with_vowel_signs_is_text(text, name):
    assert text in decoded(encode(text, name)).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I H4TE YOU, Y0U IDI0T", "i hate you, you idiot"),
        ("I W1LL K1LL Y0U, Y0U IDI0T", "i will kill you, you idiot"),
        ("You are an \u0406D\u0406OT", "You are an IDIOT"),
        ("I W\u0406LL K\u0406LL YOU, IDIOT", "i will kill you, idiot"),
        ("I W\ua4f2LL K\ua4f2LL YOU, IDIOT", "i will kill you, idiot"),
        ("h&#8;a&#08;t&#127;e&#x7F;", "hate"),  # HTML drops them
        ("hx\u200b\bax\u200b\btx\u200b\bex\u200b\b", "hate"),
        (
            "\xed\xed \u1e83\u1e83\xed\xed\u013a\u013a\u013a\u013a ḱḱííĺĺĺĺ ýýóóúú",
            "i will kill you",
        ),
    ],
)
def test_what_one_step_uncovers_another_one_reads(text, expected):
    assert [view.text for view in readings(text)] == [expected]


@given(st.binary(max_size=64))
def test_bytes_are_read_where_they_are(data):
    read = ReadBytes.of(data)
    assert len(read.text) == len(read.offsets)
    for character, offset in zip(read.text, read.offsets, strict=True):
        assert data[offset:].startswith(character.encode("utf8"))
    n_read = len(read.text.encode("utf8"))
    assert n_read + read.n_left_out == len(data)
    assert read.n_invalid <= read.n_left_out


def test_random_bytes_are_no_text():
    draw = random.Random(0)
    blocks = [draw.randbytes(n) for n in range(9, 209) for _ in range(20)]
    texts = [read_bytes(data, is_plain=False) for data in blocks]
    assert sum(text is not None for text in texts) < 20
