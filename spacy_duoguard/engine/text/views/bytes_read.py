"""Text in bytes that may be text: which of them are, and whether that can be chance."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ..normalize import is_hidden

# A UTF-8 character, or a byte that belongs to none.
_UTF8 = re.compile(
    rb"[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]"
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2}|(.)",
    re.DOTALL,
)
# What is encoded once more, in signs rather than letters.
_ENCODED = re.compile(
    "[\ufe00-\ufe0f\U000e0100-\U000e01ef\U000e0020-\U000e007e]{2}"
    r"|&#|%[0-9A-Fa-f]{2}|\\[uUx]|(?:[0-9]{2}[ :,-]{0,2}){6}"
)

_LEAST_LETTERS = 0.6  # the share of letters and spaces in a few bytes
# In as many bytes, a text with as many characters can hold anything else, but for bytes
# that are no characters: by chance, almost half of them are such.
MANY_BYTES = 16
_MANY_CHARACTERS = 8
_MOST_INVALID = 0.2


@dataclass(frozen=True)
class ReadBytes:
    """The text in bytes.

    text (str): Its characters, without unassigned ones, and without control characters
        that delete nothing.
    offsets (Sequence[int]): Where the bytes of each of them begin.
    n_left_out (int): The bytes of what isn't in the text.
    n_invalid (int): How many of these belong to no character.
    """

    text: str
    offsets: Sequence[int]
    n_left_out: int
    n_invalid: int = 0

    @classmethod
    def of(cls, data: bytes) -> "ReadBytes":
        """data (bytes): Any bytes.
        RETURNS (ReadBytes): What UTF-8 reads in them."""
        if data.isascii() and (text := data.decode("ascii")).isprintable():
            return cls(text, range(len(data)), 0)
        characters, offsets = list[str](), list[int]()
        n_left_out = n_invalid = 0
        for match in _UTF8.finditer(data):
            if match[1] is not None:
                n_invalid += 1
                n_left_out += 1
                continue
            character = match[0].decode("utf8")
            if _is_control(character):
                n_left_out += len(match[0])
                continue
            characters.append(character)
            offsets.append(match.start())
        return cls("".join(characters), offsets, n_left_out, n_invalid)


def is_utf8(data: bytes) -> bool:
    """data (bytes): Any bytes.
    RETURNS (bool): Whether all of them belong to characters."""
    try:
        data.decode("utf8")
    except UnicodeDecodeError:
        return False
    return True


def read_bytes(data: bytes, *, is_plain: bool) -> ReadBytes | None:
    """data (bytes): Bytes that may be text.
    is_plain (bool): Whether what encodes them may be a word or a number instead.
    RETURNS (Optional[ReadBytes]): The text; None unless it has words, or something
        encoded once more, and isn't chance."""
    n_invalid = len(data) - len(data.decode("utf8", "ignore").encode("utf8"))
    if n_invalid and (is_plain or len(data) < MANY_BYTES):
        return None
    if n_invalid > _MOST_INVALID * len(data):
        return None
    read = ReadBytes.of(data)
    if not any(map(_may_be_letter, read.text)) and not _ENCODED.search(read.text):
        return None
    visible = [character for character in read.text if not is_hidden(character)]
    n_letters = sum(map(_is_letter, visible))
    least = _LEAST_LETTERS * (len(visible) + read.n_left_out)
    if not n_invalid and n_letters >= least:
        return None if is_plain and read.n_left_out else read
    if is_plain or len(data) < MANY_BYTES or len(read.text) < _MANY_CHARACTERS:
        return None
    return read


def _is_letter(character: str) -> bool:
    """Also a vowel sign, as in Hindi, and a space."""
    is_mark = unicodedata.category(character)[0] == "M"
    may_be = character.isalnum() or _may_be_letter(character)
    return may_be or character.isspace() or is_mark


def _may_be_letter(character: str) -> bool:
    """Also a symbol, as of a letter in a square."""
    return character.isalpha() or unicodedata.category(character) == "So"


def _is_control(character: str) -> bool:
    unused = unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs")
    return unused and not character.isspace() and character not in "\b\x7f"
