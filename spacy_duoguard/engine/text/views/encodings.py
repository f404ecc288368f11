"""Text that is encoded in other text: found, checked and decoded.

Everything that is decoded is at most as long as what it replaces, up to a constant."""

import html
import re
import unicodedata

from ..normalize import is_hidden
from .bytes_read import ReadBytes
from .radix import LONG_BYTES, decode_hex
from .view import Edit

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
    for match in LONG_BYTES.finditer(text):
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
