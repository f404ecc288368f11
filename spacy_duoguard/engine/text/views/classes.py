"""What the characters of a text are, one byte each: looked up in C, in a table that is
filled as characters come up."""

import unicodedata
from itertools import count

import numpy as np

from ..normalize import starts_cluster
from .lookalikes import LATIN, lookalike, script
from .ordinary import is_ordinary
from .spelling import base_letter

# ASCII characters, and those that NFKC makes ASCII, stand for themselves. Others:
_UPPER, _ACCENTED_UPPER, _FOREIGN_UPPER, _UNLIKE_UPPER = 128, 129, 130, 131
_LOWER, _ACCENTED_LOWER, _FOREIGN_LOWER, _UNLIKE_LOWER = 132, 133, 134, 135
_CASELESS, _UNLIKE_CASELESS = 136, 137
_LONGER = 138  # a sign that NFKC changes, maybe into several
_OTHER = 139
_ODD = 255  # what may be a disguise wherever it is, or can't be told by itself

UPPER = bytes((_UPPER, _ACCENTED_UPPER, _FOREIGN_UPPER, _UNLIKE_UPPER))
LOWER = bytes((_LOWER, _ACCENTED_LOWER, _FOREIGN_LOWER, _UNLIKE_LOWER))
CASELESS = bytes((_CASELESS, _UNLIKE_CASELESS))
ACCENTED = bytes((_ACCENTED_UPPER, _ACCENTED_LOWER))
OTHER_LATIN = bytes((_UPPER, _LOWER))  # such as \u0153
# Letters that look like no Latin ones.
UNLIKE = bytes((_UNLIKE_UPPER, _UNLIKE_LOWER, _UNLIKE_CASELESS))
LONGER = bytes((_LONGER,))
ODD = bytes((_ODD,))

_UNKNOWN = 0
_NUL = 1  # also a control character
# Others may be parts of what is encoded.
_SIGNS = frozenset(".,:;?!\"'()[]{}<>@$")

_CODE_POINTS = 0x110000

_table = np.zeros(_CODE_POINTS, dtype=np.uint8)
_table[:128] = (_NUL, *range(1, 128))
_scripts = np.zeros(_CODE_POINTS, dtype=np.uint16)  # 0: no letter
_numbers: dict[str, int] = {LATIN: 1}
_free = count(2)  # threads get different ones
for _letter in range(128):
    _scripts[_letter] = chr(_letter).isalpha()


def classify(text: str) -> tuple[np.ndarray, bytes]:
    """text (str): A text.
    RETURNS (Tuple[ndarray, bytes]): The code points of its characters, and what these
        are."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    data = _table.take(codes).tobytes()
    if b"\0" in data:
        for character in set(text):
            if _table[ord(character)] == _UNKNOWN:
                _learn(character)
        data = _table.take(codes).tobytes()
    return codes, data


def mixes_scripts(codes: np.ndarray) -> bool:
    """codes (ndarray): From `classify`.
    RETURNS (bool): Whether a word has letters of several scripts."""
    scripts = _scripts.take(codes)
    before, after = scripts[:-1], scripts[1:]
    differ = (before != after) & (before > 0) & (after > 0)
    return bool(differ.any())


def _learn(character: str) -> None:
    name = script(character) if character.isalnum() else None
    if name is not None:
        _scripts[ord(character)] = _numbers.setdefault(name, next(_free))
    # Last: other threads then know both.
    _table[ord(character)] = _classify(character)


def _classify(character: str) -> int:
    if not is_ordinary(character):
        return _ODD
    plain = unicodedata.normalize("NFKC", character)
    if character.isspace():
        return ord(plain) if plain.isascii() and len(plain) == 1 else ord("\v")
    if any(map(str.isalnum, character + plain)):
        return _classify_letter(character) if plain == character else _ODD
    if plain.isascii():
        if plain == "...":
            return _LONGER
        return ord(plain) if plain in _SIGNS else _ODD
    is_same = plain == character and starts_cluster(character)
    return _OTHER if is_same else _LONGER


def _classify_letter(character: str) -> int:
    if character.isdecimal():
        return ord("9")
    if not character.isalpha() or not starts_cluster(character):
        return _ODD
    name = script(character)
    if name is None:
        offset = 2  # in a word of any script
    elif name == LATIN:
        offset = 1 if base_letter(character) is not None else 0
    else:
        offset = 2 if lookalike(character, LATIN) is not None else 3
    if character.isupper():
        return _UPPER + offset
    if character.islower():
        return _LOWER + offset
    if character.lower() != character.upper():
        return _ODD
    return _CASELESS if offset < 3 else _UNLIKE_CASELESS
