"""Noise in the characters of a text, to learn from: nobody can list how the next text
will be disguised, so each way is general, and rates and characters are drawn anew for
each text."""

import random
import re
from collections.abc import Callable
from string import ascii_lowercase, digits, punctuation

# A way to change a text: the text, a rate in (0, 1], and where to draw from.
Noise = Callable[[str, float, random.Random], str]

_WORD = re.compile(r"[^\W\d_]+")
_RATES = (0.05, 1.0)  # of letters or words, from light to heavy
_BLOCKS = ((0xA1, 0xFF), (0x2010, 0x205E), (0x2190, 0x25FF), (0x2600, 0x27BF))
_EMOJI = (0x1F300, 0x1F64F)


def add_noise(text: str, rng: random.Random) -> str:
    """text (str): A text.
    rng (Random): Where to draw from.
    RETURNS (str): The text, changed in one to three ways."""
    for noise in rng.sample(NOISES, rng.choice((1, 1, 1, 2, 2, 3))):
        least, most = _RATES
        text = noise(text, least * (most / least) ** rng.random(), rng)
    return text


def _over_words(text: str, rewrite: Callable[[str], str]) -> str:
    return _WORD.sub(lambda word: rewrite(word[0]), text)


def _symbol(rng: random.Random) -> str:
    """Any character: a symbol, a letter, a digit, an emoji."""
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(punctuation)
    if kind < 0.8:
        return rng.choice(ascii_lowercase if kind < 0.7 else digits)
    return chr(rng.randint(*(_EMOJI if kind > 0.95 else rng.choice(_BLOCKS))))


def _source(rng: random.Random) -> Callable[[], str]:
    """Draws characters: always the same, of a few, or any."""
    few = [_symbol(rng) for _ in range(rng.choice((1, 1, 1, 2, 4)))]
    return (lambda: rng.choice(few)) if rng.random() < 0.7 else lambda: _symbol(rng)


def _some_letters(rng: random.Random) -> Callable[[str], bool]:
    """All letters, or those of a drawn part of the alphabet."""
    if rng.random() < 0.5:
        return lambda letter: True
    chosen = set(rng.sample(ascii_lowercase, rng.randint(3, 16)))
    return lambda letter: letter.lower() in chosen


def delete(text: str, rate: float, rng: random.Random) -> str:
    """Leave out letters."""
    is_some, first = _some_letters(rng), rng.random() < 0.5

    def rewrite(word: str) -> str:
        kept = [
            letter
            for i, letter in enumerate(word)
            if (first and not i) or not is_some(letter) or rng.random() > rate * 0.7
        ]
        return "".join(kept)

    return _over_words(text, rewrite)


def insert(text: str, rate: float, rng: random.Random) -> str:
    """Add characters before letters, after them, or around them."""
    is_some = _some_letters(rng)
    before, after = rng.choice(((1, 0), (0, 1), (1, 1)))
    left, right = _source(rng), _source(rng)
    once = rng.random() < 0.3

    def rewrite(word: str) -> str:
        at = rng.randrange(len(word)) if once else -1
        letters = []
        for i, letter in enumerate(word):
            if i == at if once else is_some(letter) and rng.random() < rate:
                letter = left() * before + letter + right() * after
            letters.append(letter)
        return "".join(letters)

    return _over_words(text, rewrite)


def replace(text: str, rate: float, rng: random.Random) -> str:
    """Write another character for letters: a drawn one for each letter of the
    alphabet, or any."""
    is_some, draw = _some_letters(rng), _source(rng)
    table = {letter: draw() for letter in ascii_lowercase}
    fixed, once = rng.random() < 0.4, rng.random() < 0.3

    def rewrite(word: str) -> str:
        at = rng.randrange(len(word)) if once else -1
        letters = list(word)
        for i, letter in enumerate(letters):
            if i == at if once else is_some(letter) and rng.random() < rate * 0.5:
                letters[i] = table.get(letter.lower(), letter) if fixed else draw()
        return "".join(letters)

    return _over_words(text, rewrite)


def transpose(text: str, rate: float, rng: random.Random) -> str:
    """Exchange letters that are near each other."""
    reach, ends = rng.randint(1, 4), rng.choice((0, 0, 1))

    def rewrite(word: str) -> str:
        letters = list(word)
        for i in range(ends, len(letters) - 1 - ends):
            if rng.random() < rate:
                j = min(i + rng.randint(1, reach), len(letters) - 1 - ends)
                letters[i], letters[j] = letters[j], letters[i]
        return "".join(letters)

    return _over_words(text, rewrite)


def repeat(text: str, rate: float, rng: random.Random) -> str:
    """Repeat letters."""
    is_some, most = _some_letters(rng), rng.randint(2, 5)

    def rewrite(word: str) -> str:
        return "".join(
            letter * rng.randint(2, most)
            if is_some(letter) and rng.random() < rate
            else letter
            for letter in word
        )

    return _over_words(text, rewrite)


def rotate(text: str, rate: float, rng: random.Random) -> str:
    """Move the first or last letters of words to their other end, or turn words round,
    and perhaps add the same letters to each."""
    added = "".join(rng.choice(ascii_lowercase) for _ in range(rng.choice((0, 1, 2))))
    most, turned, in_front = rng.randint(0, 3), rng.random() < 0.2, rng.random() < 0.3

    def rewrite(word: str) -> str:
        if rng.random() > max(rate, 0.3):
            return word
        size = rng.randint(min(1, most), most) if most else 0
        moved = word[::-1] if turned else word[size:] + word[:size]
        return added + moved if in_front else moved + added

    return _over_words(text, rewrite)


def split(text: str, rate: float, rng: random.Random) -> str:
    """Divide words."""
    draw = _source(rng) if rng.random() < 0.5 else lambda: " "

    def rewrite(word: str) -> str:
        parts = [
            letter + draw() if rng.random() < rate * 0.6 else letter
            for letter in word[:-1]
        ]
        return "".join(parts) + word[-1:]

    return _over_words(text, rewrite)


def join(text: str, rate: float, rng: random.Random) -> str:
    """Leave out the spaces between words, or write other characters for them."""
    draw = _source(rng) if rng.random() < 0.5 else lambda: ""
    in_capitals, padded = rng.random() < 0.4, rng.choice(("", "", " "))

    def rewrite(space: re.Match[str]) -> str:
        if rng.random() > max(rate, 0.2):
            return space[0]
        return padded + draw() + padded

    if in_capitals:
        text = _over_words(text, lambda word: word[0].upper() + word[1:])
    return re.sub(r"\s+", rewrite, text)


def change_case(text: str, rate: float, rng: random.Random) -> str:
    """Write small letters as capitals, and capitals as small letters."""
    return "".join(c.swapcase() if rng.random() < rate else c for c in text)


NOISES: tuple[Noise, ...] = (
    delete,
    insert,
    replace,
    transpose,
    repeat,
    rotate,
    split,
    join,
    change_case,
)
