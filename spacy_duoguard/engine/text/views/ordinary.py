"""What is ordinary in a text: spaces, invisible characters and letters that are no
disguises."""

import re
import unicodedata
from functools import lru_cache
from string import digits

from ..normalize import is_hidden, is_mark
from .letters import shown_letter, small_capitals, turned_letters
from .spacing import BRAILLE_BLANK

# Spaces in a line, but not after a sentence, before a comment, at a line's end or in a
# table, beside its lines.
_GAP = re.compile(r"(?<=[^\s.!?:;|])[^\S\n\r]{2,}(?=[^\s|])")
LONGEST_GAP = 8
MOST_GAPS = 0.1  # of all words
_LONGEST_SPACE = 64

_MOST_JOINERS = 1 / 3  # of all letters without upper and lower case

_FLAG_TAGS = re.compile("(?<=\U0001f3f4)[\U000e0030-\U000e007a]{1,6}\U000e007f")
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069")
_JOINERS = "\u200b\u200c\u200d"
_MICRO = "\xb5"  # NFKC makes it a Greek letter
_KEYCAP = "\u20e3"
_FARTHEST = 4  # characters from an invisible one to a visible one
BYTE_ORDER_MARK = "\ufeff"


# Those that hardly anybody types between words.
OTHER_SPACES = "\x0b\x0c\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f"
OTHER_SPACES += "\u205f\u3000"
OTHER_SPACE = re.compile(f"[{OTHER_SPACES}]")
_BETWEEN = re.compile(r"(?<=\w)\s(?=\w)")
_OTHER_BETWEEN = re.compile(rf"(?<=\w)[{OTHER_SPACES}](?=\w)")
_LEAST_OTHER = 3


@lru_cache(maxsize=2**16)
def is_ordinary(character: str) -> bool:
    """character (str): One character.
    RETURNS (bool): Whether it's no disguise, wherever it is."""
    if is_hidden(character) or is_mark(character) or _styled_letters(character):
        return False
    odd = character in turned_letters() or character in small_capitals()
    odd |= character == BRAILLE_BLANK
    return not odd and shown_letter(character) is None


def has_odd_spaces(text: str) -> bool:
    """text (str): A text.
    RETURNS (bool): Whether it has spaces that hide words, not just those of a layout.
    """
    longest = n_gaps = 0
    for gap in _GAP.finditer(text):
        longest = max(longest, len(gap[0]))
        n_gaps += 1
    if longest > LONGEST_GAP or n_gaps > max(1, MOST_GAPS * len(text.split())):
        return True
    n_other = len(_OTHER_BETWEEN.findall(text))
    if n_other >= _LEAST_OTHER and 2 * n_other > len(_BETWEEN.findall(text)):
        return True
    return re.search(rf"\s{{{_LONGEST_SPACE}}}", text) is not None


def has_odd_hidden(text: str, hidden: str) -> bool:
    """text (str): A text.
    hidden (str): Its invisible characters.
    RETURNS (bool): Whether one is where no language and no emoji needs it."""
    may_be_direction = any(map(_is_right_to_left, set(text) - set(hidden)))
    flags = {i for tags in _FLAG_TAGS.finditer(text) for i in range(*tags.span())}
    n_joiners = 0
    for match in re.finditer(f"[{re.escape(hidden)}]", text):
        i = match.start()
        if i in flags or (i == 0 and match[0] == BYTE_ORDER_MARK):
            continue
        if match[0] in _DIRECTION and may_be_direction:
            if _is_inside_word(text, i):
                return True
            continue
        if not _is_needed(text, i):
            return True
        n_joiners += not any(map(_is_emoji, _sides(text, i)))
    if not n_joiners:
        return False
    n_letters = sum(_takes_joiners(c) and not _is_sign(c) for c in text)
    return n_joiners > max(1, _MOST_JOINERS * n_letters)


def _is_needed(text: str, i: int) -> bool:
    """Whether an invisible character belongs to a script or an emoji."""
    before, after = _sides(text, i)
    if text[i] in _JOINERS:
        sides = [side for side in (before, after) if side and not _ends_word(side)]
        return bool(sides) and all(map(_takes_joiners, sides))
    if not _is_selector(text[i]) or text[i - 1 : i] != before:
        return False
    return _takes_joiners(before) or after == _KEYCAP


def _is_inside_word(text: str, i: int) -> bool:
    """Whether a mark of the direction is between letters that are read from left to
    right, or among so many others that nothing visible is near."""
    before, after = _sides(text, i)
    if not before or not after:
        is_end = i < _FARTHEST if not before else i + _FARTHEST > len(text)
        return not is_end
    sides = before, after
    return all(side.isalpha() and not _is_right_to_left(side) for side in sides)


def _sides(text: str, i: int) -> tuple[str, str]:
    """The visible characters before and after an invisible one, as far as they are
    near."""
    before = _next_visible(text, range(i - 1, i - _FARTHEST, -1))
    return before, _next_visible(text, range(i + 1, i + _FARTHEST))


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


@lru_cache(maxsize=2**16)
def _is_sign(character: str) -> bool:
    """Whether it takes joiners, or is invisible, but is no letter and no mark."""
    return is_hidden(character) or unicodedata.category(character)[0] in "SP"


def _is_emoji(character: str) -> bool:
    return character == _KEYCAP or (
        _takes_joiners(character) and unicodedata.category(character)[0] == "S"
    )


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
    if character.isascii() or character == _MICRO:
        return ""
    plain = unicodedata.normalize("NFKC", character)
    if plain == unicodedata.normalize("NFC", character):
        return ""
    return "".join(c for c in plain if c.lower() != c.upper() or c in digits)
