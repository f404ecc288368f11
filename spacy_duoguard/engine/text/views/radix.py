"""Text whose bytes are written in letters and digits: base64 and hex."""

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise

from .bytes_read import MANY_BYTES, ReadBytes, is_utf8, read_bytes
from .view import Edit, View

# A line break, and what may stand before each line, as in a list or a quotation.
_BREAK = re.compile(
    r"[ \t]{0,16}(?:\r\n?|\n)(?:[ \t]{0,16}(?:"
    r"[>|#*]{1,4}(?:[ \t]{1,4}[>|#*]{1,4})?[ \t]{0,4}|"
    r"(?:[+-]|//|[0-9]{1,6}[.:)]?)[ \t]{1,4})|[ \t]{0,16})"
)
LINE_END = re.compile(r"[ \t]{0,16}[\r\n]")
_BASE64 = re.compile(
    rf"(?<![A-Za-z0-9+/_-])(?:(?:[A-Za-z0-9+/_-]{{16,}}{_BREAK.pattern})+"
    r"(?:[A-Za-z0-9+/_-]{2,}|[A-Za-z0-9+/_-](?==|[ \t]*(?:[\r\n]|\Z)))"
    r"|[A-Za-z0-9+/_-]{6,})(?![A-Za-z0-9+/_-])"
    r"(=*)(?=([A-Za-z0-9+/_-]?))"
)
_HEX_LINE = re.compile("[0-9a-f]{16,}|[0-9A-F]{16,}")
_SIGNS = "+/_-"  # of base64, but also those of markup and addresses
_SIGN = re.compile("[+/_-]+")
_MOST_SIGNS = 8  # after which it may begin
_COST_OF_INVALID = 4  # bytes of text for each that is none, where starts are compared
_MOST_SIGNS_INSIDE = 1 / 8  # the share of them where some don't belong to it
_LEAST_BASE64 = 12  # characters, if there is no "=" at the end
# Line breaks, tabs and slashes as JSON writes them.
_JSON = re.compile(r"(?<!\\)\\+([nrt/])")
_MEANT = {"n": "\n", "r": "\r", "t": "\t", "/": "/"}

_PAIR = "(?:0[xX])?[0-9A-Fa-f]{2}"
_HEX = re.compile(
    rf"(?<![0-9A-Za-z])(?:{_PAIR}(?:[ :,-]{{0,2}}{_PAIR}){{3,}}"
    rf"|{_PAIR}([\W_]{{1,4}}){_PAIR}(?:\1{_PAIR}){{2,}})(?![0-9A-Za-z])"
)
# As PostgreSQL writes bytes: one prefix for all of them.
LONG_BYTES = re.compile(r"(?<!\\)\\+x(?=((?:[0-9A-Fa-f]{2}){6,})(?![0-9A-Za-z]))")
_HEX_PAIR = re.compile("(?:0[xX])?([0-9A-Fa-f]{2})")
_LEAST_HEX = 6  # bytes, if any isn't a small letter


def decode_base64(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace base64 that stands for readable text."""
    return _decode_json(text, _decode_base64)


def _decode_json(text: str, decode: Callable[[str], Iterator[Edit]]) -> Iterator[Edit]:
    """What is decoded in a text whose line breaks, tabs and slashes may be escapes."""
    if "\\" not in text:
        yield from decode(text)
        return
    view = View.of(text)
    read = view.edit(Edit(*m.span(), _MEANT[m[1]]) for m in _JSON.finditer(text))
    for edit in decode(read.text):
        start, end = read.starts[edit.start], read.starts[edit.end]
        sources = [int(read.starts[i]) for i in edit.sources or ()]
        yield Edit(int(start), int(end), edit.text, sources)


def has_no_capital(text: str) -> bool:
    """text (str): ASCII characters.
    RETURNS (bool): Whether there is no capital, so that unpadded base64 isn't read."""
    return text == text.lower()


def is_no_text(text: str) -> bool:
    """text (str): A word in one line, of letters, digits and signs of base64.
    RETURNS (bool): Whether it's known at once that no text is read in it, if it isn't
        padded."""
    if not (text.isascii() and text.isalnum()):
        return False
    if len(text) % 4 == 1:
        return True
    data = _decode(text)
    return not is_utf8(data) and (len(data) < MANY_BYTES or _is_word(text))


def _is_word(body: str) -> bool:
    return body.isalpha() and (body.isupper() or body[1:].islower())


def _is_no_base64(unpadded: str) -> bool:
    return len(unpadded) < _LEAST_BASE64 or has_no_capital(unpadded)


def _decode_base64(text: str) -> Iterator[Edit]:
    for match in _BASE64.finditer(text):
        encoded = match[0]
        size = len(encoded.lstrip(_SIGNS) if match[2] in _SIGNS else encoded)
        if match[2] and (len(match[1]) > 2 or size % 4):
            encoded = encoded.rstrip("=")  # it belongs to what follows: key=value
        if encoded[-1] != "=" and _is_no_base64(encoded):
            continue
        yield from _read_lines(encoded, match.start())


def _read_lines(encoded: str, start: int) -> Iterator[Edit]:
    """Read lines as one text, as one without the last line, or as several, whichever
    shows more."""
    joined, most = _read_base64(encoded, start)
    best = [joined] if joined else []
    breaks = [line.span() for line in _BREAK.finditer(encoded)]
    divisions = [_divide_lines(encoded, is_text=joined is not None)] if breaks else []
    if breaks:
        end, last = breaks[-1]
        divisions.insert(0, iter([(0, end), (last, len(encoded))]))
    for texts in divisions:
        reads = [_read_base64(encoded[i:j], start + i) for i, j in texts]
        n_read = sum(n for _, n in reads)
        if not best or n_read > most:
            best, most = [edit for edit, _ in reads if edit], n_read
    yield from best


def _divide_lines(encoded: str, *, is_text: bool) -> Iterator[tuple[int, int]]:
    """Where each text in lines of base64 may begin and end: at a line that shows more
    by itself than behind the rest of the line before, and at one in hex. Unless all of
    them together are text, also at lines that show none, or have other lengths."""
    begin = end = 0
    rest, was_base64 = "", True
    sizes: list[int] = []
    for start, line in _lines(encoded, 0):
        body = line.rstrip("=")
        alone, behind = _count_text(body), _count_text(rest + body)
        is_new = alone - max(behind, 0) > len(body) / 8
        if sizes and not (is_text or rest or _is_no_base64(body)):
            is_single = len(sizes) == 1 and len(line) != sizes[0]
            is_new |= is_single or sizes[-1] != sizes[0]
        is_base64 = is_text or (alone if is_new else behind) >= 0
        is_base64 &= not _HEX_LINE.fullmatch(line)
        if sizes and (is_new or is_base64 != was_base64):
            yield begin, end
            begin, rest, sizes = start, "", []
        rest += body
        rest = rest[len(rest) - len(rest) % 4 :]
        sizes.append(len(line))
        end, was_base64 = start + len(line), is_base64
    yield begin, end


def _count_text(body: str) -> int:
    """How much of a part of base64 is text."""
    data = _decode(body[: len(body) // 4 * 4])
    return _n_text(data, ReadBytes.of(data))


def _n_text(data: bytes, read: ReadBytes) -> int:
    return len(data) - read.n_left_out - _COST_OF_INVALID * read.n_invalid


def _decode(body: str) -> bytes:
    standard = body.translate({ord("-"): "+", ord("_"): "/"})
    return base64.b64decode(standard + "=" * (-len(body) % 4))


def _lines(encoded: str, start: int) -> Iterator[tuple[int, str]]:
    """The lines without what stands before them, with the offset of each. `start` is
    that of the first one."""
    done = 0
    for end in _BREAK.finditer(encoded):
        yield start + done, encoded[done : end.start()]
        done = end.end()
    yield start + done, encoded[done:]


def _read_base64(encoded: str, start: int) -> tuple[Edit | None, int]:
    """encoded (str): What may be base64, in one line or in several, maybe between signs
        that don't belong to it.
    start (int): Its offset.
    RETURNS (Tuple[Optional[Edit], int]): What it stands for, and how much of it is
        text."""
    body = encoded.rstrip("=")
    if body.isalnum():
        return _read_run(encoded, start)
    starts = [0, len(body) - len(body.lstrip(_SIGNS))]
    if not _BREAK.search(body):
        starts += [sign.end() for sign in islice(_SIGN.finditer(body), _MOST_SIGNS)]
    stops = [len(encoded)]
    if body == encoded:
        stops.append(len(body.rstrip(_SIGNS)))
    runs = dict.fromkeys((i, j) for i in starts for j in stops if i < j)
    best: Edit | None = None
    most = 0
    for i, j in runs:
        if j - i < len(encoded) and _has_many_signs(encoded[i:j]):
            continue
        edit, n_read = _read_run(encoded[i:j], start + i)
        if edit and (best is None or n_read > most):
            best, most = edit, n_read
    return best, most


def _has_many_signs(encoded: str) -> bool:
    return sum(map(encoded.count, _SIGNS)) > _MOST_SIGNS_INSIDE * len(encoded)


def _read_run(encoded: str, start: int) -> tuple[Edit | None, int]:
    """RETURNS (Tuple[Optional[Edit], int]): What a run of base64 stands for, and how
    much of it is text: few of the bytes from a wrong start on."""
    is_padded = encoded[-1] == "="
    if not is_padded and _is_no_base64(encoded):
        return None, 0
    lines = list(_lines(encoded, start))
    body = "".join(line for _, line in lines).rstrip("=")
    if len(body) % 4 == 1 or body.islower() or body.isdigit():
        return None, 0
    data = _decode(body)
    read = read_bytes(data, is_plain=_is_word(body))
    if read is None:
        return None, 0
    offsets = [start + i * 4 // 3 for i in read.offsets]
    if len(lines) > 1:
        visible = [i + j for i, line in lines for j in range(len(line))]
        offsets = [visible[i * 4 // 3] for i in read.offsets]
    edit = Edit(start, start + len(encoded), read.text, offsets)
    return edit, _n_text(data, read)


def decode_hex(text: str) -> Iterator[Edit]:
    """text (str): A text.
    YIELDS (Edit): Replace hexadecimal bytes that stand for readable text."""
    return _decode_json(text, _decode_hex)


def _decode_hex(text: str) -> Iterator[Edit]:
    for match in _HEX.finditer(text):
        pairs = list(_HEX_PAIR.finditer(match[0]))
        digits = "".join(pair[1] for pair in pairs)
        if match[1] and digits.isdigit():
            continue  # numbers in a list, or in a column
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
    if 0 < data.count(b" ") < len(gaps):
        return set()  # the words have their own spaces
    groups = [data[a:b] for a, b in pairwise((0, *gaps, len(data)))]
    if 2 * sum(len(group) == 1 for group in groups) > len(groups):
        return set()
    size = len(groups[0])
    is_even = all(len(group) == size for group in groups[:-1])
    if is_even and len(groups[-1]) <= size:
        are_words = all(group.strip(b".,;:!?'\"()").isalpha() for group in groups)
        return set(gaps) if size > 2 and are_words else set()
    return set(gaps)
