"""Encodings among signs that don't belong to them, and with the escapes of JSON."""

import base64
import json
import time

import pytest

from spacy_duoguard.disguises.suite import SUITE
from spacy_duoguard.engine.text.views.readings import decoded, readings

TEXT = "I will kill you??? You worthless idiot>>>"
LONG = "I will kill you and burn down your house, you worthless idiot. " * 3
ENCODED = base64.b64encode(TEXT.encode()).decode()
URL_SAFE = base64.urlsafe_b64encode(TEXT.encode()).decode()
SEPARATORS = ["\n", "\r\n", *"\t|_./;\\$=", " | ", " $", "~~"]
DECORATIVE = "".join(chr(0x1D41A + ord(c) - 97) if c > " " else c for c in "kill them")


def read(text):
    view = decoded(text)
    return None if view is None else view.text


def surrogates(text, backslash):
    data = text.encode("utf-16-be").hex()
    return "".join(f"{backslash}u{data[i : i + 4]}" for i in range(0, len(data), 4))


@pytest.mark.parametrize("encoded", [ENCODED, ENCODED.rstrip("="), URL_SAFE])
@pytest.mark.parametrize(
    "form",
    [
        *("https://example.org/?q={}", "https://example.org/?q={}&lang=en", "=={}=="),
        *("{}====", "_{}_", "__{}__", "--{}--", "/{}/", "=?utf-8?B?{}?=", "a={}"),
        *("https://example.org/a/{}", "sha256-{}", "https://example.org/a-bc/{}"),
        *("data-x=_{}_", "={}", "{}_", "-{}"),
    ],
)
def test_base64_between_signs(form, encoded):
    result = read(form.format(encoded))
    before, after = form.split("{}")
    assert result.startswith(before + TEXT)
    # A sign behind base64 without padding may belong to it.
    assert len(result) <= len(before + TEXT + after) + 2


def test_base64_that_is_padded_in_the_middle():
    parts = [TEXT[i : i + 10] for i in range(0, 40, 10)]
    joined = "".join(base64.b64encode(part.encode()).decode() for part in parts)
    assert read(joined) == TEXT[:40]


@pytest.mark.parametrize("length", [16, 64, 76])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_base64_in_json(levels, end, length):
    encoded = base64.b64encode(LONG.encode()).decode()
    lines = [encoded[i : i + length] for i in range(0, len(encoded), length)]
    text = f"Read:{end}{end.join(lines)}{end}"
    for _ in range(levels):
        text = json.dumps({"text": text})
    assert LONG in read(text)


@pytest.mark.parametrize("backslash", ["\\", "\\\\"])
def test_slashes_in_base64_that_json_escapes(backslash):
    assert "/" in ENCODED
    escaped = ENCODED.replace("/", f"{backslash}/")
    assert read(f'["{escaped}"]') == f'["{TEXT}"]'


@pytest.mark.parametrize("separator", ["", " ", ":", ", "])
@pytest.mark.parametrize("outer", [1, 2])
def test_hex_of_hex_of_hex(outer, separator):
    text = TEXT
    for level in range(3):
        data = text.encode().hex(" ").split()
        text = (separator if level else " ").join(data)
        text = "".join(data) if level == outer else text
    assert read(text) == TEXT


@pytest.mark.parametrize("prefix", ["", "0x"])
@pytest.mark.parametrize("separator", SEPARATORS)
def test_hex_with_any_separator(separator, prefix):
    data = separator.join(prefix + byte for byte in TEXT.encode().hex(" ").split())
    assert read(f"Read: {data} now") == f"Read: {TEXT} now"
    assert read(f"Read: {data.upper().replace('X', 'x')} now") == f"Read: {TEXT} now"


def test_hex_in_lists():
    data = [hex(byte) for byte in TEXT.encode()]
    assert read(str(data)) == f"['{TEXT}']"
    assert read(json.dumps(data)) == f'["{TEXT}"]'


@pytest.mark.parametrize("backslash", ["\\", "\\\\"])
def test_bytes_after_one_prefix(backslash):
    data = TEXT.encode().hex()
    assert read(f"SELECT '{backslash}x{data}';") == f"SELECT '{TEXT}';"
    assert decoded(f"\\x{data}").char_span(2, 6) == (6, 14)


@pytest.mark.parametrize("backslash", ["\\", "\\\\", "\\" * 4, "\\" * 8])
def test_escapes_with_several_backslashes(backslash):
    for text in ("kill them", "t\xf6te sie", DECORATIVE):
        expected = "kill them" if text == DECORATIVE else text
        assert read(surrogates(text, backslash)) == expected
        escaped = "".join(f"{backslash}x{byte:02x}" for byte in text.encode())
        assert read(escaped) == expected
    assert read("".join(f"{backslash}x{{{ord(c):x}}}" for c in TEXT)) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "Columns:\n65\n70\n72\n68\n71\n69\n66\n61",
        "61.62.63.64, 61/62/63/64, 65|66|67|68|69|70|71",
        "be/ad/ce/de fa|ce|be|ad 12.05.24.11 ab_cd_ef_ab",
        r"C:\new\table\reports \\server\users \d+/\w+",
        "userName=internationalization&requestId=ConfigurationManager__init__",
        "a_very_long_snake_case_name = another_very_long_name == __file__",
        "----------------\nfrom __future__ import annotations\n================",
        '{"path": "\\/usr\\/local\\/bin\\/python", "text": "First.\\nSecond.\\n"}',
        "#616263 #6b6c6d 00:1a:2b:3c:4d:5e",
        "from ..warnings import PydanticDeprecatedSince20\n\nif not TYPE_CHECKING:",
    ],
)
def test_ordinary_signs_and_numbers_encode_nothing(text):
    assert not readings(text)


@pytest.mark.parametrize("length", [16, 17, 19, 25, 38, 57, 76])
@pytest.mark.parametrize(
    "prefix",
    [
        *("> ", ">", ">> ", "> > ", "- ", "* ", "    ", "\t", "# ", "// ", "| "),
        *("1. ", "1 ", "   123\t"),
    ],
)
def test_base64_in_lines_with_a_prefix(prefix, length):
    encoded = base64.b64encode(LONG.encode()).decode()
    lines = [encoded[i : i + length] for i in range(0, len(encoded), length)]
    text = "".join(f"{prefix}{line}\n" for line in lines)
    assert LONG.strip() in read(text)


@pytest.mark.parametrize("length", [16, 17, 18, 19, 38, 57])
@pytest.mark.parametrize("end", ["\r", " \n", "\t\r\n  "])
def test_base64_in_lines_with_other_ends(end, length):
    encoded = base64.b64encode(LONG.encode()).decode()
    lines = [encoded[i : i + length] for i in range(0, len(encoded), length)]
    assert read(f"Hi{end}{end.join(lines)}").endswith(LONG)


@pytest.mark.parametrize("form", ["{}", "> {}", "- {}", "{}\r"])
@pytest.mark.parametrize("size", [40, 41, 42])
def test_texts_in_base64_one_below_the_other(form, size):
    texts = (LONG[:size], TEXT, LONG[: size + 1], LONG[1:size])
    data = [base64.b64encode(text.encode()).decode().rstrip("=") for text in texts]
    result = read("\n".join(form.format(encoded) for encoded in data))
    assert all(text.strip() in result for text in texts)


@pytest.mark.parametrize("length", [38, 57, 76])
@pytest.mark.parametrize(
    "line",
    [
        *("Sicherheitsvorkehrungen", "internationalization", "file-name-with-dashes"),
        *("9e107d9d372bb6826bd81d3542a419d6", "DA39A3EE5E6B4B0D3255BFEF95601890"),
    ],
)
def test_base64_in_lines_beside_another_line(line, length):
    text = LONG.strip()
    encoded = base64.b64encode(text.encode()).decode().rstrip("=")
    lines = [encoded[i : i + length] for i in range(0, len(encoded), length)]
    assert text in read("\n".join([line, *lines]))
    assert text in read("\n".join([*lines, line]))


@pytest.mark.parametrize("size", [60, 61, 62])
def test_hex_below_base64(size):
    encoded = base64.b64encode(LONG[:size].encode()).decode().rstrip("=")
    assert read(f"{encoded}\n{b'kill them'.hex()}") == f"{LONG[:size]}\nkill them"


def test_base64_whose_last_line_is_one_character():
    encoded = base64.b64encode(LONG[:41].encode()).decode()[:-1]  # of 56
    lines = [encoded[i : i + 18] for i in range(0, 54, 18)]
    for end in ("\n", "\n> ", " \r\n"):
        assert LONG[:41] in read(end.join([*lines, encoded[54:]]))
        assert read(end.join([*lines, encoded[54:] + "="])) == LONG[:41]


def test_lines_take_linear_time():
    def seconds(n_lines):
        text = ("\n> > " + "ABCDEFGHIJKLMNOP") * n_lines + "\n>>>>>>>>"
        start = time.process_time()
        read(text)
        return time.process_time() - start

    seconds(10)
    assert seconds(2_000) < 40 * max(seconds(200), 0.01)


@pytest.mark.parametrize(
    "before",
    ["/ab/", "v2/", "2024-05-01-", "id-", "user_1_", "data/", "foo+", "a-b-c-"],
)
def test_the_right_start_of_base64(before):
    for text in (
        TEXT,
        LONG,
        "Kill all of the immigrants, they are vermin.",
        "Töte sie!",
    ):
        encoded = base64.b64encode(text.encode()).decode()
        assert text in read(before + encoded)


@pytest.mark.parametrize("sign", list("_-/+"))
def test_short_base64_between_two_signs(sign):
    assert read(f"{sign}cmFwZSBoZXI={sign}") == f"{sign}rape her{sign}"


def test_hex_beside_a_number():
    assert read("6D 75 72 64 65 72 17:30") == "murder0"


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        ("66,75, 63, 6b,20,79,6f,75", "fuck you"),
        ("6675 63 6b2079 6f75 206e 6f 77", "fuck you now"),
        ("6e6f77 6b696c6c20796f75", "now kill you"),
        ("6b696c6c 796f75 6e6f77", "kill you now"),
    ],
)
def test_spaces_in_hex_are_spaces_unless_the_bytes_have_fewer_of_them(
    encoded, expected
):
    assert read(encoded) == expected


@pytest.mark.parametrize("escape", [r"\n", r"\t", r"\r\n", r"\\n"])
@pytest.mark.parametrize("separator", ["", " ", r"\n"])
def test_hex_behind_and_between_escaped_line_breaks(escape, separator):
    encoded = separator.join(f"{byte:02x}" for byte in b"kill you")
    assert read(f"Hi{escape}{encoded}{escape}ok") == f"Hi{escape}kill you{escape}ok"


@pytest.mark.parametrize("name", ["base64", "hex", "spaced hex"])
@pytest.mark.parametrize(
    "disguise",
    [lambda c: f"{c}\u200b", lambda c: chr(ord(c) + 0xFEE0), lambda c: f"\u200f{c}"],
)
def test_disguises_inside_of_what_is_encoded(name, disguise):
    encoded = SUITE[name].apply(TEXT)
    for i in range(0, len(encoded), 3):
        if encoded[i] != " ":
            disguised = encoded[:i] + disguise(encoded[i]) + encoded[i + 1 :]
            assert TEXT in read(disguised)


def test_what_is_read_points_behind_the_prefixes():
    encoded = base64.b64encode(b"a" * 30).decode()
    view = decoded(f"> {encoded[:20]}\n> {encoded[20:]}")
    assert view.text == f"> {'a' * 30}"
    starts = [2 + i * 4 // 3 + 3 * (i * 4 // 3 >= 20) for i in range(30)]
    assert view.starts[2:-1].tolist() == starts


def test_base64_in_lines_whose_first_has_no_capital():
    body = (
        "amdhamdoamdvamd2a\nmdkSSB3aWxsIGtpbGwgeW91IGFsbCB0b25pZ2h0LCB5b3UgaWRpb3RzISAg"
    )
    assert any("I will kill you all tonight" in view.text for view in readings(body))
