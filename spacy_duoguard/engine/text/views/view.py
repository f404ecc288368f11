"""A text read differently, aligned with the original character by character.

    text   h U+200B a t e          starts of the view below: 0 2 3 4, and last 5
    view   h a t e

A character of the view covers the original from its start to the next start, wherever
in the view that one is. So the starts divide the whole original among the characters of
the view, even if a disguise put them into another order:

    text   RLO e t a h PDF         starts: 4 3 2 0, and last 6
    view   h a t e
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

TEXT = "text"  # the name of the original


class Edit(NamedTuple):
    """A replacement of characters."""

    start: int
    end: int
    text: str
    # For each character of `text` the offset that it comes from. None: they replace the
    # characters one by one, or stand for all of them together.
    sources: Sequence[int] | None = None


@dataclass(frozen=True)
class View:
    """A reading of a text, aligned with it."""

    name: str
    text: str
    # (len(text) + 1,) int64: where in the original each character comes from, and last
    # the length of the original.
    starts: np.ndarray

    @classmethod
    def of(cls, text: str, *, name: str = TEXT) -> "View":
        """text (str): A text.
        name (str): The name of the view.
        RETURNS (View): The text as it is."""
        return cls(name, text, np.arange(len(text) + 1))

    @cached_property
    def ends(self) -> np.ndarray:
        """RETURNS (ndarray): (len(text),), where in the original each character ends,
        including what was dropped after it. Characters with the same start share it."""
        ordered = np.unique(self.starts)
        return ordered[np.searchsorted(ordered, self.starts[:-1], side="right")]

    def char_span(self, start: int, end: int) -> tuple[int, int]:
        """Map characters of the view to the original, including what was dropped after
        each of them.

        start (int), end (int): Offsets into the view, at least one character apart.
        RETURNS (Tuple[int, int]): Offsets into the original.
        """
        return int(self.starts[start:end].min()), int(self.ends[start:end].max())

    def edit(self, edits: Iterable[Edit]) -> "View":
        """edits (Iterable[Edit]): What to replace in the view, in order, without
            overlaps.
        RETURNS (View): The edited view; this one if there is nothing to edit."""
        parts: list[str] = []
        sources = array("q")
        done = 0
        for edit in edits:
            parts += self.text[done : edit.start], edit.text
            sources.extend(range(done, edit.start))
            sources.extend(_sources(edit))
            done = edit.end
        if not parts:
            return self
        parts.append(self.text[done:])
        sources.extend(range(done, len(self.text) + 1))
        return self.select("".join(parts), np.frombuffer(sources, dtype=np.int64))

    def select(self, text: str, sources: np.ndarray) -> "View":
        """text (str): How this view reads.
        sources (ndarray): (len(text) + 1,), the offset into this view that each
            character comes from, and last its length.
        RETURNS (View): The new view."""
        return replace(self, text=text, starts=self.starts[sources])

    def whole(self, name: str) -> "View":
        """name (str): A name.
        RETURNS (View): This view, under that name, with what was dropped before the
            first character as a part of it."""
        starts = self.starts
        if self.text:
            starts = np.where(starts == starts.min(), 0, starts)
        return replace(self, name=name, starts=starts)


def _sources(edit: Edit) -> Sequence[int]:
    if edit.sources is not None:
        return edit.sources
    if len(edit.text) == edit.end - edit.start:
        return range(edit.start, edit.end)
    return [edit.start] * len(edit.text)
