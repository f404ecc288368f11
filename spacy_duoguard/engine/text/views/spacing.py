"""Words whose letters stand apart: h.a.t.e, h a t e."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from .view import Edit

_WORD = re.compile(r"[^\W_]+")

# The most characters between two letters of a word, and between two words.
WIDEST = 4
_WIDEST = 8

# Letters in a row: fewer are abbreviations and initials, also those in capitals.
_LEAST = 4
_LEAST_CAPITALS = 5
_LEAST_LISTED = 7  # separated by commas and the like
_LEAST_SHORT = 3  # where there are several such words

_SIGN = re.compile(r"[^\w\s]")
_LISTING = re.compile("[,;\n]")
_CHOICE = re.compile("[/|]")  # also in "a/b/c/d" and "y/n/y/n", which are no words
_LEAST_DISTINCT = 3

# Characters that are shown as blanks, though Unicode doesn't count them as spaces: the
# blank of Braille, and the fillers of Hangul.
BRAILLE_BLANK = "\u2800"
_FILLERS = "\u115f\u1160\u3164\uffa0"
_BLANKS = re.compile(
    f"(?<![{BRAILLE_BLANK}-\u28ff]){BRAILLE_BLANK}+(?![{BRAILLE_BLANK}-\u28ff])"
)
_FILLED = re.compile(f"[{_FILLERS}]+")
# Stands for spaces other than the usual ones until letters are joined.
OTHER = "\x1f"


def read_blanks(text: str) -> list[Edit]:
    """text (str): A text.
    RETURNS (List[Edit]): Replace blanks by spaces: those of Braille outside of Braille,
        and fillers where there are more of them than spaces between words."""
    patterns = [_BLANKS] if BRAILLE_BLANK in text else []
    if any(filler in text for filler in _FILLERS) and has_blanks_for_spaces(text):
        patterns.append(_FILLED)
    blanks = (blank for pattern in patterns for blank in pattern.finditer(text))
    return sorted(Edit(*b.span(), OTHER * len(b[0])) for b in blanks)


def has_blanks_for_spaces(text: str) -> bool:
    """text (str): A text.
    RETURNS (bool): Whether blanks stand between most of its words."""
    without, n_braille = _BLANKS.subn(" ", text.strip())
    without, n_fillers = _FILLED.subn(" ", without)
    words = without.split()
    n_single = sum(len(word) == 1 for word in words)
    return 2 * (n_braille + n_fillers) > len(words) > 2 * n_single


def join_letters(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Drop what separates the single letters of words. What separates the
        words stays, less the separators of the letters around it."""
    words = [word.span() for word in _WORD.finditer(text)]
    for run in _single_letters(text, words):
        gaps = [text[end:start] for (_, end), (start, _) in pairwise(run)]
        ((separator, _),) = Counter(gaps).most_common(1)
        if len(separator) > WIDEST or not _is_word(text, run, gaps, separator):
            continue
        yield from _drop_before(text, run[0][0], separator)
        for gap, ((_, start), (end, _)) in zip(gaps, pairwise(run), strict=True):
            kept = _between_words(gap, separator)
            if kept or gap == separator:
                sources = [start + i for i in kept]
                yield Edit(start, end, "".join(gap[i] for i in kept), sources)
            else:
                yield Edit(start, end, " ", [start])
        yield from _drop_after(text, run[-1][1], separator)


def _single_letters(
    text: str, words: Sequence[tuple[int, int]]
) -> Iterator[list[tuple[int, int]]]:
    """Runs of words that are single letters (or digits, which can stand for some)."""
    run: list[tuple[int, int]] = []
    for start, end in words:
        is_single = end - start == 1 and _can_be_apart(text[start])
        if run and (not is_single or start - run[-1][1] > _WIDEST):
            if len(run) >= _LEAST:
                yield run
            run = []
        if is_single:
            run.append((start, end))
    if len(run) >= _LEAST:
        yield run


def _can_be_apart(character: str) -> bool:
    """Single letters are words in scripts without upper and lower case."""
    return character.lower() != character.upper() or character in "0123456789"


def _is_word(
    text: str, run: Sequence[tuple[int, int]], gaps: Sequence[str], separator: str
) -> bool:
    """Whether letters with this separator between them are parts of words."""
    letters = [text[start] for start, _ in run]
    if 2 * sum(letter.isdigit() for letter in letters) > len(letters):
        return False
    is_listing = _LISTING.search(separator)
    is_choice = _CHOICE.search(separator)
    n_short = start = 0
    for is_same, row in groupby(gaps, lambda gap: gap == separator):
        end = start + len(list(row))
        if is_same:
            joined = letters[start : end + 1]
            if is_choice and _is_choice(joined):
                start = end
                continue
            is_capital = 2 * sum(map(str.isupper, joined)) >= len(joined)
            least = _LEAST_CAPITALS if is_capital else _LEAST
            if len(joined) >= (_LEAST_LISTED if is_listing else least):
                return True
            n_short += len(joined) >= _LEAST_SHORT and not is_capital
        start = end
    is_space = not separator.strip(" \t\r\n")
    return n_short > 1 and not (is_space or is_listing or is_choice)


def _is_choice(letters: Sequence[str]) -> bool:
    """Whether letters are a part of the alphabet, or the same few again and again."""
    codes = [ord(letter.lower()) for letter in letters]
    is_alphabet = all(b == a + 1 for a, b in pairwise(codes))
    return is_alphabet or len(set(codes)) < _LEAST_DISTINCT


def _drop_before(text: str, start: int, separator: str) -> Iterator[Edit]:
    """Drop the separator after the sign that begins the first word."""
    size = len(separator)
    sign = start - size - 1
    if sign < 0 or text[start - size : start] != separator:
        return
    if _SIGN.match(text, sign) and (not sign or text[sign - 1].isspace()):
        yield Edit(start - size, start, "")


def _drop_after(text: str, end: int, separator: str) -> Iterator[Edit]:
    """Drop the separators before the signs that end the last word."""
    size = len(separator)
    while text.startswith(separator, end) and _SIGN.match(text, end + size):
        yield Edit(end, end + size, "")
        end += size + 1


def _between_words(gap: str, separator: str) -> Sequence[int]:
    """The offsets of what stands between two words: all but the separators before each
    character."""
    kept = []
    i = 0
    while i < len(gap):
        if gap.startswith(separator, i):
            i += len(separator)
        if i < len(gap):
            kept.append(i)
        i += 1
    return kept
