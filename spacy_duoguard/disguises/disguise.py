"""A disguise, and functions to build disguises from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import ascii_lowercase

Rewrite = Callable[[str], str]


@dataclass(frozen=True)
class Disguise:
    """A way to rewrite a text so that people or models still read it.

    name (str): Its name in results.
    source (str): Where it is published, or the standard that defines its characters.
    apply (Callable[[str], str]): From plain to disguised.
    undo (Optional[Callable[[str], str]]): The exact inverse for texts that have none
        of its characters yet. None where a reader has to guess.
    view (Optional[str]): The view that reads it: "folded" or "decoded". None if no view
        promises to.
    """

    name: str
    source: str
    apply: Rewrite
    undo: Rewrite | None = None
    view: str | None = None

    @property
    def is_exact(self) -> bool:
        """RETURNS (bool): Whether a view promises to undo it exactly."""
        return self.undo is not None and self.view is not None


def by_table(table: Mapping[str, str]) -> Rewrite:
    """table (Mapping[str, str]): What to write for a character.
    RETURNS (Callable[[str], str]): Replaces these characters."""
    codes = str.maketrans(dict(table))
    return lambda text: text.translate(codes)


def invert(table: Mapping[str, str]) -> dict[str, str]:
    """table (Mapping[str, str]): What to write for a character, all different.
    RETURNS (Dict[str, str]): The other way round."""
    return {written: character for character, written in table.items()}


def shifted(first: int, alphabet: str = ascii_lowercase) -> dict[str, str]:
    """first (int): The code point of the first letter of another alphabet.
    alphabet (str): The letters to replace, in its order.
    RETURNS (Dict[str, str]): The letter of the other alphabet for each."""
    return {letter: chr(first + i) for i, letter in enumerate(alphabet)}


def after_each(added: str) -> Rewrite:
    """added (str): Characters.
    RETURNS (Callable[[str], str]): Adds them after every character."""
    return lambda text: "".join(character + added for character in text)


def without(added: str) -> Rewrite:
    """added (str): Characters.
    RETURNS (Callable[[str], str]): Removes them everywhere."""
    return lambda text: text.replace(added, "")


def twice(rewrite: Rewrite) -> Rewrite:
    """rewrite (Callable[[str], str]): A rewrite.
    RETURNS (Callable[[str], str]): Applies it two times."""
    return lambda text: rewrite(rewrite(text))
