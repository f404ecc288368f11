"""Texts in an odd spelling throughout: their case, each letter repeated, accents on
most letters. A word or a sentence like that is ordinary, a whole text isn't."""

import math
import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, pairwise

from ..normalize import is_mark
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
# The share of capitals, where most words have some of them inside. Code has a sixth.
_LEAST_CAPITALS = 0.3
# The share of words in capitals, or with only the first letter small, in swapped case.
_LEAST_SWAPPED = 0.75
# The share of words with letters that have no case.
_MOST_CASELESS = 0.25
# The share of words of several letters in which each letter is repeated.
LEAST_REPEATED = 0.6
_LEAST_EQUAL = (
    0.8  # the share of these in which all are equally often; else it's chance
)
LONGEST_WORD = 24  # letters; longer ones are codes
# The share of letters with an accent. Vietnamese has a third.
MOST_ACCENTS = 0.55
# The share of vowels with one and the same accent.
MOST_VOWELS = 0.8
_LEAST_VOWELS = 0.25  # the share of these vowels among the letters
_VOWELS = "aeiou"
_NAME = re.compile("LATIN (SMALL|CAPITAL) LETTER ([A-Z])(?: WITH .+| BAR)")


def read_case(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Write a text in capitals in small letters, and one in swapped or
        alternating case, or with capitals at random, as well. Others stay."""
    tokens = _TOKEN.findall(text)
    words = [token for token in tokens if token.isalpha()]
    if 2 * len(words) < len(tokens):
        return  # keys and codes
    words = [word for word in words if 1 < len(word) <= LONGEST_WORD]
    n_upper = sum(map(str.isupper, "".join(words)))
    n_cased = n_upper + sum(map(str.islower, "".join(words)))
    if len(words) < _LEAST_WORDS or n_cased < LEAST_LETTERS:
        return
    n_caseless = sum(any(c.lower() == c.upper() for c in word) for word in words)
    if n_caseless >= _MOST_CASELESS * len(words):
        return  # names in capitals, among words of a script without them
    is_capital = n_upper >= MOST_CAPITALS * n_cased
    has_rises = sum(map(_count_rises, words)) >= MOST_RISES * n_cased
    if not (is_capital or has_rises or _is_random(words, n_upper / n_cased)):
        return
    # Then the first letters, which were capitals, are small: tHE.
    is_swapped = is_capital and any(map(_is_swapped, words))
    is_swapped &= not any(map(str.islower, words))
    n_swapped = sum(word.isupper() or _is_swapped(word) for word in words)
    is_swapped &= n_swapped >= _LEAST_SWAPPED * len(words)
    for word in _WORD.finditer(text):
        read = word[0].swapcase() if is_swapped else word[0].lower()
        if read != word[0] and len(read) == len(word[0]):
            yield Edit(*word.span(), read)


def _is_random(words: Sequence[str], share: float) -> bool:
    """Whether capitals, of which there is such a share, are all over the words."""
    cased = [word for word in words if word.lower() != word.upper()]
    n_mixed = sum(not (w.islower() or w.isupper() or w.istitle()) for w in cased)
    return share >= _LEAST_CAPITALS and 2 * n_mixed >= len(cased)


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
    repeated = [word for word in words if _is_repeated(word[0])]
    several = [word for word in words if len(set(word[0])) > 1]
    n_repeated = sum(len(set(word[0])) > 1 for word in repeated)
    is_throughout = n_repeated and n_repeated >= LEAST_REPEATED * len(several)
    if not is_throughout or len(repeated) < _LEAST_WORDS:
        return
    times = [_times(word[0]) for word in repeated]
    equal = [count for count in times if count > 1]
    if len(equal) >= _LEAST_EQUAL * n_repeated:
        usual: float = statistics.median_low(equal)
    else:
        lengths = [len(list(run)) for word in repeated for _, run in groupby(word[0])]
        usual, times = statistics.median(lengths), [1] * len(times)
    for word, count in zip(repeated, times, strict=True):
        is_letter = len(set(word[0])) == 1 and len(word[0]) in times
        number = count if count > 1 else len(word[0]) if is_letter else usual
        letters, offsets = _read_once(word[0], number)
        yield Edit(*word.span(), letters, [word.start() + i for i in offsets])


def _is_repeated(word: str) -> bool:
    return all(len(list(run)) > 1 for _, run in groupby(word))


def _read_once(word: str, usual: float) -> tuple[str, Sequence[int]]:
    """Write each letter of a word once; twice where there are about twice as many as
    usual. RETURNS (Tuple[str, Sequence[int]]): The letters, and the offset of each."""
    letters, offsets = list[str](), list[int]()
    start = 0
    for letter, run in groupby(word):
        size = len(list(run))
        times = max(1, int(size / usual + 0.5))
        letters += letter * times
        offsets += [start + i * size // times for i in range(times)]
        start += size
    return "".join(letters), offsets


def _times(word: str) -> int:
    """How often each letter of a word stands in a row: the greatest number of times
    that fits all of them; 1 if the word has a single letter."""
    lengths = [len(list(run)) for _, run in groupby(word)]
    return math.gcd(*lengths) if len(lengths) > 1 else 1


def drop_accents(text: str) -> list[Edit]:
    """text (str): A text, in NFKC.
    RETURNS (List[Edit]): Replace accented letters by plain ones, if most letters are
        accented."""
    if text.isascii() or not has_odd_accents(text):
        return []
    # Marks that compose with no letter are dropped, too.
    bases = (
        (i, "" if is_mark(character) else base_letter(character))
        for i, character in enumerate(text)
    )
    return [Edit(i, i + 1, base) for i, base in bases if base is not None]


def has_odd_accents(text: str) -> bool:
    """text (str): A text.
    RETURNS (bool): Whether more of its letters are accented than in any language."""
    accented = list(filter(is_accented, set(text)))
    n_accented = sum(map(text.count, accented))
    if n_accented < LEAST_LETTERS:
        return False
    if n_accented >= MOST_ACCENTS * sum(map(str.isalpha, text)):
        return True
    return _has_accented_vowels(text, accented)


def _has_accented_vowels(text: str, accented: Sequence[str]) -> bool:
    """Whether nearly all vowels have an accent, and nearly all of them the same."""
    counts: Counter[str] = Counter()
    for character in accented:
        if str(base_letter(character)).lower() in _VOWELS:
            counts[_accent(character)] += text.count(character)
    n_vowels = counts.total() + sum(map(text.count, _VOWELS + _VOWELS.upper()))
    n_same = max(counts.values(), default=0)
    if n_same < _LEAST_VOWELS * sum(map(str.isalpha, text)):
        return False  # other letters may be vowels in disguise
    return n_same >= max(LEAST_LETTERS, MOST_VOWELS * n_vowels)


def _accent(character: str) -> str:
    """What is added to a letter, by its name."""
    return unicodedata.name(character, "").partition(" WITH ")[2]


def is_accented(character: str) -> bool:
    """character (str): One character.
    RETURNS (bool): Whether it counts as accented. The `đ` of Vietnamese doesn't: with
        it, half of the letters of a sentence can have an accent."""
    return character not in "đĐ" and base_letter(character) is not None


@lru_cache(maxsize=2**16)
def base_letter(character: str) -> str | None:
    """character (str): One character.
    RETURNS (Optional[str]): The basic Latin letter below its accents, or with a stroke
        or a hook, if it has any."""
    if character.isascii():
        return None
    base, *marks = list(unicodedata.normalize("NFD", character))
    is_accented = bool(marks) and all(map(unicodedata.combining, marks))
    if is_accented and base.isascii() and base.isalpha():
        return base
    match = _NAME.fullmatch(unicodedata.name(character, ""))
    if match is None:
        return None
    return match[2] if match[1] == "CAPITAL" else match[2].lower()
