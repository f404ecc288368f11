"""Disguises of plain English, each undone exactly by one of the views."""

import base64
from string import ascii_lowercase

PLAIN = "I hate you and will kill you all."

SMALL_CAPITALS = dict(
    zip("abcdefghijklmnoprtuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ", strict=True)
)
UPSIDE_DOWN = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyzIHW.?!,'",
        "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎzIHM˙¿¡',",
        strict=True,
    )
)
LOOKALIKES = {"a": "\u0430", "e": "\u0435", "o": "\u043e", "c": "\u0441", "i": "\u0456"}


def by_letter(function):
    return lambda text: "".join(map(function, text))


def after_each(characters):
    return by_letter(lambda c: c + characters)


def at(first, alphabet=ascii_lowercase):
    """The letters of an alphabet that begins at a code point."""
    table = {letter: chr(first + i) for i, letter in enumerate(alphabet)}
    return by_letter(lambda c: table.get(c, c))


def to_bytes(pattern):
    return lambda text: "".join(pattern.format(byte) for byte in text.encode("utf8"))


def to_selectors(text):
    codes = (0xFE00 + b if b < 16 else 0xE0100 + b - 16 for b in text.encode("utf8"))
    return "".join(map(chr, codes))


def to_base64(text):
    return base64.b64encode(text.encode("utf8")).decode("ascii")


def twice(function):
    return lambda text: function(function(text))


# By name: the view, and from plain to disguised.
DISGUISES = {
    "zero-width spaces": ("folded", after_each("\u200b")),
    "word joiners": ("folded", after_each("\u2060")),
    "zero-width joiners": ("folded", after_each("\u200d")),
    "soft hyphens": ("folded", after_each("\u00ad")),
    "variation selectors": ("folded", after_each("\ufe0f")),
    "mathematical bold": ("folded", at(0x1D41A)),
    "fullwidth": ("folded", at(0xFF01, "".join(map(chr, range(33, 127))))),
    "circled": ("folded", at(0x24D0)),
    "parenthesized": ("folded", at(0x249C)),
    "small capitals": ("folded", by_letter(lambda c: SMALL_CAPITALS.get(c, c))),
    "letter, x, backspace": ("folded", after_each("x\b")),
    "letter, x, delete": ("folded", after_each("x\x7f")),
    "right-to-left override": ("folded", lambda text: f"\u202e{text[::-1]}\u202c"),
    "override inside": (
        "folded",
        lambda text: f"{text[:7]}\u202e{text[10:6:-1]}\u202c{text[11:]}",
    ),
    "upside down": (
        "folded",
        lambda text: "".join(UPSIDE_DOWN.get(c, c) for c in text)[::-1],
    ),
    "turned in place": ("folded", by_letter(lambda c: UPSIDE_DOWN.get(c, c))),
    "combining underline": ("folded", after_each("\u0332")),
    "combining strike": ("folded", after_each("\u0336")),
    "combining acute": ("folded", after_each("\u0301")),
    "stacked marks": ("folded", after_each("\u0301\u0316\u0320\u0334")),
    "Cyrillic look-alikes": ("folded", by_letter(lambda c: LOOKALIKES.get(c, c))),
    "spaces between letters": ("folded", " ".join),
    "dots between letters": ("folded", ".".join),
    "hyphens between letters": ("folded", "-".join),
    "underscores between letters": ("folded", "_".join),
    "dots in words": (
        "folded",
        lambda text: " ".join(".".join(word) for word in text.split()),
    ),
    "tag characters": (
        "decoded",
        by_letter(lambda c: chr(0xE0000 + ord(c)) if c < "\x7f" else c),
    ),
    "base64": ("decoded", to_base64),
    "base64 twice": ("decoded", twice(to_base64)),
    "hex": ("decoded", lambda text: text.encode("utf8").hex()),
    "spaced hex": ("decoded", lambda text: text.encode("utf8").hex(" ")),
    "percent": ("decoded", to_bytes("%{:02x}")),
    "HTML, decimal": ("decoded", by_letter(lambda c: f"&#{ord(c)};")),
    "HTML, hexadecimal": ("decoded", by_letter(lambda c: f"&#x{ord(c):X};")),
    "\\u escapes": ("decoded", by_letter(lambda c: f"\\u{ord(c):04x}")),
    "\\x escapes": ("decoded", to_bytes("\\x{:02x}")),
    "fullwidth base64": (
        "decoded",
        lambda text: at(0xFF01, "".join(map(chr, range(33, 127))))(to_base64(text)),
    ),
    "base64 of zero-width spaces": (
        "decoded",
        lambda text: to_base64("\u200b".join(text)),
    ),
}

# Alphabets of capitals only, which are read as small letters.
CAPITALS = {
    "regional indicators": at(0x1F1E6),
    "squared": at(0x1F130),
    "negative squared": at(0x1F170),
    "negative circled": at(0x1F150),
}
