"""Which texts have nothing to fold or decode: told quickly, for nearly all texts."""

import codecs
import re
import unicodedata
from functools import lru_cache
from string import (
    ascii_letters,
    ascii_lowercase,
    ascii_uppercase,
    digits,
    hexdigits,
)

from ..normalize import is_hidden
from .letters import shown_letter, small_capitals, turned_letters
from .lookalikes import script
from .marks import is_mark
from .spacing import WIDEST
from .spelling import LEAST_LETTERS, MOST_REPEATS, has_odd_accents

# Classes of characters, one byte each. Letters beyond Latin-1 are "a" in all of them.
_CONTROLS = "".join(map(chr, (*range(9), *range(14, 28), *range(127, 160), 173)))
_LETTERS = ascii_letters + "".join(c for c in map(chr, range(160, 256)) if c.isalpha())
_SPACES = " \t\v\f\u00a0"


def _table(**classes: str) -> bytes:
    """A table for `bytes.translate`: each class becomes its name, all else "."."""
    table = bytearray(b"." * 256)
    for name, members in classes.items():
        for member in members:
            table[ord(member)] = ord(name)
    return bytes(table)


# Control characters, letters and what can stand for one, and words of single letters.
_TO_FOLD = (
    (_table(c=_CONTROLS), (b"c",)),
    (_table(a=_LETTERS, d="013457@$!"), (b"ada", b"adda")),
    (
        _table(a=_LETTERS + digits),
        tuple((b"." * n + b"a") * 3 for n in range(1, WIDEST + 1)),
    ),
)
_WIDE_SPACES = ((_table(w=_SPACES), (b"ww",)),)
# What begins an escape, and bytes in hexadecimal.
_TO_DECODE = (
    (_table(e="%&\\"), (b"e",)),
    (
        _table(x=hexdigits),
        (b"xxxxxxxx", b"xx.xx.xx.xx", b"xx..xx..xx..xx", b".xx.x.xx.x.xx"),
    ),
)
# Long words in base64's alphabet, if letters and digits alternate somewhere, or "=".
_LONG = ((_table(b=ascii_letters + digits + "+/-_", e="="), (b"b" * 12, b"e")),)
_MIXED_CASE = (
    (
        _table(a=ascii_lowercase, A=ascii_uppercase, d=digits, e="="),
        (b"aA", b"Ad", b"ad", b"dA", b"da", b"e"),
    ),
)
# Capitals, small letters, and both.
_UPPER, _LOWER = ascii_uppercase.encode(), ascii_lowercase.encode()
_CASES = _table(a=ascii_lowercase, A=ascii_uppercase)
_Classes = tuple[tuple[bytes, tuple[bytes, ...]], ...]

# A basic Latin letter beside another letter beyond Latin-1.
_MIXED = re.compile("[A-Za-z][^\\W\\d_\x00-\xff]|[^\\W\\d_\x00-\xff][A-Za-z]")

# Spaces in a line, but not after a sentence, before a comment or at a line's end.
_GAP = re.compile(r"(?<=[^\s.!?:;])[^\S\n\r]{2,}(?=\S)")
_LONGEST_GAP = 8
_MOST_GAPS = 0.1  # of all words
_LONGEST_SPACE = 64

_MOST_JOINERS = 1 / 3  # of all letters without upper and lower case

_FLAG_TAGS = re.compile("(?<=\U0001f3f4)[\U000e0030-\U000e007a]{1,6}\U000e007f")
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069")
_JOINERS = "\u200b\u200c\u200d"
_FARTHEST = 4  # characters from an invisible one to a visible one
_BYTE_ORDER_MARK = "\ufeff"


def _to_classes(error: UnicodeError) -> tuple[str, int]:
    """Stands for what isn't in Latin-1."""
    assert isinstance(error, UnicodeEncodeError)
    characters = error.object[error.start : error.end]
    return "".join("a" if c.isalnum() else "." for c in characters), error.end


_HANDLER = "spacy-duoguard.classes"
codecs.register_error(_HANDLER, _to_classes)


def may_differ(text: str) -> tuple[bool, bool]:
    """text (str): A text.
    RETURNS (Tuple[bool, bool]): Whether there may be something to fold in it, and to
        decode. Both are False for nearly all texts."""
    if text.isascii():
        is_odd, data = False, text.encode("ascii")
    else:
        is_odd, data = _has_odd(text), text.encode("latin-1", _HANDLER)
    data = b"." + data + b"."
    to_fold = is_odd or _has(data, _TO_FOLD) or _has_odd_spelling(data)
    if not to_fold and _has(data, _WIDE_SPACES):
        to_fold = has_odd_spaces(text)
    to_decode = _has(data, _TO_DECODE)
    if not to_decode:
        to_decode = _has(data, _LONG) and _has(data, _MIXED_CASE)
    return to_fold, to_decode or is_odd


def _has(data: bytes, classes: _Classes) -> bool:
    for table, patterns in classes:
        translated = data.translate(table)
        if any(pattern in translated for pattern in patterns):
            return True
    return False


def _has_odd_spelling(data: bytes) -> bool:
    """Whether a text may be in capitals, in alternating case, or repeat its letters."""
    n_upper = len(data) - len(data.translate(None, _UPPER))
    if n_upper >= LEAST_LETTERS / 2:
        n_lower = len(data) - len(data.translate(None, _LOWER))
        if n_upper >= n_lower or 6 * data.translate(_CASES).count(b"aA") >= n_upper:
            return True
    number = int.from_bytes(data, "big")
    differences = (number ^ (number >> 8)).to_bytes(len(data), "big")
    return differences.count(0) >= MOST_REPEATS * len(data)


def _has_odd(text: str) -> bool:
    """Whether a text has characters that may be disguises, or mixes scripts."""
    others = [character for character in set(text) if not character.isascii()]
    if not all(map(_is_ordinary, others)):
        return True
    if has_odd_accents(text):
        return True
    scripts = {script(character) for character in others} - {"LATIN", None}
    # Words of several scripts without upper and lower case are usual.
    n_cased = len({script(c) for c in others if c.lower() != c.upper()} - {"LATIN"})
    return n_cased > 1 or (bool(scripts) and _MIXED.search(text) is not None)


@lru_cache(maxsize=2**16)
def _is_ordinary(character: str) -> bool:
    """Whether it's no disguise, wherever it is."""
    if is_hidden(character) or is_mark(character) or _styled_letters(character):
        return False
    odd = character in turned_letters() or character in small_capitals()
    return not odd and shown_letter(character) is None


def has_odd_spaces(text: str) -> bool:
    """text (str): A text.
    RETURNS (bool): Whether it has spaces that hide words, not just those of a layout.
    """
    longest = n_gaps = 0
    for gap in _GAP.finditer(text):
        longest = max(longest, len(gap[0]))
        n_gaps += 1
    if longest > _LONGEST_GAP or n_gaps > max(1, _MOST_GAPS * len(text.split())):
        return True
    return re.search(rf"\s{{{_LONGEST_SPACE}}}", text) is not None


def has_odd_hidden(text: str, hidden: str) -> bool:
    """text (str): A text.
    hidden (str): Its invisible characters.
    RETURNS (bool): Whether one is where no language and no emoji needs it."""
    if not _DIRECTION.isdisjoint(hidden) and any(map(_is_right_to_left, text)):
        hidden = "".join(set(hidden) - _DIRECTION)
        if not hidden:
            return False
    flags = {i for tags in _FLAG_TAGS.finditer(text) for i in range(*tags.span())}
    n_joiners = 0
    for match in re.finditer(f"[{re.escape(hidden)}]", text):
        i = match.start()
        if i in flags or (i == 0 and match[0] == _BYTE_ORDER_MARK):
            continue
        if not _is_needed(text, i):
            return True
        n_joiners += 1
    if not n_joiners:
        return False
    n_letters = sum(map(_takes_joiners, text))
    return n_joiners > max(1, _MOST_JOINERS * n_letters)


def _is_needed(text: str, i: int) -> bool:
    """Whether an invisible character belongs to a script or an emoji."""
    before = _next_visible(text, range(i - 1, i - _FARTHEST, -1))
    after = _next_visible(text, range(i + 1, i + _FARTHEST))
    if text[i] in _JOINERS:
        sides = [side for side in (before, after) if side and not _ends_word(side)]
        return bool(sides) and all(map(_takes_joiners, sides))
    if not _is_selector(text[i]) or text[i - 1 : i] != before:
        return False
    return _takes_joiners(before) or after == "\u20e3"  # the last is a keycap


def _next_visible(text: str, indices: range) -> str:
    """The first visible character at some offsets, or none."""
    for i in indices:
        if 0 <= i < len(text) and not is_hidden(text[i]):
            return text[i]
    return ""


def _ends_word(character: str) -> bool:
    return not character.isalnum() and unicodedata.category(character)[0] in "ZPC"


@lru_cache(maxsize=2**16)
def _takes_joiners(character: str) -> bool:
    """Letters without upper and lower case, their marks, and symbols."""
    if character.isascii() or character.lower() != character.upper():
        return False
    kind = unicodedata.category(character)
    return kind[0] in "MS" or kind in ("Lo", "Lm", "Po")


def _is_selector(character: str) -> bool:
    return is_hidden(character) and unicodedata.category(character) == "Mn"


@lru_cache(maxsize=2**16)
def _is_right_to_left(character: str) -> bool:
    return unicodedata.bidirectional(character) in ("R", "AL")


def has_odd_letters(text: str) -> bool:
    """text (str): A text.
    RETURNS (bool): Whether basic letters or digits are written in symbols that NFKC
        knows, other than as single signs such as those of a trade mark."""
    styled = "".join(filter(_styled_letters, set(text)))
    if not styled:
        return False
    # Digits as wide as the characters around them are usual there.
    has_wide = any(unicodedata.category(character) == "Lo" for character in text)
    return any(
        _is_odd(text, *run.span())
        for run in re.finditer(f"[{re.escape(styled)}]+", text)
        if not (has_wide and all(map(str.isdigit, run[0])))
    )


def _is_odd(text: str, start: int, end: int) -> bool:
    if end - start > 1:
        return True
    before, after = text[start - 1 : start], text[end : end + 1]
    if unicodedata.category(text[start]) == "Lo":  # the ordinal indicators
        return after.isalpha()
    letters = _styled_letters(text[start])
    touches = before.isalpha() or after.isalpha()
    return touches and len(letters) == 1 and letters.isalpha()


@lru_cache(maxsize=2**16)
def _styled_letters(character: str) -> str:
    """The letters with upper and lower case, and the digits, that NFKC makes of a
    character."""
    if character.isascii():
        return ""
    plain = unicodedata.normalize("NFKC", character)
    if plain == unicodedata.normalize("NFC", character):
        return ""
    return "".join(c for c in plain if c.lower() != c.upper() or c in digits)
