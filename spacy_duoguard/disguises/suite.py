"""All disguises by name."""

from collections.abc import Iterable

from ..errors import Errors, SettingsError
from .alphabets import ALPHABETS
from .characters import CHARACTERS
from .disguise import Disguise
from .encodings import ENCODINGS
from .spellings import SPELLINGS

SUITE: dict[str, Disguise] = {
    disguise.name: disguise
    for disguise in (*CHARACTERS, *ALPHABETS, *ENCODINGS, *SPELLINGS)
}

# Ciphers: people don't read them, so no score follows from what they hide.
CIPHERS: tuple[str, ...] = ("rot13",)

# What no view undoes, so that a model has to have read it.
TO_LEARN: tuple[str, ...] = tuple(
    name
    for name, disguise in SUITE.items()
    if disguise.view is None and name not in CIPHERS
)


def select(names: Iterable[str]) -> list[Disguise]:
    """names (Iterable[str]): Names of disguises.
    RETURNS (List[Disguise]): These disguises.
    RAISES (SettingsError): The suite doesn't have one of them, or there are none."""
    names = list(names)
    for name in names:
        if name not in SUITE:
            raise SettingsError(Errors.E240.format(name=name, names=", ".join(SUITE)))
    if not names:
        raise SettingsError(Errors.E241)
    return [SUITE[name] for name in names]
