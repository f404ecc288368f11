"""Text that is encoded in other text: found, checked and decoded.

Everything that is decoded is at most as long as what it replaces, up to a constant."""

import html
import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from ..normalize import is_hidden
from .bytes_read import ReadBytes, read_bytes
from .radix import decode_base64, decode_hex
from .view import Edit

_TAGS = re.compile("[\U000e0020-\U000e007e]+")
# The flags of England, Scotland and Wales, and others made in the same way.
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e007a]{1,6}\U000e007f")
_FIRST_TAG = 0xE0000
_MOST_IN_WORD = 3  # hidden letters beside visible ones; more are a text behind them
_DELETIONS = "\b\x7f"
# Letters of a hidden word for which there are no tags.
_BETWEEN_TAGS = re.compile(
    r"(?<=[\U000e0020-\U000e007e])[^\W\d_A-Za-z]{1,2}(?=[\U000e0020-\U000e007e])"
)

_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")

_ENTITY = re.compile(
    "&(?:#0*[0-9]{1,7};?|#[xX]0*[0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};)"
)
_ZEROS = re.compile("^(&#[xX]?)0+(?=[0-9A-Fa-f])")  # Python reads 4,300 digits
_REST_OF_ENTITY = re.compile(r"#?\w{1,32};")
_PERCENT = re.compile("(?:%[0-9A-Fa-f]{2})+")
# In JSON inside of JSON, backslashes are doubled.
_ESCAPE = re.compile(
    r"(?<!\\)\\+(?:[ux]\{([0-9A-Fa-f]{1,6})\}|u([dD][89abAB][0-9A-Fa-f]{2})\\+u"
    r"([dD][c-fC-F][0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))"
)
_BYTE = re.compile(r"\\+x([0-9A-Fa-f]{2})")
_BYTES = re.compile(rf"(?<!\\)(?:{_BYTE.pattern})+")
# As PostgreSQL writes bytes: one prefix for all of them.
_LONG_BYTES = re.compile(r"(?<!\\)\\+x(?=((?:[0-9A-Fa-f]{2}){6,})(?![0-9A-Za-z]))")


def decode_tags(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace tag characters by the ASCII characters that they copy."""
    inside = {i for match in _BETWEEN_TAGS.finditer(text) for i in match.span()}
    flags = {match.start() + 1 for match in _FLAG.finditer(text)}
    spans = (match.span() for match in _TAGS.finditer(text))
    for run in _join_hidden(text, (span for span in spans if span[0] not in flags)):
        hidden = "".join(chr(ord(text[i]) - _FIRST_TAG) for i in run)
        yield _set_apart(text, run, hidden, run, inside)


def decode_selectors(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace variation selectors by the text whose bytes they stand for.
    """
    spans = (match.span() for match in _SELECTORS.finditer(text))
    for run in _join_hidden(text, spans):
        for first in (0, 1) if len(run) > 1 else ():  # the first one may be real
            codes = (ord(text[i]) for i in run[first:])
            data = bytes(c - (0xFE00 if c < 0xE0100 else 0xE0100 - 16) for c in codes)
            if read := read_bytes(data, is_plain=False):
                sources = [run[first + i] for i in read.offsets]
                yield _set_apart(text, run, read.text, sources)
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


def _set_apart(
    text: str,
    run: Sequence[int],
    hidden: str,
    sources: Sequence[int],
    inside: Container[int] = (),
) -> Edit:
    """Hidden text isn't part of the word that it was appended to, unless it's short, or
    begins or ends `inside` of a word. `run` are the offsets that stand for it."""
    start, end = run[0], run[-1] + 1
    sides = range(start - 1, -1, -1), range(end, len(text))
    if len(hidden) <= _MOST_IN_WORD and any(
        _next_visible(text, side).isalnum() for side in sides
    ):
        return Edit(start, end, hidden, sources)
    if start and start not in inside and not text[start - 1].isspace():
        hidden, sources = f" {hidden}", [start, *sources]
    if end < len(text) and end not in inside and not text[end].isspace():
        hidden, sources = f"{hidden} ", [*sources, end - 1]
    return Edit(start, end, hidden, sources)


def decode_entities(text: str) -> list[Edit]:
    """text (str): A text.
    RETURNS (List[Edit]): Replace the character references of HTML. None if they only
        stand for signs, as those of any text that comes from HTML."""
    edits = []
    matters = False
    for match in _ENTITY.finditer(text) if "&" in text else ():
        reference = _ZEROS.sub(r"\1", match[0], count=1)
        read = html.unescape(reference)
        if read != match[0]:
            edits.append(Edit(*match.span(), read))
            leads_on = read == "&" and _REST_OF_ENTITY.match(text, match.end())
            hides = not read or any(map(_hides, read))
            matters |= read.isalnum() or read.isspace() or hides or bool(leads_on)
    return edits if matters else []


def decode_percent(text: str) -> list[Edit]:
    """text (str): A text.
    RETURNS (List[Edit]): Replace the escapes of URLs."""
    edits = []
    for match in _PERCENT.finditer(text) if "%" in text else ():
        read = ReadBytes.of(bytes.fromhex(match[0].replace("%", "")))
        if read.text or not read.n_invalid:
            offsets = [match.start() + 3 * i for i in read.offsets]
            edits.append(Edit(*match.span(), read.text, offsets))
    if edits and not re.search(r"\s", text):
        pluses = re.finditer(r"\+", text)
        edits = sorted([*edits, *(Edit(*plus.span(), " ") for plus in pluses)])
    return edits


def decode_escapes(text: str) -> list[Edit]:
    r"""text (str): A text.
    RETURNS (List[Edit]): Replace the escapes of string literals: \u, \U and \x."""
    if "\\" not in text:
        return []
    edits = []
    for match in _ESCAPE.finditer(text):
        braced, high, low, short, long = match.groups()
        if high:
            code = 0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF)
        else:
            code = int(braced or short or long, 16)
        if code < 0xD800 or 0xE000 <= code < 0x110000:
            edits.append(Edit(*match.span(), chr(code)))
    for match in _LONG_BYTES.finditer(text):
        for edit in decode_hex(match[1]):
            sources = [match.start(1) + i for i in edit.sources or ()]
            edits.append(Edit(match.start(), match.end(1), edit.text, sources))
    done = {edit.start for edit in edits}
    for match in _BYTES.finditer(text):
        if match.start() not in done:
            edits.append(_read_escaped_bytes(match))
    return sorted(edits)


def _read_escaped_bytes(match: re.Match[str]) -> Edit:
    pairs = list(_BYTE.finditer(match[0]))
    data = bytes.fromhex("".join(pair[1] for pair in pairs))
    read = ReadBytes.of(data)
    if read.n_invalid:  # then each byte is a character
        read = ReadBytes(data.decode("latin-1"), range(len(data)), 0)
    offsets = [match.start() + pairs[i].start() for i in read.offsets]
    return Edit(*match.span(), read.text, offsets)


def _hides(character: str) -> bool:
    """Whether it is invisible, or a mark on another character."""
    return is_hidden(character) or unicodedata.category(character)[0] == "M"


DECODERS: tuple[Callable[[str], list[Edit] | Iterator[Edit]], ...] = (
    decode_selectors,  # before tags, between which others are dropped
    decode_tags,
    decode_entities,
    decode_percent,
    decode_escapes,
    decode_base64,
    decode_hex,
)
