"""The views of a conversation: each message is read by itself, so that what one leaves
open, such as a word in separated letters, doesn't go on in the next."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

import numpy as np

from .functions import ViewFunctions, read_all_views
from .ordinary import BYTE_ORDER_MARK, OTHER_SPACE
from .readings import DECODED, FOLDED, READINGS
from .spacing import BRAILLE_BLANK
from .view import View

_Reading = tuple[str, np.ndarray]  # and where its characters come from

# Whitespace between two messages, which hides that they go on if there is more. In a
# view, it's read as one space if there is more than a space and a line break.
_LONGEST_GAP = 8
_LONGEST_KEPT = 2

# What belongs to it besides whitespace. A byte order mark is only one at the start of a
# text.
_BLANKS = str.maketrans(dict.fromkeys((BRAILLE_BLANK, BYTE_ORDER_MARK), " "))


def views_of_messages(
    messages: Mapping[str, Sequence[tuple[int, int]]], views: ViewFunctions
) -> ViewFunctions:
    """messages (Mapping[str, Sequence[Tuple[int, int]]]): For the text of each
        conversation, where its messages begin and end.
    views (Tuple[Tuple[str, Callable], ...]): From `check_views`.
    RETURNS (Tuple[Tuple[str, Callable], ...]): The functions of the same views, for
        these texts: the messages as each reads alone, and what is between them."""
    given = [name for name, _ in views]
    names = [*(name for name in READINGS if name not in given), *given]
    known: dict[str, dict[str, _Reading]] = {}

    def read(name: str, text: str) -> _Reading | None:
        if text not in known:
            known[text] = _read_messages(text, messages[text], views, names)
        return known[text].get(name)

    return tuple((name, partial(read, name)) for name in names)


def _read_messages(
    text: str,
    messages: Sequence[tuple[int, int]],
    views: ViewFunctions,
    names: Sequence[str],
) -> dict[str, _Reading]:
    # Whitespace at the ends of messages isn't theirs: it can all be in one token.
    stripped = (_without_space(text, start, end) for start, end in messages)
    messages = [(start, end) for start, end in stripped if start < end]
    alone = [
        {view.name: view for view in read_all_views(text[start:end], views)}
        for start, end in messages
    ]
    found = [name for name in names if any(name in of_one for of_one in alone)]
    bounds = [0, *chain.from_iterable(messages), len(text)]
    gaps = [text[i:j] for i, j in zip(bounds[::2], bounds[1::2], strict=True)]
    if any(map(_is_odd, gaps)) and FOLDED in names and FOLDED not in found:
        found.append(FOLDED)
    joined = {name: _join(text, messages, alone, name) for name in found}
    return {name: view for name, view in joined.items() if view[0].strip()}


def _is_odd(gap: str) -> bool:
    """Whether what is between two messages may hide that they go on."""
    has_blank = gap.translate(_BLANKS).count(" ") > gap.count(" ")
    return has_blank or len(gap) > _LONGEST_GAP or OTHER_SPACE.search(gap) is not None


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    message = text[start:end].translate(_BLANKS)
    return end - len(message.lstrip()), start + len(message.rstrip())


def _join(
    text: str,
    messages: Sequence[tuple[int, int]],
    alone: Sequence[Mapping[str, View]],
    name: str,
) -> _Reading:
    parts: list[str] = []
    sources: list[np.ndarray] = []
    space: list[int] = []  # where what is between two of them comes from
    done = 0
    nothing: Mapping[str, View] = {}
    after_all = ((len(text), len(text)), nothing)
    for (start, end), views in [*zip(messages, alone, strict=True), after_all]:
        space += (i for i in range(done, start) if text[i] != BYTE_ORDER_MARK)
        done = end
        # A message in which nothing is encoded is folded in the decoded view, too.
        view = views.get(name, views.get(FOLDED) if name == DECODED else None)
        view = View.of(text[start:end]) if view is None else view
        if start < end and not view.text.strip():
            continue  # nothing is read of it
        gap = "".join(text[i] for i in space)
        if len(gap) > _LONGEST_KEPT or gap.strip(" \n"):
            gap = " "
        parts += gap, view.text
        sources += np.array(space[: len(gap)], int), view.starts[:-1] + start
        space = []
    return "".join(parts), np.concatenate(sources)
