"""Text encoded in other text."""

import base64
import html
import json
import re
from urllib.parse import unquote

from .characters import HACKETT
from .disguise import Disguise, Rewrite, after_each, by_table, shifted, twice

_WEI = "Wei et al. 2023 (arXiv:2307.02483)"
_RFC = "RFC 4648"
_TAG, _SHORT, _LONG = 0xE0000, 0xFE00, 0xE0100  # two ranges of variation selectors


def to_base64(text: str) -> str:
    """text (str): A text.
    RETURNS (str): Its UTF-8 bytes in base64."""
    return base64.b64encode(text.encode("utf8")).decode("ascii")


def from_base64(text: str) -> str:
    """text (str): From `to_base64`.
    RETURNS (str): The text."""
    return base64.b64decode(text).decode("utf8")


def to_selectors(text: str) -> str:
    """text (str): A text.
    RETURNS (str): Its UTF-8 bytes as variation selectors."""
    data = text.encode("utf8")
    return "".join(chr(_SHORT + b if b < 16 else _LONG + b - 16) for b in data)


def _from_selectors(text: str) -> str:
    codes = map(ord, text[1:])
    return bytes(c - _SHORT if c < _LONG else c - _LONG + 16 for c in codes).decode()


def _by_byte(pattern: str) -> Rewrite:
    return lambda text: "".join(pattern.format(byte) for byte in text.encode("utf8"))


def _by_letter(pattern: str) -> Rewrite:
    return lambda text: "".join(pattern.format(ord(character)) for character in text)


def _to_json(text: str) -> str:
    """A character outside of the Basic Multilingual Plane takes two escapes."""
    return re.sub("(.{4})", r"\\u\1", text.encode("utf-16-be").hex())


def _to_tags(text: str) -> str:
    return "".join(chr(_TAG + ord(c)) if " " <= c < "\x7f" else c for c in text)


def _from_tags(text: str) -> str:
    return "".join(chr(ord(c) - _TAG) if ord(c) > _TAG else c for c in text)


def _from_bytes(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode("utf8")


def _from_json(text: str) -> str:
    return json.loads(f'"{text}"')


def _encoding(name: str, source: str, apply: Rewrite, undo: Rewrite) -> Disguise:
    return Disguise(name, source, apply, undo, "decoded")


_fullwidth = by_table(shifted(0xFF01, "".join(map(chr, range(33, 127)))))
_spread = after_each("\u200b")

ENCODINGS: tuple[Disguise, ...] = (
    _encoding("tag characters", HACKETT, _to_tags, _from_tags),
    _encoding(
        "variation selectors on an emoji",
        HACKETT,
        lambda text: "\U0001f600" + to_selectors(text),
        _from_selectors,
    ),
    _encoding("base64", f"{_WEI}; {_RFC}", to_base64, from_base64),
    _encoding("base64 twice", _WEI, twice(to_base64), twice(from_base64)),
    _encoding("hex", _RFC, _by_byte("{:02x}"), _from_bytes),
    _encoding("spaced hex", _RFC, lambda t: t.encode().hex(" "), _from_bytes),
    _encoding("percent", "RFC 3986", _by_byte("%{:02x}"), unquote),
    _encoding("HTML, decimal", "HTML", _by_letter("&#{};"), html.unescape),
    _encoding("HTML, hexadecimal", "HTML", _by_letter("&#x{:X};"), html.unescape),
    _encoding("\\u escapes", "RFC 8259", _to_json, _from_json),
    _encoding("\\x escapes", "C, ISO 9899", _by_byte("\\x{:02x}"), _from_bytes),
    _encoding(
        "fullwidth base64",
        f"{_RFC}; UAX #15",
        lambda text: _fullwidth(to_base64(text)),
        lambda text: from_base64(
            re.sub("[\uff01-\uff5e]", lambda m: chr(ord(m[0]) - 0xFEE0), text)
        ),
    ),
    _encoding(
        "base64 of zero-width spaces",
        f"{_RFC}; {HACKETT}",
        lambda text: to_base64(_spread(text)),
        lambda text: from_base64(text).replace("\u200b", ""),
    ),
)
