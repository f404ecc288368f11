"""Letters in another shape: decorative alphabets, small capitals, upside-down letters.

Fullwidth, mathematical and circled letters aren't here: NFKC knows them."""

import re
import unicodedata
from collections.abc import Container, Iterator
from functools import cache, lru_cache
from string import ascii_letters, ascii_lowercase, ascii_uppercase

from .spelling import base_letter
from .view import Edit

# Symbols that show a letter. Those that only have capitals are read as small letters.
_SYMBOL = re.compile(
    r"(REGIONAL INDICATOR SYMBOL|(?:CROSSED |NEGATIVE )*(?:CIRCLED|SQUARED) LATIN "
    r"CAPITAL|(?:PARENTHESIZED|SQUARED) LATIN SMALL|PARENTHESIZED LATIN CAPITAL)"
    r" LETTER ([A-Z])"
)
_REGIONS = re.compile("[\U0001f1e6-\U0001f1ff]+")
_FLAG = 2  # regional indicators that make the flag of a country

_WORD = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(r"\S+")

_LEAST_TURNED = 3
_LEAST_SMALL = 2
_PHONETIC = "\u026a\u028f\u029f\u0274\u0280\u0262\u0299\u029c"  # of the IPA

# Upside-down letters whose Unicode name says something else, by what they stand for.
_LOOKS_TURNED = {
    **{"f": "\u025f", "g": "\u0183", "i": "\u1d09", "j": "\u027e", "A": "\u2200"},
    **{
        "B": "\u15fa",
        "D": "\u15e1",
        "E": "\u018e",
        "K": "\u22ca",
        "L": "\u02e5",
    },
    **{"P": "\u0500", "T": "\u22a5\u2534", "U": "\u2229", "V": "\u0245", "&": "\u214b"},
}
# The same, but letters of living languages: they alone don't make a word upside down.
_MAY_BE_TURNED = {
    **{"c": "\u0254", "g": "\u0253", "i": "\u0131", "l": "\u0283", "C": "\u0186"},
    **{"J": "\u017f", "V": "\u039b", "1": "\u0196", "2": "\u1105", "3": "\u0190"},
    **{"4": "\u3123", "5": "\u03db", "7": "\u3125"},
    **{"B": "\ua4ed", "D": "\ua4f7", "K": "\ua4d8"},
}
_TURNED_NAMES = (
    ("LATIN SMALL LETTER TURNED {}", ascii_lowercase),
    ("LATIN CAPITAL LETTER TURNED {}", ascii_uppercase),
    ("TURNED CAPITAL {}", ascii_uppercase),
    ("TURNED SANS-SERIF CAPITAL {}", ascii_uppercase),
    ("LATIN LETTER SMALL CAPITAL TURNED {}", ascii_uppercase),
)
# Characters that upside down look like another one, or like themselves.
_SWAPPED = dict(
    zip(
        "nubqdpMW69()[]{}<>,'\u02d9\u00bf\u00a1\u203e\u201e",
        "unqbpdWM96)(][}{><',.?!_\"",
        strict=True,
    )
)
_SAME = "losxzHINOSXZi0158-"
_STOPS = ".!?\u02d9\u00a1\u00bf"
_ENDS = ".!?"  # also those of the sentence around upside-down words
_AFTER = ",;:)"


def read_symbols(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace each symbol that shows a letter by the letter. Flags stay."""
    shown = {c: letter for c in set(text) if (letter := shown_letter(c))}
    if not shown:
        return
    has_flags = all(len(run[0]) == _FLAG for run in _REGIONS.finditer(text))
    for match in re.finditer(f"[{''.join(shown)}]", text):
        if not (has_flags and _REGIONS.match(match[0])):
            yield Edit(*match.span(), shown[match[0]])


@lru_cache(maxsize=2**16)
def shown_letter(character: str) -> str | None:
    """character (str): One character.
    RETURNS (Optional[str]): The letter that a symbol shows."""
    if unicodedata.category(character) != "So":
        return None
    match = _SYMBOL.fullmatch(unicodedata.name(character, ""))
    if match is None:
        return None
    is_capital = match[1] == "PARENTHESIZED LATIN CAPITAL"
    return match[2] if is_capital else match[2].lower()


def read_small_capitals(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace the small capitals of words that consist of them, if one of
        the words is long enough to tell. Phonetic transcriptions, which have some
        between other letters, stay."""
    capitals = small_capitals()
    if capitals.keys().isdisjoint(text):
        return
    n_odd = sum(text.count(character) for character in capitals.keys() - {*_PHONETIC})
    words, others = list[Edit](), list[Edit]()
    longest = n_all = n_letters = 0
    for word in _WORD.finditer(text):
        n_small = sum(character in capitals for character in word[0])
        letters = [capitals.get(character, character) for character in word[0]]
        is_plain = all(c in ascii_letters or base_letter(c) for c in letters)
        n_all, n_letters = n_all + n_small, n_letters + len(letters)
        if n_small and (is_plain or n_odd >= _LEAST_SMALL):
            of_capitals = len(letters) <= 2 * n_small
            edit = Edit(*word.span(), "".join(letters))
            (words if of_capitals else others).append(edit)
            longest = max(longest, n_small if of_capitals else 0)
    if longest >= _LEAST_SMALL:
        is_whole = 2 * n_all >= n_letters
        yield from sorted(words + others) if is_whole else words


@cache
def small_capitals() -> dict[str, str]:
    """RETURNS (Dict[str, str]): Small capitals, and the letter of each."""
    return dict(_look_up("LATIN LETTER SMALL CAPITAL {}", ascii_lowercase))


def turn_letters(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Turn upside-down words around, from the last letter to the first."""
    turned, known = turned_letters(), _upside_down()
    if turned.keys().isdisjoint(text):
        return
    start = 0
    for line in text.splitlines(keepends=True):
        for first, stop in _turned_runs(line, turned, known):
            body = line[first:stop]
            read = "".join(known.get(character, character) for character in body)
            order = range(start + first, start + stop)
            is_reversed = _is_reversed(body, read, turned)
            if is_reversed:
                reading, sources = read[::-1], [*order[::-1]]
            else:
                reading, sources = read, [*order]
            if is_reversed is None:  # both
                size = len(body.rstrip(_ENDS))
                reading = f"{read[:size]} {read[:size][::-1]}{read[size:]}"
                back = order[:size][::-1]
                sources = [*order[:size], order[size - 1], *back, *order[size:]]
            yield Edit(start + first, start + stop, reading, sources)
        start += len(line)


def _is_reversed(body: str, read: str, turned: Container[str]) -> bool | None:
    """Whether upside-down words stand in the order in which they are seen when the page
    is turned. Signs that end a sentence tell, and capitals, which begin words: those at
    the beginning of a word only if it has upside-down letters, as "Hi" may stand there
    as it is. None if there is neither, for several words, or for one at the end of a
    sentence, whose sign may not belong to it. `read` is the body with its letters
    turned."""
    is_end = body[-1] in _ENDS
    tokens = [token for token in body.split() if any(c in turned for c in token)]
    for first, last in ((body[0], body[-1]), (tokens[0][0], tokens[-1][-1])):
        if first in _STOPS or (last in _STOPS and last not in _ENDS):
            return first in _STOPS
    words = [word.span() for word in _WORD.finditer(read) if len(word[0]) > 1]
    odd = [i for i, j in words if any(c in turned for c in body[i:j])]
    n_first = sum(read[i].isupper() for i in odd)
    n_first += body[0] in turned and read[:2].istitle()
    n_last = sum(read[j - 1].isupper() for _, j in words) + read[:-3:-1].istitle()
    if n_first == n_last and (len(words) > 1 or is_end):
        return None
    return n_first <= n_last


def _turned_runs(
    line: str, turned: dict[str, str], known: dict[str, str]
) -> Iterator[tuple[int, int]]:
    """Runs of words that can be read upside down, and have to be."""
    tokens = list(_TOKEN.finditer(line))
    fits = [all(c in known or _stays(c) for c in token[0]) for token in tokens]
    odd = [any(character in turned for character in token[0]) for token in tokens]
    is_whole = all(fits)
    i = 0
    while i < len(tokens):
        stop = i
        while stop < len(tokens) and fits[stop]:
            stop += 1
        first, last = i, stop
        if not is_whole:  # words like "no" at the ends can be read as they are
            while first < last and not odd[first]:
                first += 1
            while last > first and not odd[last - 1]:
                last -= 1
        if first < last:
            start, end = tokens[first].start(), tokens[last - 1].end()
            if not is_whole:
                end -= len(line[start:end]) - len(line[start:end].rstrip(_AFTER))
            body = line[start:end]
            n_turned = sum(character in turned for character in body)
            n_letters = sum(character in known for character in body)
            if n_turned >= _LEAST_TURNED and 4 * n_turned >= n_letters:
                yield start, end
        i = stop + 1


def _stays(character: str) -> bool:
    """Whether a character that looks like no other one upside down can stand there: all
    but the plain small letters, which have turned ones."""
    return not (character.isascii() and (character.islower() or character.isdigit()))


@cache
def turned_letters() -> dict[str, str]:
    """RETURNS (Dict[str, str]): Letters that only look like one upside down, and what
    they then are."""
    by_look = _by_look(_LOOKS_TURNED)
    for name, alphabet in _TURNED_NAMES:
        by_look |= _look_up(name, alphabet)
    return by_look


@cache
def _upside_down() -> dict[str, str]:
    """Everything that an upside-down text is made of."""
    symmetric = {character: character for character in _SAME}
    return symmetric | _SWAPPED | _by_look(_MAY_BE_TURNED) | turned_letters()


def _by_look(table: dict[str, str]) -> dict[str, str]:
    return {look: letter for letter, looks in table.items() for look in looks}


def _look_up(name: str, alphabet: str) -> Iterator[tuple[str, str]]:
    """The characters with such a name, with the letter of each."""
    for letter in alphabet:
        try:
            yield unicodedata.lookup(name.format(letter.upper())), letter
        except KeyError:
            continue
