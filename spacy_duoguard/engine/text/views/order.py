"""Characters that stand elsewhere than they are read, or were deleted."""

import unicodedata
from collections.abc import Iterable, Sequence

from ..normalize import is_hidden, starts_cluster
from .view import Edit

_DELETIONS = "\b\x7f"
_LEAST_KEPT = 0.2  # the share of the other characters
_OVERRIDES = "\u202d\u202e"  # LRO and RLO
_CLOSE = {"PDF": "RLO LRO RLE LRE", "PDI": "RLI LRI FSI"}
_OPEN = frozenset(" ".join(_CLOSE.values()).split())

# Overrides inside of each other. Unicode allows 125; each level costs a pass.
_MOST_LEVELS = 8


def apply_deletions(text: str) -> list[Edit]:
    """text (str): A text.
    RETURNS (List[Edit]): Drop each backspace or delete with what is visible before it,
        such as a letter with its marks. Where almost nothing would be left, only the
        deletions are dropped: they hide the text."""
    if not any(character in text for character in _DELETIONS):
        return []
    kept: list[int] = []
    for i, character in enumerate(text):
        if character not in _DELETIONS:
            kept.append(i)
            continue
        while kept:
            deleted = text[kept.pop()]
            if starts_cluster(deleted) and not is_hidden(deleted):
                break
    others = [i for i, character in enumerate(text) if character not in _DELETIONS]
    if len(kept) < _LEAST_KEPT * len(others):
        kept = others
    return [_pick(text, kept)]


def apply_overrides(text: str) -> list[Edit]:
    """text (str): A text.
    RETURNS (List[Edit]): Put what an override of the direction turns around into the
        order in which it is read."""
    if not any(character in text for character in _OVERRIDES):
        return []
    order: list[int] = []
    start = 0
    for line in text.splitlines(keepends=True):
        end = start + len(line)
        order += _read_line(text, start, end)
        start = end
    return [_pick(text, order)]


def _read_line(text: str, start: int, end: int) -> list[int]:
    """The offsets of a line's characters in the order in which they are read."""
    frames: list[tuple[str, list[int]]] = [("", [])]
    ignored = 0  # levels too deep to tell apart
    for i in range(start, end):
        kind = unicodedata.bidirectional(text[i])
        if kind in _OPEN:
            if len(frames) > _MOST_LEVELS:
                ignored += 1
            else:
                frames.append((kind, []))
        elif kind in _CLOSE:
            if ignored:
                ignored -= 1
            elif frames[-1][0] in _CLOSE[kind].split():
                _close(text, frames)
        else:
            frames[-1][1].append(i)
    while len(frames) > 1:
        _close(text, frames)
    return frames[0][1]


def _close(text: str, frames: list[tuple[str, list[int]]]) -> None:
    """End the innermost frame. Its characters are read against their own direction if
    the override isn't that of most letters, or turns around one that does that."""
    kind, order = frames.pop()
    if kind in ("RLO", "LRO"):
        outer = next((k for k, _ in reversed(frames) if k in ("RLO", "LRO")), None)
        if (_direction(text, order) != kind[0]) if outer is None else outer != kind:
            order.reverse()
    frames[-1][1].extend(order)


def _direction(text: str, order: Iterable[int]) -> str:
    visible = (text[i] for i in order if not is_hidden(text[i]))
    kinds = [unicodedata.bidirectional(character) for character in visible]
    n_right = kinds.count("R") + kinds.count("AL")
    return "R" if n_right > kinds.count("L") else "L"


def _pick(text: str, order: Sequence[int]) -> Edit:
    return Edit(0, len(text), "".join(text[i] for i in order), order)
