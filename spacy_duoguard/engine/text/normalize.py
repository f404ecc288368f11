"""A second view of a text: what it reads like without characters that hide words.

    raw   H U+200B a t e ⎵ ⎵ y o u      (zero-width space, fullwidth letters, spaces)
    view  H a t e ⎵ y o u

It is NFKC (fullwidth, circled, mathematical and other styled letters become plain ones,
marks join their letters) of the text without what has no shape of its own, and with
each run of white space as one character. Look-alikes of other scripts stay.
"""

import re
import sys
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import groupby

import numpy as np

# Unicode's property Default_Ignorable_Code_Point, as far as its general category is not
# Cf: the grapheme joiner, Hangul fillers, Khmer and Mongolian selectors, variation
# selectors, what is reserved for more of them, and the plane of the tag characters.
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

_SPACES = re.compile(r"\s{2,}")
_LINE_BREAK = re.compile("[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")

# Python sorts the marks of one letter by insertion: a million of them would take days.
_MOST_MARKS = 32


@dataclass(frozen=True)
class Normalized:
    """The second view of a text, aligned with it."""

    text: str
    # (len(text) + 1,) int64: where in the original each character comes from, never
    # falling, from 0 to the length of the original.
    starts: np.ndarray

    @cached_property
    def ends(self) -> np.ndarray:
        """RETURNS (ndarray): (len(text),), where in the original each character ends,
        with what was dropped behind it. Those that come from the same place share all
        of it."""
        following = np.searchsorted(self.starts, self.starts[:-1], side="right")
        return self.starts[following]

    def place(self, start: int, stop: int) -> tuple[int, int]:
        """Where a stretch of the view lies in the original, with what was dropped
        behind each of its characters.

        start (int): Its first character.
        stop (int): One after its last character, greater than `start`.
        RETURNS (Tuple[int, int]): Character offsets into the original.
        """
        return int(self.starts[start]), int(self.ends[stop - 1])


def normalize(text: str) -> Normalized:
    """The second view, in time and memory linear in the length of the text.

    text (str): Any text.
    RETURNS (Normalized): Its view. NFKC, without characters of the categories Cf and
        Cc (white space apart) and default ignorable ones (Unicode Standard Annex 44),
        runs of white space as one line break if they hold one, else as one space.
    """
    odd = [character for character in set(text) if not _is_plain(character)]
    view, starts = _rewrite(text, odd) if odd else (text, np.arange(len(text) + 1))
    view, starts = _collapse(view, starts)
    if view:  # what was dropped before the first character belongs to it
        starts = np.where(starts == starts[0], 0, starts)
    return Normalized(view, starts)


def _rewrite(text: str, odd: list[str]) -> tuple[str, np.ndarray]:
    """text (str): The text. odd (List[str]): Its characters that are not plain.
    RETURNS (Tuple[str, ndarray]): NFKC of what is not hidden, and its `starts`."""
    parts: list[str] = []
    starts = array("q")
    done = 0
    for run in re.finditer(f"[{re.escape(''.join(odd))}]+", text):
        # The character before it can be the letter of the marks that begin the run.
        first = max(run.start() - 1, 0)
        parts.append(text[done:first])
        starts.extend(range(done, first))
        for place, cluster in _clusters(text, first, run.end()):
            parts.append(_nfkc(cluster))
            starts.extend([place] * len(parts[-1]))
        done = run.end()
    parts.append(text[done:])
    starts.extend(range(done, len(text) + 1))
    return "".join(parts), np.frombuffer(starts, dtype=np.int64)


def _clusters(text: str, first: int, stop: int) -> Iterator[tuple[int, str]]:
    """The visible characters of a stretch, with their places, in pieces that NFKC
    rewrites independently of each other."""
    place, cluster = first, list[str]()
    for i in range(first, stop):
        if _is_hidden(text[i]):
            continue
        if cluster and _begins(text[i]):
            yield place, "".join(cluster)
            cluster.clear()
        if not cluster:
            place = i
        cluster.append(text[i])
    if cluster:
        yield place, "".join(cluster)


def _nfkc(cluster: str) -> str:
    if len(cluster) > _MOST_MARKS:
        apart = "".join(unicodedata.normalize("NFKD", c) for c in cluster)
        # The canonical order: marks by class, those of one class as they came.
        ordered: list[str] = []
        for _, run in groupby(apart, lambda c: unicodedata.combining(c) > 0):
            ordered += sorted(run, key=unicodedata.combining)
        cluster = "".join(ordered)
    return unicodedata.normalize("NFKC", cluster)


def _collapse(text: str, starts: np.ndarray) -> tuple[str, np.ndarray]:
    """Make each run of white space one character."""
    parts: list[str] = []
    keep = np.ones(len(starts), dtype=bool)
    done = 0
    for run in _SPACES.finditer(text):
        first, stop = run.span()
        parts.append(text[done:first])
        parts.append("\n" if _LINE_BREAK.search(text, first, stop) else " ")
        keep[first + 1 : stop] = False
        done = stop
    return "".join((*parts, text[done:])), starts[keep]


@lru_cache(maxsize=2**16)
def _is_plain(character: str) -> bool:
    """Whether it stays as it is, whatever stands before it."""
    if _is_hidden(character) or not _begins(character):
        return False
    return unicodedata.normalize("NFKC", character) == character


@lru_cache(maxsize=2**16)
def _is_hidden(character: str) -> bool:
    category = unicodedata.category(character)
    control = category == "Cc" and not character.isspace()
    return control or category == "Cf" or character in _IGNORABLE


@lru_cache(maxsize=2**16)
def _begins(character: str) -> bool:
    """Whether it never joins the character before it."""
    first = unicodedata.normalize("NFKD", character)[0]
    return not unicodedata.combining(first) and first not in _followers()


@cache
def _followers() -> frozenset[str]:
    """The characters that compose with the one before them."""
    found = set(_JAMO)
    for code in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            found.add(chr(int(parts[1], 16)))
    return frozenset(found)
