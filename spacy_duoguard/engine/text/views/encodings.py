"""Text that is encoded in other text: found, checked and decoded.

Everything that is decoded is at most as long as what it replaces, up to a constant."""

import base64
import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from ..normalize import is_hidden
from .bytes_read import ReadBytes, read_bytes
from .view import Edit

_TAGS = re.compile("[\U000e0020-\U000e007e]+")
# The flags of England, Scotland and Wales, and others made in the same way.
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e007a]{1,6}\U000e007f")
_FIRST_TAG = 0xE0000

_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_SELECTORS = re.compile(f"{_SELECTOR.pattern}{{2,}}")

_ENTITY = re.compile(
    "&(?:#0*[0-9]{1,7};?|#[xX]0*[0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};)"
)
_ZEROS = re.compile("^(&#[xX]?)0+(?=[0-9A-Fa-f])")  # Python reads 4,300 digits
_REST_OF_ENTITY = re.compile(r"#?\w{1,32};")
_PERCENT = re.compile("(?:%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(
    r"\\u\{([0-9A-Fa-f]{1,6})\}|\\u([dD][89abAB][0-9A-Fa-f]{2})\\u([dD][c-fC-F]"
    r"[0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})"
)
_BYTES = re.compile(r"(?:\\x[0-9A-Fa-f]{2})+")

_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/_=-])(?:(?:[A-Za-z0-9+/_-]{16,}\r?\n)+[A-Za-z0-9+/_-]{2,}"
    r"|[A-Za-z0-9+/_-]{6,})={0,2}"
    r"(?![A-Za-z0-9+/_=-])"
)
_LINE = re.compile(r"[^\r\n]+")
_LEAST_BASE64 = 12  # characters, if there is no "=" at the end
_HEX = re.compile(
    "(?<![0-9A-Za-z])(?:0[xX])?[0-9A-Fa-f]{2}"
    "(?:[ :,-]{0,2}(?:0[xX])?[0-9A-Fa-f]{2}){3,}(?![0-9A-Za-z])"
)
_HEX_PAIR = re.compile("(?:0[xX])?([0-9A-Fa-f]{2})")
_LEAST_HEX = 6  # bytes, if any isn't a small letter


def decode_tags(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace tag characters by the ASCII characters that they copy."""
    flags = {match.start() + 1 for match in _FLAG.finditer(text)}
    for match in _TAGS.finditer(text):
        if match.start() not in flags:
            hidden = "".join(chr(ord(c) - _FIRST_TAG) for c in match[0])
            yield _set_apart(text, match, hidden, range(*match.span()))


def decode_selectors(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace variation selectors by the text whose bytes they stand for.
    """
    for match in _SELECTORS.finditer(text):
        for start in (match.start(), match.start() + 1):  # the first one may be real
            codes = map(ord, text[start : match.end()])
            data = bytes(c - (0xFE00 if c < 0xE0100 else 0xE0100 - 16) for c in codes)
            if read := read_bytes(data, is_plain=False):
                offsets = [start + i for i in read.offsets]
                yield _set_apart(text, match, read.text, offsets)
                break


def _set_apart(
    text: str, match: re.Match[str], hidden: str, offsets: Iterable[int]
) -> Edit:
    """Hidden text isn't part of the word that it was appended to."""
    start, end = match.span()
    sources = list(offsets)
    if start and not text[start - 1].isspace():
        hidden, sources = f" {hidden}", [start, *sources]
    if end < len(text) and not text[end].isspace():
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
    for match in _BYTES.finditer(text):
        data = bytes.fromhex(match[0].replace("\\x", ""))
        read = ReadBytes.of(data)
        if read.n_invalid:  # then each byte is a character
            read = ReadBytes(data.decode("latin-1"), range(len(data)), 0)
        offsets = [match.start() + 4 * i for i in read.offsets]
        edits.append(Edit(*match.span(), read.text, offsets))
    return sorted(edits)


def decode_base64(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace base64 that stands for readable text."""
    for match in _BASE64.finditer(text):
        if edit := _read_base64(match[0], match.start()):
            yield edit
        elif "\n" in match[0]:  # lines that don't belong together
            for line in _LINE.finditer(match[0]):
                if edit := _read_base64(line[0], match.start() + line.start()):
                    yield edit


def _read_base64(encoded: str, start: int) -> Edit | None:
    """encoded (str): What may be base64, in one line or in several.
    start (int): Its offset."""
    is_padded = encoded[-1] == "="
    if not is_padded and (len(encoded) < _LEAST_BASE64 or encoded.islower()):
        return None
    body = re.sub(r"[\r\n=]", "", encoded)
    if len(body) % 4 == 1 or body.islower() or body.isdigit():
        return None
    standard = body.translate({ord("-"): "+", ord("_"): "/"})
    data = base64.b64decode(standard + "=" * (-len(body) % 4))
    is_word = body.isalpha() and (body.isupper() or body[1:].islower())
    read = read_bytes(data, is_plain=is_word)
    if read is None:
        return None
    offsets = [start + i * 4 // 3 for i in read.offsets]
    if len(body) < len(encoded.rstrip("=")):  # in lines
        places = [i for i, c in enumerate(encoded, start) if c > " "]
        offsets = [places[i * 4 // 3] for i in read.offsets]
    return Edit(start, start + len(encoded), read.text, offsets)


def decode_hex(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace hexadecimal bytes that stand for readable text."""
    for match in _HEX.finditer(text):
        pairs = list(_HEX_PAIR.finditer(match[0]))
        digits = "".join(pair[1] for pair in pairs)
        read = read_bytes(bytes.fromhex(digits), is_plain=digits.isdigit())
        if read is None:
            continue
        if len(pairs) >= _LEAST_HEX or (read.text.isalpha() and read.text.islower()):
            starts = [pair.start() for pair in pairs]
            words = _divide_words(match[0], starts, bytes.fromhex(digits))
            characters, offsets = list[str](), list[int]()
            for character, i in zip(read.text, read.offsets, strict=True):
                if i in words:
                    characters.append(" ")
                    offsets.append(match.start() + starts[i])
                characters.append(character)
                offsets.append(match.start() + starts[i])
            yield Edit(*match.span(), "".join(characters), offsets)


def _divide_words(encoded: str, starts: Sequence[int], data: bytes) -> set[int]:
    """The bytes before which a space stands between words. In a dump of bytes, all
    groups but the last have the same size, and not all of them are words."""
    pairs = pairwise(starts)
    gaps = [i for i, (a, b) in enumerate(pairs, 1) if " " in encoded[a:b]]
    groups = [data[a:b] for a, b in pairwise((0, *gaps, len(data)))]
    size = len(groups[0])
    is_even = all(len(group) == size for group in groups[:-1])
    if is_even and len(groups[-1]) <= size:
        are_words = all(group.strip(b".,;:!?'\"()").isalpha() for group in groups)
        return set(gaps) if size > 2 and are_words else set()
    return set(gaps)


def _hides(character: str) -> bool:
    """Whether it is invisible, or a mark on another character."""
    return is_hidden(character) or unicodedata.category(character)[0] == "M"


DECODERS: tuple[Callable[[str], list[Edit] | Iterator[Edit]], ...] = (
    decode_tags,
    decode_selectors,
    decode_entities,
    decode_percent,
    decode_escapes,
    decode_base64,
    decode_hex,
)
