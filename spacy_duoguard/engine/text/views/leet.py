"""Digits and signs inside words that read as letters: h4te, k1ll, $h!t."""

import re
from collections.abc import Iterator, Sequence

from .view import Edit

_LETTERS = dict(zip("0123456789@$!", "oizeasgtbgasi", strict=True))
_COMMON = "013457@$!"  # those that are read anywhere

_TOKEN = re.compile(r"(?<![^\W_])(?:[^\W_]|[@$!](?=[^\W_@$!]|[$]))+[$]*")
SIGN_INSIDE = re.compile(rf"(?<=[^\W\d_])([{_COMMON}])\1?(?=[^\W\d_])")
_DOMAIN = re.compile(r"\.\w")
_LEAST_LETTERS = 2
_LONGEST_WORD = 16  # longer ones are keys and codes

# Where this many words, and this share of all, mix letters and digits, digits are
# letters in all words.
LEAST_WORDS = 3
LEAST_SHARE = 0.3
_LEAST_INSIDE = 1 / 8  # the share of these with a digit between letters
_LEAST_INSIDE_CAPITALS = 0.4  # the same for words in capitals
_LONGEST_NUMBER = 3  # digits; longer ones aren't words
_VOWELS = "aeiouyAEIOUY"
_LIKE_ONE = ("i", "I")  # which hardly ever stands beside another one
_BEFORE_L = "bcfgkpsBCFGKPS"


def read_digits(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace digits and signs inside words by the letters that they look
        like. Numbers, and names such as mp3, covid19 or H2O, stay, except in texts that
        are written like this throughout."""
    if not SIGN_INSIDE.search(text):
        return
    tokens = list(_TOKEN.finditer(text))
    words = [token[0] for token in tokens]
    is_capital = _is_capital_style(words)
    is_style = is_capital or _is_style(words)
    for token in tokens:
        if "@" in token[0] and _DOMAIN.match(text, token.end()):
            continue  # an address
        word = _read_all(token[0], is_capital) if is_style else _read_inside(token[0])
        if word is not None and word != token[0]:
            yield Edit(*token.span(), word)


def _is_style(tokens: Sequence[str]) -> bool:
    """Whether a text is written with digits for letters throughout. Names in capitals
    have digits, too."""
    mixed = [t for t in tokens if any(map(str.isdigit, t)) and any(map(str.islower, t))]
    n_inside = sum(SIGN_INSIDE.search(token) is not None for token in tokens)
    least = max(LEAST_WORDS, LEAST_SHARE * len(tokens))
    return len(mixed) >= least and n_inside >= _LEAST_INSIDE * len(mixed)


def _is_capital_style(tokens: Sequence[str]) -> bool:
    """The same for a text in capitals. Names and codes seldom have digits between
    letters."""
    mixed = [t for t in tokens if any(map(str.isdigit, t)) and t.isupper()]
    n_inside = sum(SIGN_INSIDE.search(token) is not None for token in mixed)
    letters = "".join(mixed)
    return (
        len(mixed) >= max(LEAST_WORDS, LEAST_SHARE * len(tokens))
        and n_inside >= _LEAST_INSIDE_CAPITALS * len(mixed)
        and 2 * sum(map(str.isalpha, letters)) > len(letters)
    )


def _read_inside(token: str) -> str | None:
    """None for a token that stays."""
    if len(token) > _LONGEST_WORD:
        return None
    n_letters = sum(map(str.isalpha, token))
    if n_letters < _LEAST_LETTERS or (token.isupper() and n_letters == _LEAST_LETTERS):
        return None
    word = SIGN_INSIDE.sub(_replace, token)
    if word == token or any(map(str.isdigit, word)):
        return None
    return word.replace("$", "s")


def _replace(match: re.Match[str]) -> str:
    before, after = match.string[match.start() - 1], match.string[match.end()]
    is_first = match.start() == 1
    if before.isupper() != after.isupper() and not (is_first and before.isupper()):
        return match[0]  # as in iPhone5S: two words
    read = _ones(match) if match[1] == "1" else "".join(map(_letter, match[0]))
    return read.upper() if before.isupper() and after.isupper() else read


def _read_all(token: str, is_capital: bool) -> str:
    if len(token) > _LONGEST_NUMBER and token.isdigit():
        return token
    letters = "".join(c if c == "1" else _letter(c) for c in token)
    word = re.sub("1+", _ones, letters)
    return word.upper() if is_capital else word


def _letter(character: str) -> str:
    return _LETTERS.get(character, character)


def _ones(match: re.Match[str]) -> str:
    """Read the 1 as an i or an l, whichever fits between the letters around it."""
    start, end = match.span()
    before = match.string[start - 1] if start else ""
    after = match.string[end : end + 1]
    if len(match[0]) > 1:
        double = "ll" if before else "li"
        return double if len(match[0]) == 2 else "ill"
    is_vowel = after != "" and after in _VOWELS
    if not before:
        is_l = is_vowel
    elif before in _VOWELS:
        is_l = is_vowel or not after or before in _LIKE_ONE
    else:
        is_l = (is_vowel and before in _BEFORE_L) or after in _LIKE_ONE
    return "l" if is_l else "i"
