"""Which texts have nothing to fold or decode: told quickly, for nearly all texts.

Each character becomes a byte that says what it is, in C. What no character of the text
could be a part of isn't looked for, and a step that may edit the text is asked."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits, hexdigits

import numpy as np

from ..normalize import compose
from .classes import (
    ACCENTED,
    CASELESS,
    LONGER,
    LOWER,
    ODD,
    OTHER_LATIN,
    UNLIKE,
    UPPER,
    classify,
    mixes_scripts,
)
from .encodings import decode_entities, decode_escapes, decode_percent
from .leet import LEAST_SHARE, LEAST_WORDS, SIGN_INSIDE, read_digits
from .lookalikes import ALMOST_ALL, read_lookalikes
from .ordinary import LONGEST_GAP, MOST_GAPS, OTHER_SPACE, has_odd_spaces
from .radix import LINE_END, decode_base64, decode_hex, has_no_capital, is_no_text
from .spacing import join_letters
from .spelling import (
    LEAST_LETTERS,
    LEAST_REPEATED,
    LONGEST_WORD,
    MOST_ACCENTS,
    MOST_VOWELS,
    drop_accents,
    read_case,
    read_repeats,
)
from .view import Edit

_CASED = ascii_letters.encode() + UPPER + LOWER
_LETTERS = _CASED + CASELESS
_PLAIN_VOWELS = b"aeiouAEIOU"
_FOREIGN = _LETTERS.translate(None, ascii_letters.encode() + ACCENTED + OTHER_LATIN)
_CONTROLS = bytes([*range(9), *range(14, 28), 127])
_SPACES = b" \t\v\f\x1c\x1d\x1e\x1f"
_OTHER_SPACES = b"\v\f\x1c\x1d\x1e\x1f"
_SIGNS = b"013457@$!"  # that can stand for a letter
_IN_WORDS = b"@$!"  # of these, those that can join two words
_ESCAPES = b"%&\\="
_DIGITS = digits.encode()
# What none of the steps looks for, unless there are many.
_USUAL = _LETTERS + LONGER + b" \n,.;:?'\"()-"
_ALL_UPPER = ascii_uppercase.encode() + UPPER
_ALL_LOWER = ascii_lowercase.encode() + LOWER


def _table(**classes: bytes) -> bytes:
    """A table for `bytes.translate`: each class becomes its name, all else a space."""
    table = bytearray(b" " * 256)
    for name, members in classes.items():
        for member in members:
            table[member] = ord(name)
    return bytes(table)


_WORDS = _table(a=_CASED + _DIGITS, u=CASELESS)
_CASES = _table(a=_ALL_LOWER, A=_ALL_UPPER, **{"1": _DIGITS})
_WIDE = _table(w=_SPACES)
_GAPS = _table(w=_SPACES + b"\n\r")
_HEX = _table(x=hexdigits.encode())
_HEX_IN_WORDS = _table(w=(ascii_letters + digits).encode(), x=hexdigits.encode())
_HEX_BYTES = re.compile(b"(?<![wx])(?:(?:xw)?xx {0,4}){3,}(?:xw)?xx(?![wx])")
_IN_HEX = bytes({*range(256)} - {*_LETTERS, *_DIGITS}) + b"xX"  # between the bytes
_BASE64 = ascii_letters.encode() + _DIGITS + b"+/-_"
_LONG = _table(b=_BASE64, **{"=": b"="})
_LONG_GAP = b"w" * (LONGEST_GAP + 1)
_LONGEST_SPACE = b"w" * 64
_LEAST_HEX = b"x" * 8
_LEAST_BASE64 = b"b" * 12
_LEAST_PADDED = b"b" * 6 + b"="
_JSON = (b"\\n", b"\\r", b"\\t", b"\\/")
_TOKEN64 = re.compile(b"b+")
_LINE64 = 16  # characters of base64 in a line that others follow

_INSIDE = re.compile(
    b"[%b](?<=[%b].)[%b]?(?=[%b])" % (_SIGNS, _LETTERS, _SIGNS, _LETTERS), re.DOTALL
)
# Single letters in a row.
_ROW = re.compile(b" a {1,8}a {1,8}a {1,8}a ")
_LEAST_APART = 4
_SAME_GAPS = re.compile(b" a( {1,4})a\\1a ")
_TOO_LONG = b"a" * (LONGEST_WORD + 1)

_Step = Callable[[str], Iterable[Edit]]


def may_differ(text: str) -> tuple[bool, bool]:
    """text (str): A text.
    RETURNS (Tuple[bool, bool]): Whether there is something to fold in it, and to
        decode. Where it can't be told quickly, both are True."""
    folds: list[_Step] = []
    plain = text
    if text.isascii():
        data = text.encode("ascii")
        codes = np.frombuffer(data, dtype=np.uint8)
    else:
        codes, data = classify(text)
        if ODD in data:
            return True, True
        folds = _read_beyond_ascii(codes, data)
    rest = data.translate(None, _USUAL)
    if _has_any(rest, _CONTROLS):
        return True, True
    folds += _read_letters(codes, data, rest)
    decoders = _decoders(text, data, rest)
    to_fold = _may_have_odd_spaces(text, data, rest) and has_odd_spaces(text)
    if (folds or decoders) and not _is_composed(text, data):
        plain = compose(text)[0]
    to_fold = to_fold or any(_edits(step, plain) for step in folds)
    texts = dict.fromkeys((text, plain))
    return to_fold, any(_edits(step, t) for step in decoders for t in texts)


def _edits(step: _Step, text: str) -> bool:
    return next(iter(step(text)), None) is not None


def _has_any(data: bytes, members: bytes) -> bool:
    return len(data.translate(None, members)) < len(data)


def _is_composed(text: str, data: bytes) -> bool:
    """Whether a text without odd characters is known to be as NFKC makes it."""
    # Sorting many marks, which may be long, is for `compose`.
    return LONGER not in data and unicodedata.is_normalized("NFKC", text)


def _may_have_odd_spaces(text: str, data: bytes, rest: bytes) -> bool:
    if _has_any(rest, _OTHER_SPACES) if text.isascii() else OTHER_SPACE.search(text):
        return True
    spaces = data.translate(_WIDE)
    most = spaces.count(b"ww")  # gaps in lines
    if most > 1 and most > MOST_GAPS * len(text.split()):
        return True
    return _LONG_GAP in spaces or _LONGEST_SPACE in data.translate(_GAPS)


def _read_beyond_ascii(codes: np.ndarray, data: bytes) -> list[_Step]:
    """The steps that may edit letters that aren't ASCII."""
    steps: list[_Step] = []
    n_accented = _count(data, ACCENTED)
    if n_accented >= LEAST_LETTERS:
        n_plain = _count(data, _PLAIN_VOWELS)
        n_letters = _count(data, _CASED)
        if n_accented >= min(MOST_ACCENTS * n_letters, MOST_VOWELS * n_plain):
            steps.append(drop_accents)
    # Words in one script stay unless almost all letters look like Latin ones.
    n_foreign = _count(data, _FOREIGN)
    if n_foreign:
        n_unlike = _count(data, UNLIKE)
        look_latin = n_foreign - n_unlike >= ALMOST_ALL * n_unlike
        if look_latin or mixes_scripts(codes):
            steps.append(read_lookalikes)
    return steps


def _read_letters(codes: np.ndarray, data: bytes, rest: bytes) -> list[_Step]:
    """The steps that may edit the words of a text."""
    steps: list[_Step] = []
    words = data.translate(_WORDS)
    if _has_any(rest, _SIGNS) and _INSIDE.search(data):
        is_style = _may_be_digits(words, rest)
        steps.append(read_digits if is_style or LONGER in data else _read_digits_inside)
    if _may_be_apart(data, words):
        steps.append(join_letters)
    if _may_repeat(codes, words, rest):
        steps.append(read_repeats)
    n_upper = _count(data, _ALL_UPPER)
    if n_upper and _may_have_odd_case(data, words, rest, n_upper):
        steps.append(read_case)
    return steps


def _count(data: bytes, members: bytes) -> int:
    return len(data) - len(data.translate(None, members))


def _may_be_digits(words: bytes, rest: bytes) -> bool:
    """Whether a text may be written with digits for letters throughout."""
    n_words = words.count(b" a") + words.count(b" u") - _count(rest, _IN_WORDS)
    return _count(rest, _DIGITS) >= max(LEAST_WORDS, LEAST_SHARE * n_words)


def _read_digits_inside(text: str) -> Iterable[Edit]:
    """What `read_digits` reads in a text that isn't written like this throughout. It
    reads each word by itself."""
    end = -1
    for match in SIGN_INSIDE.finditer(text):
        if match.start() > end:
            start = text.rfind(" ", 0, match.start()) + 1
            end = text.find(" ", match.start())
            end = len(text) if end < 0 else end
            yield from read_digits(text[start:end])


def _may_be_apart(data: bytes, words: bytes) -> bool:
    """Whether there may be a word whose letters stand apart."""
    if LONGER in data:
        return words.split().count(b"a") >= _LEAST_APART
    padded = b" %b " % words
    return bool(_ROW.search(padded) and _SAME_GAPS.search(padded))


def _may_repeat(codes: np.ndarray, words: bytes, rest: bytes) -> bool:
    """Whether there may be words in which each letter is repeated."""
    pairs = codes[1:] == codes[:-1]
    pairs &= np.frombuffer(words, dtype=np.uint8)[:-1] != ord(" ")
    if not (pairs[2:] & pairs[:-2]).any():
        return False
    n_words = sum(len(word) > 1 for word in words.split()) - _count(rest, _DIGITS)
    return int(np.count_nonzero(pairs)) >= LEAST_REPEATED * n_words


def _may_have_odd_case(data: bytes, words: bytes, rest: bytes, n_upper: int) -> bool:
    """Whether a text may be in capitals, or in swapped or alternating case."""
    if b"ua" in words or b"au" in words:
        return True
    n_lower = _count(data, _ALL_LOWER)
    n_digits = _count(rest, _DIGITS)
    is_long = _TOO_LONG in words
    most = n_lower if is_long else LONGEST_WORD * n_digits
    # At most four small letters for each capital, in words of several letters.
    most += 4 * n_upper
    if n_lower > most + words.count(b" a") + 1:
        return False
    n_singles = words.split().count(b"a")
    if n_lower > most + n_singles:
        return False
    if n_digits or is_long:
        # Letters beside digits, and in very long words, don't count.
        tokens = data.translate(_CASES).split()
        left_out = b"".join(
            [
                token
                for token in tokens
                if not token.isalpha() or len(token) > LONGEST_WORD
            ]
        )
        n_upper -= left_out.count(b"A")
        n_lower -= left_out.count(b"a")
    return n_upper > 0 and n_lower <= 4 * n_upper + n_singles


def _decoders(text: str, data: bytes, rest: bytes) -> list[_Step]:
    """The decoders that may edit a text. Tags and selectors are odd characters."""
    steps: list[_Step] = []
    if _has_any(rest, _ESCAPES):
        named = ((b"%", decode_percent), (b"&", decode_entities))
        steps += [step for sign, step in named if sign in rest]
        if b"\\" in rest:
            steps.append(decode_escapes)
    is_json = b"\\" in rest and any(escape in data for escape in _JSON)
    may_be_hex = _LEAST_HEX in data.translate(_HEX, _IN_HEX)
    if is_json or (may_be_hex and _HEX_BYTES.search(data.translate(_HEX_IN_WORDS))):
        steps.append(decode_hex)
    if is_json or _may_have_base64(text, data, rest):
        steps.append(decode_base64)
    return steps


def _may_have_base64(text: str, data: bytes, rest: bytes) -> bool:
    longest = data.translate(_LONG)
    if b"=" in rest and _LEAST_PADDED in longest:
        return True
    return _LEAST_BASE64 in longest and _may_be_base64(text, longest)


def _may_be_base64(text: str, longest: bytes) -> bool:
    """Whether one of the long words may be base64."""
    start = longest.find(_LEAST_BASE64)
    while start >= 0:
        match = _TOKEN64.match(longest, start)
        end = match.end() if match else len(longest)
        token = text[start:end]  # a digit in it may not be that of ASCII
        is_line = len(token) >= _LINE64 and LINE_END.match(text, end) is not None
        # The lines after it may have capitals.
        if is_line or not (
            has_no_capital(token)
            or is_no_text(token)
            or not _edits(decode_base64, token)
        ):
            return True
        start = longest.find(_LEAST_BASE64, end)
    return False
