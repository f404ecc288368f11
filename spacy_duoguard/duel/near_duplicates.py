"""Near-duplicates, by the Jaccard similarity of the 5-grams of their words."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ..engine.text.normalize import compose
from ..engine.text.views.readings import FOLDED, readings
from ..errors import Errors, SettingsError

_N = 5  # characters of a shingle
_PERMUTATIONS = 256
_MISSES = 1e-6  # of two texts at the threshold that never meet in a bucket


def shingles(text: str) -> frozenset[str]:
    """text (str): Any text.
    RETURNS (FrozenSet[str]): The character 5-grams of its words, read as by
        `normalize`, regardless of case, width, white space, invisible characters and
        punctuation. Of a shorter text, its words."""
    line = _words(text)
    return frozenset(line[i : i + _N] for i in range(max(1, len(line) - _N + 1)))


def _words(text: str) -> str:
    """The words of a text, with a space between them. If there is nothing but
    punctuation, that."""
    views = {view.name: view.text for view in readings(text)}
    line = compose(views.get(FOLDED, text))[0].casefold()
    words = "".join(" " if _is_punctuation(c) else c for c in line).split()
    return " ".join(words or line.split())


@lru_cache(maxsize=2**16)
def _is_punctuation(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "P" or category == "Sk"  # such as ` and ^


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """one (FrozenSet[str]), other (FrozenSet[str]): Shingles of two texts.
    RETURNS (float): Their Jaccard similarity."""
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def bands_for(threshold: float) -> tuple[int, int]:
    """Choose how MinHash signatures are divided. Buckets only propose candidates, whose
    similarity is then computed, so all that matters is that none is missed.

    threshold (float): The similarity to find.
    RETURNS (Tuple[int, int]): The number of bands and of rows in each: the most rows,
        and so the fewest candidates, with which two texts of that similarity share no
        bucket at most once in a million times.
    """
    best = (_PERMUTATIONS, 1)
    for rows in range(1, 17):
        bands = _PERMUTATIONS // rows
        if (1.0 - threshold**rows) ** bands <= _MISSES:
            best = (bands, rows)
    return best


class NearDuplicates:
    """Texts that others are compared with."""

    def __init__(self, threshold: float) -> None:
        """threshold (float): The lowest similarity of near-duplicates.
        RAISES (SettingsError): The extra isn't installed."""
        try:
            from datasketch import MinHashLSH
        except ImportError as e:
            raise SettingsError(Errors.E293.format(package="datasketch")) from e
        self.threshold = threshold
        self._index = MinHashLSH(num_perm=_PERMUTATIONS, params=bands_for(threshold))
        self._sets: list[frozenset[str]] = []
        self._names: list[str] = []

    def add(self, text: str, name: str) -> None:
        """text (str): A text to compare others with.
        name (str): What it is, for `find`."""
        grams = shingles(text)
        self._index.insert(len(self._sets), _signature(grams))
        self._sets.append(grams)
        self._names.append(name)

    def extend(self, texts: Iterable[str], name: str) -> None:
        """texts (Iterable[str]), name (str): As for `add`."""
        for text in texts:
            self.add(text, name)

    def find(self, text: str) -> str | None:
        """text (str): Any text.
        RETURNS (Optional[str]): What the first near-duplicate of it is, if any."""
        grams = shingles(text)
        for i in sorted(self._index.query(_signature(grams))):
            if similarity(grams, self._sets[i]) >= self.threshold:
                return self._names[i]
        return None


def _signature(grams: frozenset[str]) -> Any:
    from datasketch import MinHash

    signature = MinHash(num_perm=_PERMUTATIONS, seed=1)
    signature.update_batch([gram.encode("utf8", "surrogatepass") for gram in grams])
    return signature
