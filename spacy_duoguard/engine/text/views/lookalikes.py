"""Letters of another script that look like those around them."""

import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache

from .letters import small_capitals
from .view import Edit

_WORD = re.compile(r"[^\W\d_]+")
_LEAST_LETTERS = 3  # shorter words are units, such as \u03bcV
_MOST_LETTERS = 24  # that look like Latin by chance
LATIN = "LATIN"


def read_lookalikes(text: str) -> list[Edit]:
    """text (str): A text, in NFKC.
    RETURNS (List[Edit]): Words that mix scripts, in a single one, if every letter of
        another script looks like one of it. Words in one script stay, except in a
        text in which all of them look like Latin, and which has Latin words or is long
        enough that this can't be chance."""
    if text.isascii() or len({script(character) for character in set(text)}) < 2:
        return []
    mixed, foreign = list[Edit](), list[Edit]()
    is_latin, n_latin = True, 0
    for word in _WORD.finditer(text):
        scripts = Counter() if word[0].isascii() else _scripts(word[0])
        if not scripts or scripts.keys() == {LATIN}:
            n_latin += len(word[0])
            continue
        targets = (LATIN, *(name for name, _ in scripts.most_common(2)))
        if len(scripts) == 1:
            targets = (LATIN,)
        read = next(filter(None, (_read_word(word[0], name) for name in targets)), None)
        if read is None:
            is_latin = False
        elif len(scripts) > 1 and len(read) >= _LEAST_LETTERS:
            mixed.append(Edit(*word.span(), read))
        else:
            foreign.append(Edit(*word.span(), read))
    if not is_latin:
        return mixed
    # In any language, so many letters include one that looks like none of Latin.
    n_foreign = sum(len(edit.text) for edit in foreign)
    n_latin += sum(len(edit.text) for edit in mixed)
    if n_latin <= n_foreign < _MOST_LETTERS:
        return mixed
    return sorted(mixed + foreign)


def _scripts(word: str) -> Counter[str]:
    return Counter(name for name in map(script, word) if name is not None)


def _read_word(word: str, target: str) -> str | None:
    letters = []
    for character in word:
        letter: str | None = character
        if script(character) not in (target, None):
            letter = lookalike(character, target)
        if letter is None:
            return None
        letters.append(letter)
    return "".join(letters)


@lru_cache(maxsize=2**16)
def script(character: str) -> str | None:
    """character (str): One character.
    RETURNS (Optional[str]): The script of a letter with upper and lower case, or of one
        that looks like such; None for other characters."""
    if unicodedata.category(character)[0] != "L":
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
    found = []
    for entry in _confusables().get(character, ()):
        letter = small_capitals().get(entry["c"], entry["c"])
        is_basic = letter.isascii() or target != LATIN
        if len(letter) == 1 and is_basic and script(letter) == target:
            found.append(letter)
    return found


@cache
def _confusables() -> dict[str, list[dict[str, str]]]:
    """Unicode's confusables (Technical Standard 39)."""
    # Loaded when first needed: it takes a tenth of a second.
    from confusable_homoglyphs.confusables import confusables_data

    return confusables_data
