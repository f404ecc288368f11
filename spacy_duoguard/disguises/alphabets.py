"""Letters of other alphabets that people read as the plain ones."""

from string import ascii_lowercase

from .characters import HACKETT
from .disguise import Disguise, Rewrite, by_table, invert, shifted

_NFKC = "UAX #15, compatibility forms"
_SYMBOLS = "Unicode Standard, enclosed alphanumerics"
_CONFUSABLES = "UTS #39, confusables"

SMALL_CAPITALS = dict(
    zip("abcdefghijklmnoprtuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ", strict=True)
)
UPSIDE_DOWN = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.?!,'\"",
        "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz∀ᗺƆᗡƎℲ⅁HIſ⋊˥WNOԀQᴚS⊥∩ΛMX⅄Z˙¿¡',„",
        strict=True,
    )
)
# The small letters that Cyrillic has the shape of, and no other.
LOOKALIKES = dict(
    zip(
        "aceijopsxy",
        "\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0445\u0443",
        strict=True,
    )
)
# The others in Cyrillic or Greek letters that only resemble them, so that whole words
# are in another script.
RESEMBLING = LOOKALIKES | dict(
    zip(
        "bdfghklmnqrtuvwz",
        "\u044c\u0501\u03dd\u0261\u04bb\u043a\u04cf\u043c\u0578\u051b\u0433\u0442\u03c5"
        "\u03bd\u051d\u0437",
        strict=True,
    )
)
_PRINTABLE = "".join(map(chr, range(33, 127)))


def _letters(name: str, source: str, table: dict[str, str]) -> Disguise:
    return Disguise(name, source, by_table(table), by_table(invert(table)), "folded")


def _capitals(name: str, first: int) -> Disguise:
    """An alphabet that only has capitals, which are read as small letters: exact only
    for a text in small letters."""
    table = shifted(first)
    fold: Rewrite = by_table(table)
    return Disguise(name, _SYMBOLS, lambda text: fold(text.lower()), None, "folded")


ALPHABETS: tuple[Disguise, ...] = (
    _letters("mathematical bold", _NFKC, shifted(0x1D41A)),
    _letters("mathematical script", _NFKC, shifted(0x1D4EA)),
    _letters("fullwidth", HACKETT, shifted(0xFF01, _PRINTABLE)),
    _letters("circled", _NFKC, shifted(0x24D0)),
    _letters("parenthesized", _NFKC, shifted(0x249C)),
    _letters("small capitals", "Unicode Standard, phonetic letters", SMALL_CAPITALS),
    _letters("turned in place", HACKETT, UPSIDE_DOWN),
    Disguise(
        "upside down",
        HACKETT,
        lambda text: by_table(UPSIDE_DOWN)(text)[::-1],
        lambda text: by_table(invert(UPSIDE_DOWN))(text)[::-1],
        "folded",
    ),
    _letters("Cyrillic look-alikes", f"{HACKETT}; {_CONFUSABLES}", LOOKALIKES),
    _capitals("regional indicators", 0x1F1E6),
    _capitals("squared", 0x1F130),
    _capitals("negative squared", 0x1F170),
    _capitals("negative circled", 0x1F150),
    Disguise(
        "words of look-alikes",
        _CONFUSABLES,
        by_table(RESEMBLING | {c.upper(): RESEMBLING[c] for c in ascii_lowercase}),
    ),
)
