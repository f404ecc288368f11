"""Text that is hidden in invisible characters: in tags, and in variation selectors."""

import re
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from string import hexdigits

from ..normalize import is_hidden
from .bytes_read import read_bytes
from .encodings import decode_entities, decode_escapes, decode_percent
from .radix import LONG_BYTES, decode_base64, decode_hex
from .view import Edit

_TAGS = re.compile("[\U000e0020-\U000e007e]+")
# The flags of England, Scotland and Wales, and others made in the same way.
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e007a]{1,6}\U000e007f")
_FIRST_TAG = 0xE0000
_MOST_IN_WORD = 3  # hidden letters beside visible ones; more are a text behind them
_INSIDE, _BESIDE = 1, 2  # of what is encoded
_DELETIONS = "\b\x7f"
# Letters of a hidden word for which there are no tags.
_BETWEEN_TAGS = re.compile(
    r"(?<=[\U000e0020-\U000e007e])[^\W\d_A-Za-z]{1,2}(?=[\U000e0020-\U000e007e])"
)

_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")


def decode_tags(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace tag characters by the ASCII characters that they copy."""
    inside = {i for match in _BETWEEN_TAGS.finditer(text) for i in match.span()}
    flags = {match.start() + 1 for match in _FLAG.finditer(text)}
    spans = (match.span() for match in _TAGS.finditer(text))
    spans = (span for span in spans if span[0] not in flags)
    runs = list(_join_hidden(text, spans))
    in_code = _runs_in_code(text, runs)
    for run in runs:
        hidden = "".join(chr(ord(text[i]) - _FIRST_TAG) for i in run)
        where = in_code.get(run[0])
        yield _set_apart(text, run, *_divide(run, hidden, run), where, inside)


def decode_selectors(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace variation selectors by the text whose bytes they stand for.
    """
    spans = (match.span() for match in _SELECTORS.finditer(text))
    runs = list(_join_hidden(text, spans))
    in_code = _runs_in_code(text, runs)
    for run in runs:
        for first in (0, 1) if len(run) > 1 else ():  # the first one may be real
            codes = (ord(text[i]) for i in run[first:])
            data = bytes(c - (0xFE00 if c < 0xE0100 else 0xE0100 - 16) for c in codes)
            if read := read_bytes(data, is_plain=False):
                sources = [run[first + i] for i in read.offsets]
                where = in_code.get(run[0])
                yield _set_apart(text, run, *_divide(run, read.text, sources), where)
                break


def _join_hidden(
    text: str, spans: Iterable[tuple[int, int]]
) -> Iterator[Sequence[int]]:
    """The offsets of hidden text in a row, maybe with other invisible characters
    between what is in the spans."""
    run: list[int] = []
    for start, end in spans:
        if run and _next_visible(text, range(run[-1] + 1, start)):
            yield run
            run = []
        run += range(start, end)
    if run:
        yield run


def _next_visible(text: str, offsets: range) -> str:
    """The first character at some offsets that is visible, deletes one or is a tag."""
    for i in offsets:
        is_tag = _TAGS.match(text, i)
        if is_tag or not is_hidden(text[i]) or text[i] in _DELETIONS:
            return text[i]
    return ""


def _runs_in_code(text: str, runs: Sequence[Sequence[int]]) -> dict[int, int]:
    """Which short runs are inside of what is encoded, or beside base64 or hex, by their
    first offsets: they would be no letters of a word, but hide it."""
    short = [run for run in runs if len(run) <= _MOST_IN_WORD]
    if not short:
        return {}
    dropped = set(chain.from_iterable(short))
    kept = [i for i in range(len(text)) if i not in dropped]
    plain = "".join(text[i] for i in kept)
    codes = [edit for decode in (decode_base64, decode_hex) for edit in decode(plain)]
    spans = [(edit.start, edit.end) for edit in codes]
    spans += [(match.start(), match.end(1)) for match in LONG_BYTES.finditer(plain)]
    where = bytearray(len(plain) + 1)
    for start, end in spans:
        where[start] = where[end] = _BESIDE
    for decode in (decode_entities, decode_percent, decode_escapes):
        # Between two of these may be a letter.
        spans += [(edit.start, edit.end) for edit in decode(plain)]
    for start, end in spans:
        where[start + 1 : end] = bytes([_INSIDE]) * (end - start - 1)
    return {run[0]: where[bisect_left(kept, run[0])] for run in short}


def _divide(
    run: Sequence[int], hidden: str, sources: Sequence[int]
) -> tuple[str, Sequence[int]]:
    """Hidden text with spaces where other characters divide it into words: not all of
    one size, and without spaces between them."""
    begins = {i for before, i in pairwise(run) if i - before > 1}
    starts = [k for k, i in enumerate(sources) if k and i in begins]
    sizes = [b - a for a, b in pairwise((0, *starts, len(hidden)))]
    if " " in hidden or (len({*sizes[:-1]}) < 2 and sizes[-1] <= sizes[0]):
        return hidden, sources
    words, sources_of_words = list[str](), list[int]()
    for a, b in pairwise((0, *starts, len(hidden))):
        words.append(hidden[a:b])
        # A space is from where the word before it ends.
        sources_of_words += [sources_of_words[-1], *sources[a:b]] if a else sources[a:b]
    return " ".join(words), sources_of_words


def _set_apart(
    text: str,
    run: Sequence[int],
    hidden: str,
    sources: Sequence[int],
    where: int | None,
    inside: Container[int] = (),
) -> Edit:
    """Hidden text isn't part of the word that it was appended to, unless it's short, or
    begins or ends `inside` of a word. `run` are the offsets that stand for it."""
    start, end = run[0], run[-1] + 1
    # Beside hex, digits would count as its bytes.
    if where == _INSIDE or (where == _BESIDE and not set(hidden) - {*hexdigits}):
        return Edit(start, end, "")
    sides = range(start - 1, -1, -1), range(end, len(text))
    is_short = len(hidden) <= _MOST_IN_WORD and where != _BESIDE
    if is_short and any(_next_visible(text, side).isalnum() for side in sides):
        return Edit(start, end, hidden, sources)
    if start and start not in inside and not text[start - 1].isspace():
        hidden, sources = f" {hidden}", [start, *sources]
    if end < len(text) and end not in inside and not text[end].isspace():
        hidden, sources = f"{hidden} ", [*sources, end - 1]
    return Edit(start, end, hidden, sources)
