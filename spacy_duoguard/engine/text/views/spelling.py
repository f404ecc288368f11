"""Texts in an odd spelling throughout: their case, each letter repeated, accents on
most letters. A word or a sentence like that is ordinary, a whole text isn't."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby, pairwise

from .view import Edit

_WORD = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(r"[^\W_]+")

# Letters and words, below which a text is too short to be written in a style.
LEAST_LETTERS = 8
_LEAST_WORDS = 3
# The share of capitals. Plain text has a twentieth, a heading a fifth.
MOST_CAPITALS = 0.6
# The share of letters that are small before a capital in the same word.
MOST_RISES = 0.2
# The share of words in which each letter is repeated.
_LEAST_REPEATED = 0.6
_MOST_TIMES = 9
LONGEST_WORD = 24  # letters; longer ones are codes
# The share of letters with an accent. Vietnamese has a third.
MOST_ACCENTS = 0.55


def read_case(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Write a text in capitals in small letters, and one in swapped or
        alternating case as well. Others stay."""
    tokens = _TOKEN.findall(text)
    words = [token for token in tokens if token.isalpha()]
    if 2 * len(words) < len(tokens):
        return  # keys and codes
    words = [word for word in words if 1 < len(word) <= LONGEST_WORD]
    n_upper = sum(map(str.isupper, "".join(words)))
    n_cased = n_upper + sum(map(str.islower, "".join(words)))
    if len(words) < _LEAST_WORDS or n_cased < LEAST_LETTERS:
        return
    is_capital = n_upper >= MOST_CAPITALS * n_cased
    if not is_capital and sum(map(_count_rises, words)) < MOST_RISES * n_cased:
        return
    # Then the first letters, which were capitals, are small: tHE.
    is_swapped = is_capital and any(map(_is_swapped, words))
    is_swapped &= not any(map(str.islower, words))
    for word in _WORD.finditer(text):
        read = word[0].swapcase() if is_swapped else word[0].lower()
        if read != word[0] and len(read) == len(word[0]):
            yield Edit(*word.span(), read)


def _count_rises(word: str) -> int:
    return sum(a.islower() and b.isupper() for a, b in pairwise(word))


def _is_swapped(word: str) -> bool:
    return word[0].islower() and word[1:].isupper()


def read_repeats(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Write each letter once in a text that has each of them twice or more
        in a row."""
    words = [word for word in _TOKEN.finditer(text) if word[0].isalpha()]
    words = [word for word in words if len(word[0]) > 1]
    times = [_times(word[0]) for word in words]
    repeated = [count for count in times if count > 1]
    if len(repeated) < max(_LEAST_WORDS, _LEAST_REPEATED * len(words)):
        return
    step = min(repeated)
    for word, count in zip(words, times, strict=True):
        if count >= step or (count == 1 and len(set(word[0])) == 1):
            sources = range(word.start(), word.end(), step)
            yield Edit(*word.span(), word[0][::step], sources)


def _times(word: str) -> int:
    """How often each letter of a word stands in a row: the greatest number of times
    that fits all of them; 1 if the word has a single letter."""
    lengths = [len(list(run)) for _, run in groupby(word)]
    if len(lengths) == 1:
        return 1
    for count in range(min(*lengths, _MOST_TIMES), 1, -1):
        if not any(length % count for length in lengths):
            return count
    return 1


def drop_accents(text: str) -> list[Edit]:
    """text (str): A text, in NFKC.
    RETURNS (List[Edit]): Replace accented letters by plain ones, if most letters are
        accented."""
    if text.isascii() or not has_odd_accents(text):
        return []
    bases = ((i, base_letter(character)) for i, character in enumerate(text))
    return [Edit(i, i + 1, base) for i, base in bases if base is not None]


def has_odd_accents(text: str) -> bool:
    """text (str): A text.
    RETURNS (bool): Whether more of its letters are accented than in any language."""
    accented = [c for c in set(text) if base_letter(c) is not None]
    n_accented = sum(map(text.count, accented))
    if n_accented < LEAST_LETTERS:
        return False
    return n_accented >= MOST_ACCENTS * sum(map(str.isalpha, text))


@lru_cache(maxsize=2**16)
def base_letter(character: str) -> str | None:
    """character (str): One character.
    RETURNS (Optional[str]): The basic Latin letter below its accents, if it has any."""
    if character.isascii():
        return None
    base, *marks = list(unicodedata.normalize("NFD", character))
    is_accented = bool(marks) and all(map(unicodedata.combining, marks))
    return base if is_accented and base.isascii() and base.isalpha() else None
