"""Which texts have nothing to fold or decode: told quickly, for nearly all texts.

Each character becomes a byte that says what it is, in C. What no character of the text
could be a part of isn't looked for, and a step that may edit the text is asked."""

import re
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
from .leet import read_digits
from .lookalikes import ALMOST_ALL, read_lookalikes
from .ordinary import OTHER_SPACE, has_odd_spaces
from .radix import LINE_END, decode_base64, decode_hex, has_no_capital
from .spacing import join_letters
from .spelling import (
    LEAST_LETTERS,
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
_SIGNS = b"013457@$!"  # that can stand for a letter
_ESCAPES = b"%&\\="
_DIGITS = digits.encode()
# What none of the steps looks for, unless there are many.
_USUAL = _LETTERS + LONGER + b" \n,.;:?'\"()-"
_ALL_UPPER = ascii_uppercase.encode() + UPPER
_ALL_LOWER = ascii_lowercase.encode() + LOWER


def _table(**classes: bytes) -> bytes:
    """A table for `bytes.translate`: each class becomes its name, all else "."."""
    table = bytearray(b"." * 256)
    for name, members in classes.items():
        for member in members:
            table[member] = ord(name)
    return bytes(table)


_WORDS = _table(a=_CASED + _DIGITS, u=CASELESS)
_CASES = _table(a=_ALL_LOWER, A=_ALL_UPPER, **{"1": _DIGITS}).replace(b".", b" ")
_WIDE = _table(w=_SPACES)
_GAPS = _table(w=_SPACES + b"\n\r")
_HEX = _table(x=hexdigits.encode())
_IN_HEX = bytes({*range(256)} - {*_LETTERS, *_DIGITS}) + b"xX"  # between the bytes
_BASE64 = ascii_letters.encode() + _DIGITS + b"+/-_"
_LONG = _table(b=_BASE64)
_LONGEST_SPACE = b"w" * 64
_LEAST_HEX = b"x" * 8
_LEAST_BASE64 = b"b" * 12
_TOKEN64 = re.compile(b"b+")
_LINE64 = 16  # characters of base64 in a line that others follow

_INSIDE = re.compile(
    b"[%b](?<=[%b].)[%b]?(?=[%b])" % (_SIGNS, _LETTERS, _SIGNS, _LETTERS), re.DOTALL
)
_APART = 4  # single letters in a row
_FARTHEST = 9  # from one to the next
_ROW = re.compile(b"\x02\0{1,8}\x02\0{1,8}\x02\0{1,8}\x02")
_SAME_GAPS = re.compile(b"\x02(\0{1,4})\x02\\1\x02")
_LEAST_REPEATED = 3  # words
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
    may_have = _may_have_odd_spaces(data) or OTHER_SPACE.search(text) is not None
    to_fold = may_have and has_odd_spaces(text)
    if (folds or decoders) and not text.isascii():
        plain = compose(text)[0]
    to_fold = to_fold or any(_edits(step, plain) for step in folds)
    texts = dict.fromkeys((text, plain))
    return to_fold, any(_edits(step, t) for step in decoders for t in texts)


def _edits(step: _Step, text: str) -> bool:
    return next(iter(step(text)), None) is not None


def _has_any(data: bytes, members: bytes) -> bool:
    return len(data.translate(None, members)) < len(data)


def _may_have_odd_spaces(data: bytes) -> bool:
    return b"ww" in data.translate(_WIDE) or _LONGEST_SPACE in data.translate(_GAPS)


def _read_beyond_ascii(codes: np.ndarray, data: bytes) -> list[_Step]:
    """The steps that may edit letters that aren't ASCII."""
    steps: list[_Step] = []
    n_accented = len(data) - len(data.translate(None, ACCENTED))
    if n_accented >= LEAST_LETTERS:
        n_plain = len(data) - len(data.translate(None, _PLAIN_VOWELS))
        n_letters = len(data) - len(data.translate(None, _CASED))
        if n_accented >= min(MOST_ACCENTS * n_letters, MOST_VOWELS * n_plain):
            steps.append(drop_accents)
    # Words in one script stay unless almost all letters look like Latin ones.
    n_foreign = len(data) - len(data.translate(None, _FOREIGN))
    if n_foreign:
        n_unlike = len(data) - len(data.translate(None, UNLIKE))
        look_latin = n_foreign - n_unlike >= ALMOST_ALL * n_unlike
        if look_latin or mixes_scripts(codes):
            steps.append(read_lookalikes)
    return steps


def _read_letters(codes: np.ndarray, data: bytes, rest: bytes) -> list[_Step]:
    """The steps that may edit the words of a text."""
    steps: list[_Step] = []
    if _has_any(rest, _SIGNS) and _INSIDE.search(data):
        steps.append(read_digits)
    words = data.translate(_WORDS)
    # Each dot twice, so that every word has its own at both ends.
    n_singles = (b".%b." % words).replace(b".", b"..").count(b".a.")
    if n_singles >= _APART and (LONGER in data or _may_be_apart(words)):
        steps.append(join_letters)
    if _may_repeat(codes, words):
        steps.append(read_repeats)
    n_upper = len(data) - len(data.translate(None, _ALL_UPPER))
    if n_upper and _may_have_odd_case(data, words, rest, n_upper, n_singles):
        steps.append(read_case)
    return steps


def _may_be_apart(words: bytes) -> bool:
    """Whether there may be a word whose letters stand apart."""
    padded = np.frombuffer(b".%b." % words, dtype=np.uint8)
    in_word = padded != ord(".")
    singles = (padded[1:-1] == ord("a")) & ~in_word[:-2] & ~in_word[2:]
    offsets = np.flatnonzero(singles)
    reach = (_APART - 1) * _FARTHEST
    if (offsets[_APART - 1 :] - offsets[: 1 - _APART]).min() > reach:
        return False
    marked = (in_word[1:-1].view(np.uint8) + singles).tobytes()
    return bool(_ROW.search(marked) and _SAME_GAPS.search(marked))


def _may_repeat(codes: np.ndarray, words: bytes) -> bool:
    """Whether there may be words in which each letter is repeated."""
    pairs = codes[1:] == codes[:-1]
    if np.count_nonzero(pairs[2:] & pairs[:-2]) < _LEAST_REPEATED:
        return False
    pairs &= np.frombuffer(words, dtype=np.uint8)[:-1] != ord(".")
    return int(np.count_nonzero(pairs[2:] & pairs[:-2])) >= _LEAST_REPEATED


def _may_have_odd_case(
    data: bytes, words: bytes, rest: bytes, n_upper: int, n_singles: int
) -> bool:
    """Whether a text may be in capitals, or in swapped or alternating case."""
    if b"ua" in words or b"au" in words:
        return True
    n_lower = len(data) - len(data.translate(None, _ALL_LOWER))
    n_digits = len(rest) - len(rest.translate(None, _DIGITS))
    is_long = _TOO_LONG in words
    most = n_lower if is_long else LONGEST_WORD * n_digits
    # At most four small letters for each capital, in words of several letters.
    if n_lower - most > 4 * n_upper + n_singles:
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
    is_padded = False
    if _has_any(rest, _ESCAPES):
        is_padded = b"=" in rest or b"\\" in rest  # or with the escapes of JSON
        named = ((b"%", decode_percent), (b"&", decode_entities))
        steps += [step for sign, step in named if sign in rest]
        if b"\\" in rest:
            steps.append(decode_escapes)
    if _LEAST_HEX in data.translate(_HEX, _IN_HEX):
        steps.append(decode_hex)
    longest = data.translate(_LONG)
    if is_padded or (_LEAST_BASE64 in longest and _may_be_base64(text, longest)):
        steps.append(decode_base64)
    return steps


def _may_be_base64(text: str, longest: bytes) -> bool:
    """Whether one of the long words may be base64."""
    start = longest.find(_LEAST_BASE64)
    while start >= 0:
        match = _TOKEN64.match(longest, start)
        end = match.end() if match else len(longest)
        token = text[start:end]  # a digit in it may not be that of ASCII
        is_line = len(token) >= _LINE64 and LINE_END.match(text, end) is not None
        # The lines after it may have capitals.
        if is_line or (not has_no_capital(token) and _edits(decode_base64, token)):
            return True
        start = longest.find(_LEAST_BASE64, end)
    return False
