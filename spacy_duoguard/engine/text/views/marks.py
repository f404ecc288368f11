"""Combining marks that no language puts there."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..normalize import is_mark
from .spelling import LEAST_LETTERS, MOST_ACCENTS, base_letter, is_accented
from .view import Edit

# Languages write a mark or two that Unicode has no composed letters for, above all on
# vowels: never on so many letters in a row, nor on so many of a text.
_LEAST_RUN = 3
_LEAST_ODD = 4
_LEAST_SHARE = 0.3
_MOST_KEPT = 0.125  # of the letters have accents of the language
_MOST_MARKS = 4  # after which they aren't composed: that takes quadratic time


@dataclass(frozen=True)
class _Cluster:
    """The marks after a character."""

    start: int
    end: int
    n_odd: int  # marks on a letter that Unicode can't compose with it
    is_line: bool  # a letter with a line through, over or under it, or in a box


def drop_marks(text: str) -> Iterator[Edit]:
    """text (str): A text without invisible characters.
    YIELDS (Edit): Drop the marks that disguise words. Marks that compose with their
        letter, and those of scripts that need them, stay."""
    marks = [character for character in set(text) if is_mark(character)]
    if not marks:
        return
    matches = re.finditer(f"[{re.escape(''.join(marks))}]+", text)
    clusters = [_read_cluster(text, *match.span()) for match in matches]
    runs = list(_runs(clusters))
    odd = [run for run in runs if _is_disguise(run)]
    n_odd = sum(cluster.n_odd > 0 for cluster in clusters)
    n_letters = sum(map(_is_cased, text)) if n_odd >= _LEAST_ODD else 0
    is_all = n_odd >= _LEAST_ODD and n_odd >= _LEAST_SHARE * n_letters
    if is_all or 2 * sum(map(len, odd)) >= len(clusters):
        odd = runs
    accents: list[Edit] = []
    if odd and _are_throughout(text, clusters):
        odd, accents = runs, list(_read_accented(text, clusters))
    marked = [Edit(c.start, c.end, "") for run in odd for c in run]
    yield from sorted([*marked, *accents])


def _are_throughout(text: str, clusters: list[_Cluster]) -> bool:
    """Whether most letters have marks, composed or not."""
    n_marked = sum(_is_cased(text[c.start - 1 : c.start]) for c in clusters)
    n_marked += sum(map(is_accented, text))
    return n_marked >= max(LEAST_LETTERS, MOST_ACCENTS * sum(map(_is_cased, text)))


def _read_accented(text: str, clusters: list[_Cluster]) -> Iterator[Edit]:
    """Drop the accents that are marks of the disguise, composed with their letter: then
    no other mark is on it. Others belong to the language, if they are few."""
    bases = {i: base_letter(character) for i, character in enumerate(text)}
    accented = {i: base for i, base in bases.items() if base is not None}
    kept = accented.keys() & {cluster.start - 1 for cluster in clusters}
    if len(kept) > _MOST_KEPT * sum(map(_is_cased, text)):
        kept = set()
    for i, base in accented.items():
        if i not in kept:
            yield Edit(i, i + 1, base)


def _read_cluster(text: str, start: int, end: int) -> _Cluster:
    base = text[start - 1 : start]
    if not base or not _is_cased(base):
        has_line = base.isalpha() and any(map(_is_line, text[start:end]))
        return _Cluster(start, end, 0, has_line)
    n_odd = end - start
    if n_odd <= _MOST_MARKS:
        composed = unicodedata.normalize("NFC", text[start - 1 : end])
        n_odd = sum(map(is_mark, composed))
    return _Cluster(start, end, n_odd, any(map(_is_line, text[start:end])))


def _runs(clusters: list[_Cluster]) -> Iterator[list[_Cluster]]:
    """The clusters of characters that follow each other."""
    run: list[_Cluster] = []
    for cluster in clusters:
        if run and cluster.start != run[-1].end + 1:
            yield run
            run = []
        run.append(cluster)
    if run:
        yield run


def _is_disguise(run: list[_Cluster]) -> bool:
    if any(cluster.is_line or cluster.n_odd > 1 for cluster in run):
        return True
    return len(run) >= _LEAST_RUN and sum(cluster.n_odd for cluster in run) > 1


@lru_cache(maxsize=2**16)
def _is_line(character: str) -> bool:
    name = unicodedata.name(character, "")
    return name.endswith(("LINE", "OVERLAY")) or "ENCLOSING" in name


def _is_cased(character: str) -> bool:
    return character.lower() != character.upper()
