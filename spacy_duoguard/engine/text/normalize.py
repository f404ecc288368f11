"""Plain characters: NFKC without invisible ones, and single spaces, with the offset in
the text that each character comes from.

    text    H U+200B a t e ⎵ ⎵ y o u      (zero-width space, fullwidth letters, spaces)
    plain   H a t e ⎵ y o u
"""

import re
import sys
import unicodedata
from array import array
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby

import numpy as np

# Unicode's property Default_Ignorable_Code_Point, where the general category isn't Cf:
# the grapheme joiner, Hangul fillers, Khmer and Mongolian selectors, variation
# selectors with the code points reserved for them, and the plane of the tag characters.
_IGNORABLE = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2065, 0x2065),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFF8),
        (0xE0000, 0xE0FFF),
    )
    for code in range(first, last + 1)
)

# Vowels and finals, which compose with the Hangul before them.
_JAMO = frozenset(map(chr, (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))))

_SPACES = re.compile(r"\s{2,}|[^\S \n]")
_LINE_BREAK = re.compile("[\n\r]")

# Python sorts the marks of one letter by insertion: a million of them would take days.
_MOST_MARKS = 32


def compose(text: str) -> tuple[str, np.ndarray]:
    """Make all visible characters plain, in time and memory linear in the length.

    text (str): Any text.
    RETURNS (Tuple[str, ndarray]): NFKC of the text without characters of the categories
        Cf and Cc (whitespace excepted) and default ignorable ones (Unicode Standard
        Annex 44), and for each of its characters the offset it comes from, and last the
        length of the text.
    """
    odd = [character for character in set(text) if not _is_plain(character)]
    return _rewrite(text, odd) if odd else (text, np.arange(len(text) + 1))


def _rewrite(text: str, odd: list[str]) -> tuple[str, np.ndarray]:
    """text (str): The text. odd (List[str]): Its characters that aren't plain.
    RETURNS (Tuple[str, ndarray]): NFKC of the visible characters, and its `starts`."""
    parts: list[str] = []
    starts = array("q")
    done = 0
    for run in re.finditer(f"[{re.escape(''.join(odd))}]+", text):
        # The run can begin with marks that belong to the letter before it.
        first = max(run.start() - 1, 0)
        parts.append(text[done:first])
        starts.extend(range(done, first))
        for start, cluster in _clusters(text, first, run.end()):
            parts.append(_nfkc(cluster))
            starts.extend([start] * len(parts[-1]))
        done = run.end()
    parts.append(text[done:])
    starts.extend(range(done, len(text) + 1))
    return "".join(parts), np.frombuffer(starts, dtype=np.int64)


def _clusters(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """The visible characters between two offsets, in clusters that NFKC rewrites
    independently, each with the offset at which it begins."""
    begin, cluster = start, list[str]()
    for i in range(start, end):
        if is_hidden(text[i]):
            continue
        if cluster and starts_cluster(text[i]):
            yield begin, "".join(cluster)
            cluster.clear()
        if not cluster:
            begin = i
        cluster.append(text[i])
    if cluster:
        yield begin, "".join(cluster)


def _nfkc(cluster: str) -> str:
    if len(cluster) > _MOST_MARKS:
        decomposed = "".join(unicodedata.normalize("NFKD", c) for c in cluster)
        # The canonical order: marks by class, stable within a class.
        ordered: list[str] = []
        for _, run in groupby(decomposed, lambda c: unicodedata.combining(c) > 0):
            ordered += sorted(run, key=unicodedata.combining)
        cluster = "".join(ordered)
    return unicodedata.normalize("NFKC", cluster)


def collapse_spaces(text: str) -> tuple[str, np.ndarray]:
    """text (str): Any text.
    RETURNS (Tuple[str, ndarray]): The text with each run of whitespace as a line break
        if it holds one, else as a space; and offsets as from `compose`."""
    parts: list[str] = []
    keep = np.ones(len(text) + 1, dtype=bool)
    done = 0
    for run in _SPACES.finditer(text):
        first, stop = run.span()
        parts.append(text[done:first])
        parts.append("\n" if _LINE_BREAK.search(text, first, stop) else " ")
        keep[first + 1 : stop] = False
        done = stop
    return "".join((*parts, text[done:])), np.flatnonzero(keep)


@lru_cache(maxsize=2**16)
def _is_plain(character: str) -> bool:
    """Whether a character stays as it is, whatever precedes it."""
    if is_hidden(character) or not starts_cluster(character):
        return False
    return unicodedata.normalize("NFKC", character) == character


@lru_cache(maxsize=2**16)
def is_hidden(character: str) -> bool:
    """character (str): One character.
    RETURNS (bool): Whether it's invisible: a control, format or ignorable one."""
    category = unicodedata.category(character)
    control = category == "Cc" and not character.isspace()
    return control or category == "Cf" or character in _IGNORABLE


@lru_cache(maxsize=2**16)
def starts_cluster(character: str) -> bool:
    """character (str): One character.
    RETURNS (bool): Whether no normalization joins it to the character before it."""
    first = unicodedata.normalize("NFKD", character)[0]
    return not unicodedata.combining(first) and first not in _followers()


@cache
def _followers() -> frozenset[str]:
    """The characters that compose with the one before them."""
    followers = set(_JAMO)
    for code in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            followers.add(chr(int(parts[1], 16)))
    return frozenset(followers)


@lru_cache(maxsize=2**16)
def is_mark(character: str) -> bool:
    """character (str): One character.
    RETURNS (bool): Whether it's a mark for any script, not one of a script's own."""
    is_any = unicodedata.category(character) in ("Mn", "Me")
    return is_any and unicodedata.name(character, "").startswith("COMBINING ")
