"""Characters that stand elsewhere than they are read, or were deleted."""

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from ..normalize import is_hidden, starts_cluster
from .view import Edit

_DELETIONS = "\b\x7f"
_REGIONS = frozenset(map(chr, range(0x1F1E6, 0x1F200)))  # two of them are a flag
_COLORS = frozenset(map(chr, range(0x1F3FB, 0x1F400)))  # of emoji
_JOINER = "\u200d"
_LEAST_KEPT = 0.2  # the share of the other characters
_OVERRIDES = "\u202d\u202e"  # LRO and RLO
_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_TURNING = frozenset(("RLO", "LRO"))
_CLOSE = {"PDF": _TURNING | {"RLE", "LRE"}, "PDI": frozenset(("RLI", "LRI", "FSI"))}
_OPEN = _CLOSE["PDF"] | _CLOSE["PDI"]

# Overrides inside of each other. Unicode allows 125; each level costs a pass.
_MOST_LEVELS = 8


def apply_deletions(text: str) -> list[Edit]:
    """text (str): A text.
    RETURNS (List[Edit]): Drop each backspace or delete with what is visible before it,
        such as a letter with its marks. Where almost nothing would be left, only the
        deletions are dropped: they hide the text."""
    if not any(character in text for character in _DELETIONS):
        return []
    clusters: list[list[int]] = []
    is_half = False  # of a flag
    for i, character in enumerate(text):
        is_region = character in _REGIONS
        if character in _DELETIONS:
            del clusters[-1:]
            is_half = False
        elif clusters and _joins(text, clusters[-1], character):
            clusters[-1].append(i)
        elif is_half and is_region:
            clusters[-1].append(i)
            is_half = False
        else:
            clusters.append([i])
            is_half = is_region
    kept = list(chain.from_iterable(clusters))
    others = [i for i, character in enumerate(text) if character not in _DELETIONS]
    if len(kept) < _LEAST_KEPT * len(others):
        kept = others
    return [_pick(text, kept)]


def _joins(text: str, cluster: Sequence[int], character: str) -> bool:
    """Whether a character belongs to those before it: a mark, the color of an emoji, or
    what a joiner joins to one."""
    if is_hidden(character) or not starts_cluster(character):
        return True
    kind = unicodedata.category(character)
    if kind[0] == "M":
        return True
    is_added = character in _COLORS or (kind == "So" and text[cluster[-1]] == _JOINER)
    return is_added and unicodedata.category(text[cluster[0]]) == "So"


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


def drop_overrides(text: str) -> list[Edit]:
    """text (str): A text.
    RETURNS (List[Edit]): Drop what controls the direction, if it has an override: then
        the text reads in the order in which it's stored."""
    if not any(character in text for character in _OVERRIDES):
        return []
    return [Edit(i, i + 1, "") for i, c in enumerate(text) if c in _CONTROLS]


def release(text: str, edits: list[Edit]) -> list[Edit]:
    """text (str): A text.
    edits (List[Edit]): What is decoded in it.
    RETURNS (List[Edit]): Also drop overrides around what is decoded: they turn around
        the code, not what it stands for."""
    if not edits or not any(character in text for character in _OVERRIDES):
        return edits
    edits = sorted(edits)
    starts = [edit.start for edit in edits]
    dropped, start = list[int](), 0
    for line in text.splitlines(keepends=True):
        for first, stop, overrides in _overridden(line):
            i = bisect_left(starts, start + first)
            if i < len(starts) and starts[i] < start + stop:
                dropped += (start + j for j in overrides)
        start += len(line)
    ends = [0, *(edit.end for edit in edits)]
    outside = [j for j in dropped if j >= ends[bisect_right(starts, j)]]
    return sorted([*edits, *(Edit(j, j + 1, "") for j in outside)])


def _overridden(line: str) -> Iterator[tuple[int, int, list[int]]]:
    """What the outermost overrides of a line turn around: where it begins and ends,
    and the offsets of the overrides."""
    kinds: list[str] = []
    n_turning = 0
    overrides: list[int] = []
    for i, character in enumerate(line):
        kind = unicodedata.bidirectional(character)
        if kind in _CLOSE["PDF"]:
            kinds.append(kind)
            n_turning += kind in _TURNING
            if character in _OVERRIDES:
                overrides.append(i)
        elif kind == "PDF" and kinds:
            n_turning -= kinds.pop() in _TURNING
            if overrides and not n_turning:
                yield overrides[0], i, overrides
                overrides = []
    if overrides:
        yield overrides[0], len(line), overrides


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
            elif frames[-1][0] in _CLOSE[kind]:
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
    if kind in _TURNING:
        outer = next((k for k, _ in reversed(frames) if k in _TURNING), None)
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
