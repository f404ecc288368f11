"""Words spelled otherwise, which a reader has to guess: no inverse is exact."""

import codecs
import unicodedata
from string import ascii_lowercase

from .characters import HACKETT, HOSSEINI
from .disguise import Disguise, by_table

_GRONDAHL = "Gröndahl et al. 2018 (arXiv:1808.09115)"
_HUGHES = "Hughes et al. 2024 (arXiv:2412.03556)"
_WEI = "Wei et al. 2023 (arXiv:2307.02483)"

NUMBERS = {"a": "4", "b": "8", "e": "3", "g": "9", "i": "1", "o": "0", "s": "5"}
NUMBERS |= {"t": "7", "z": "2"}
_NUMBERS = NUMBERS | {letter.upper(): digit for letter, digit in NUMBERS.items()}

_MARKS = "\u0301\u0302\u0308\u0307\u030c"  # acute, circumflex, diaeresis, dot, caron


def _accent(letter: str) -> str:
    """The first of the marks that Unicode composes with the letter."""
    for mark in _MARKS:
        composed = unicodedata.normalize("NFC", letter + mark)
        if len(composed) == 1:
            return composed
    return letter


ACCENTS = {c: _accent(c) for c in ascii_lowercase + ascii_lowercase.upper()}


def _every_second(text: str) -> str:
    n_seen = 0
    letters = list(text)
    for i, character in enumerate(letters):
        if character in _NUMBERS:
            n_seen += 1
            if n_seen % 2:
                letters[i] = _NUMBERS[character]
    return "".join(letters)


def _repeat(text: str) -> str:
    return "".join(c * 3 if c.isalpha() else c for c in text)


def _double(text: str) -> str:
    return "".join(c * 2 if c.isalpha() else c for c in text)


def _alternate(text: str) -> str:
    return "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(text))


SPELLINGS: tuple[Disguise, ...] = (
    Disguise("numbers for letters", f"{HACKETT}; {_GRONDAHL}", by_table(_NUMBERS)),
    Disguise("numbers, every second", _GRONDAHL, _every_second),
    Disguise("letters three times", HOSSEINI, _repeat),
    Disguise("letters twice", HOSSEINI, _double),
    Disguise("capitals", _HUGHES, str.upper),
    Disguise("swapped case", _HUGHES, str.swapcase),
    Disguise("alternating case", _HUGHES, _alternate),
    Disguise("precomposed accents", HACKETT, by_table(ACCENTS)),
    Disguise("rot13", _WEI, lambda text: codecs.encode(text, "rot13")),
)
