"""Characters added to a text, or in another order, that hide its words."""

import re

from .disguise import Disguise, after_each, without

HACKETT = "Hackett et al. 2025 (arXiv:2504.11168)"
BOUCHER = "Boucher et al. 2022 (arXiv:2106.09898)"
HOSSEINI = "Hosseini et al. 2017 (arXiv:1702.08138)"
_MARKS = "Unicode Standard, section 7.9, combining marks"

_OVERRIDE, _POP = "\u202e", "\u202c"
_OVERRIDDEN = re.compile(f"{_OVERRIDE}([^{_POP}]*){_POP}")
_WORD = re.compile(r"\w+")


def _reverse(text: str) -> str:
    return f"{_OVERRIDE}{text[::-1]}{_POP}" if text else ""


def _reverse_lines(text: str) -> str:
    """An override ends with its line."""
    return "\n".join(map(_reverse, text.split("\n")))


def _reverse_words(text: str) -> str:
    """Every second word."""
    count = iter(range(len(text)))

    def rewrite(word: re.Match[str]) -> str:
        return _reverse(word[0]) if next(count) % 2 else word[0]

    return _WORD.sub(rewrite, text)


def _undo_reverse(text: str) -> str:
    return _OVERRIDDEN.sub(lambda match: match[1][::-1], text)


def _apart(name: str, separator: str) -> Disguise:
    """Letters with a separator between them."""

    def undo(text: str) -> str:
        return text[:: len(separator) + 1]

    return Disguise(name, HOSSEINI, separator.join, undo, "folded")


def _dots_in_words(text: str) -> str:
    return " ".join(".".join(word) for word in text.split(" "))


def _added(name: str, source: str, characters: str) -> Disguise:
    return Disguise(name, source, after_each(characters), without(characters), "folded")


CHARACTERS: tuple[Disguise, ...] = (
    _added("zero-width spaces", HACKETT, "\u200b"),
    _added("word joiners", BOUCHER, "\u2060"),
    _added("zero-width joiners", BOUCHER, "\u200d"),
    _added("soft hyphens", "UAX #14, line breaking", "\u00ad"),
    _added("variation selectors", "UTS #37, variation sequences", "\ufe0f"),
    _added("letter, x, backspace", BOUCHER, "x\b"),
    _added("letter, x, delete", HACKETT, "x\x7f"),
    _added("combining underline", HACKETT, "\u0332"),
    _added("combining strike", _MARKS, "\u0336"),
    _added("combining acute", HACKETT, "\u0301"),
    _added("stacked marks", _MARKS, "\u0301\u0316\u0320\u0334"),
    Disguise(
        "right-to-left override", BOUCHER, _reverse_lines, _undo_reverse, "folded"
    ),
    Disguise("overridden words", BOUCHER, _reverse_words, _undo_reverse, "folded"),
    _apart("spaces between letters", " "),
    _apart("dots between letters", "."),
    _apart("hyphens between letters", "-"),
    _apart("underscores between letters", "_"),
    Disguise(
        "dots in words",
        HOSSEINI,
        _dots_in_words,
        lambda text: " ".join(word[::2] for word in text.split(" ")),
        "folded",
    ),
)
