"""Letters of another script that look like those around them."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from functools import cache, lru_cache

from .letters import small_capitals
from .view import Edit

_WORD = re.compile(r"[^\W\d_]+")
_LEAST_LETTERS = 3  # shorter words are units, such as \u03bcV
_MOST_LETTERS = 24  # in one script that look like Latin by chance, in any language
ALMOST_ALL = 4  # letters of words that look like Latin to each of those that don't
LATIN = "LATIN"
_SYMBOLS = "GREEK"  # its letters alone are also symbols and units: TNF-\u03b1, \u03bcm
# What people write Latin letters with, though Unicode sees no likeness to these: the
# palochka as in "apple" written in Cyrillic, the letter ze, and the D and K of Lisu
# that are upside down.
_WRITTEN = {"\u04cf": "l", "\u0437": "z", "\u0417": "Z"}
_WRITTEN |= {"\ua4f7": "D", "\ua4d8": "K"}


@dataclass
class _Words:
    """The words of a text with letters of other scripts than Latin, and how many
    letters the words of each kind have."""

    mixed: list[tuple[re.Match[str], Counter[str]]] = field(default_factory=list)
    # Those that look like Latin in one script, or too short, and their scripts.
    alike: list[Edit] = field(default_factory=list)
    scripts: set[str] = field(default_factory=set)
    is_telling: bool = False  # whether one that looks like Latin is no symbol or unit
    n_latin: int = 0
    n_mixed: int = 0
    n_alike: int = 0
    n_unlike: int = 0

    @property
    def look_latin(self) -> bool:
        """RETURNS (bool): Whether words in one script are Latin in disguise: almost
        all of them look like Latin, and that can't be chance."""
        if self.n_mixed + self.n_alike < ALMOST_ALL * self.n_unlike:
            return False
        if not self.is_telling:
            return False
        return (
            self.n_latin + self.n_mixed > self.n_alike
            or self.n_mixed + self.n_alike >= _MOST_LETTERS
            or len(self.scripts) > 1
        )

    @property
    def is_foreign(self) -> bool:
        """RETURNS (bool): Whether most of the text can't be Latin."""
        return self.n_unlike > self.n_latin + self.n_mixed


def read_lookalikes(text: str) -> list[Edit]:
    """text (str): A text, in NFKC.
    RETURNS (List[Edit]): Words that mix scripts, in a single one, if every letter of
        another script looks like one of it. Words in one script stay, except in a
        text in which almost all of them look like Latin, and which has Latin words, or
        letters of several scripts, or is long enough that this can't be chance."""
    if text.isascii():
        return []
    words = _sort(text)
    edits = []
    for word, scripts in words.mixed:
        targets = [LATIN, *(name for name, _ in scripts.most_common(2))]
        if words.is_foreign:
            targets.sort(key=lambda name: (-scripts[name], name == LATIN))
        read = next(filter(None, (_read_word(word[0], name) for name in targets)), None)
        if read is not None:
            edits.append(Edit(*word.span(), read))
    return sorted(edits + words.alike) if words.look_latin else edits


def _sort(text: str) -> _Words:
    words = _Words()
    for word in _WORD.finditer(text):
        n_letters = len(word[0])
        scripts = Counter() if word[0].isascii() else _scripts(word[0])
        if not scripts or scripts.keys() == {LATIN}:
            words.n_latin += n_letters
            continue
        is_mixed = len(scripts) > 1 and n_letters >= _LEAST_LETTERS
        if is_mixed:
            words.mixed.append((word, scripts))
        read = _read_word(word[0], LATIN)
        if read is None:
            words.n_unlike += n_letters
            continue
        words.scripts |= scripts.keys() - {LATIN}
        words.is_telling |= n_letters >= _LEAST_LETTERS or _SYMBOLS not in scripts
        if is_mixed:
            words.n_mixed += n_letters
        else:
            words.n_alike += n_letters
            words.alike.append(Edit(*word.span(), read))
    return words


def _scripts(word: str) -> Counter[str]:
    return Counter(name for name in map(script, word) if name is not None)


def _read_word(word: str, target: str) -> str | None:
    letters: list[str] = []
    for character in word:
        letter: str | None = character
        if script(character) not in (target, None):
            letter = lookalike(character, target)
        if letter is None:
            return None
        letters.append(letter)
    return "".join(_read_bars(word, letters))


def _read_bars(word: str, letters: list[str]) -> list[str]:
    """Tell I from l: a capital I is like a small l everywhere. In a word in capitals,
    it's an I. Elsewhere it's an l, but at the beginning of a word only before another
    one that is."""
    if "l" not in letters:
        return letters
    bars = [a != b == "l" for a, b in zip(word, letters, strict=True)]
    if "".join(letters).replace("l", "").isupper():  # also of a script without case
        return ["I" if is_bar else b for is_bar, b in zip(bars, letters, strict=True)]
    read = letters.copy()
    is_after_small = False
    for i, character in enumerate(word):
        if not bars[i]:
            is_after_small = letters[i].islower()
        elif character.isupper() and not is_after_small:
            read[i] = "I"
    n_first = next(i for i, is_bar in enumerate([*bars, False]) if not is_bar)
    is_l = [is_bar and b == "l" for is_bar, b in zip(bars, read, strict=True)]
    if n_first > 1 or any(is_l[n_first:]):
        read[:n_first] = "l" * n_first
    return read


@lru_cache(maxsize=2**16)
def script(character: str) -> str | None:
    """character (str): One character.
    RETURNS (Optional[str]): The script of a letter; None for other characters, also
        for those that modify letters, most of which several scripts have."""
    category = unicodedata.category(character)
    if category[0] != "L" or category == "Lm":
        return None
    return unicodedata.name(character, "").partition(" ")[0]


@lru_cache(maxsize=2**14)
def lookalike(character: str, target: str) -> str | None:
    """character (str): A letter.
    target (str): A script, as from `script`.
    RETURNS (Optional[str]): The letter of the script that looks most like it."""
    found = _candidates(character, target)
    if not found:
        # Small letters that are the capitals in another size: U+043A, as U+041A.
        capital = character.upper()
        if capital != character and len(capital) == 1:
            found = [letter.lower() for letter in _candidates(capital, target)]
    same_case = [c for c in found if c.isupper() == character.isupper()]
    return min(same_case or found, key=lambda c: (not c.isascii(), c), default=None)


def _candidates(character: str, target: str) -> list[str]:
    """The letters of a script that look like a letter: of Latin, the basic ones."""
    if target == LATIN and character in _WRITTEN:
        return [_WRITTEN[character]]
    found = []
    for entry in _confusables().get(character, ()):
        letter = small_capitals().get(entry["c"], entry["c"])
        is_basic = letter.isascii() or target != LATIN
        is_plain = unicodedata.is_normalized("NFKC", letter)
        if len(letter) == 1 and is_basic and is_plain and script(letter) == target:
            found.append(letter)
    return found


@cache
def _confusables() -> dict[str, list[dict[str, str]]]:
    """Unicode's confusables (Technical Standard 39)."""
    # Loaded when first needed: it takes a tenth of a second.
    from confusable_homoglyphs.confusables import confusables_data

    return confusables_data
