"""Texts cut into windows, and where their pieces lie in the text.

A text that is longer than one window is cut into overlapping ones:

    tokens   0 . . . . . . . . . . . . . . . . . . n
    window 1 [-----------]
    window 2         [-----------]
    window 3                 [----------]
             |stride|
                     |--| overlap = window - stride

They start at 0, stride, 2 · stride, …; the first that reaches the end is the last.
Every run of tokens up to the overlap lies whole in some window.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from ..settings import Settings
from .normalize import Normalized
from .normalize import normalize as normalize_text
from .tokenizer import TextTokenizer, Tokens

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """A stretch of a text, or of its second view: all of it, or what a limit leaves of
    its ends. Places are those of the text itself."""

    first: int  # characters of the text or view
    tokens: Tokens
    view: Normalized | None  # None for the text as it is

    @property
    def start(self) -> int:
        """RETURNS (int): The character at which it begins."""
        return self._origin(np.array([self.first]))[0]

    @property
    def end(self) -> int:
        """RETURNS (int): The character before which it ends."""
        return self.place(self.first, self.first + self.tokens.n_chars)[1]

    @cached_property
    def starts(self) -> np.ndarray:
        """RETURNS (ndarray): (n_tokens,), the character at which each piece begins,
        ascending."""
        offsets = np.maximum.accumulate(self.tokens.offsets[:, 0])
        return self._origin(self.first + offsets)

    @cached_property
    def ends(self) -> np.ndarray:
        """RETURNS (ndarray): (n_tokens,), the character before which each piece ends,
        ascending. Characters that no piece begins belong to the piece before them."""
        own = self.first + np.maximum.accumulate(self.tokens.offsets[:, 1])
        if self.view is not None:
            last = np.maximum(own - 1, 0)
            own = self.view.ends[last]
        return np.maximum(own, np.append(self.starts[1:], self.end))

    def place(self, start: int, stop: int) -> tuple[int, int]:
        """start (int), stop (int): Characters of the text or view.
        RETURNS (Tuple[int, int]): Where they lie in the text."""
        if self.view is None or start == stop:
            return start, stop
        return self.view.place(start, stop)

    def _origin(self, places: np.ndarray) -> np.ndarray:
        return places if self.view is None else self.view.starts[places]

    def pieces(self, first: int, last: int) -> tuple[int, int] | None:
        """Which pieces hold a stretch of the text.

        first (int): Its first character. last (int): Its last one.
        RETURNS (Optional[Tuple[int, int]]): The piece that begins the first character,
            -1 where the stretch begins before this part, and the piece that completes
            the last character. None where it lies outside.
        """
        if last < self.start or first >= self.end:
            return None
        # A character that no piece begins belongs to the piece before it.
        holders = np.searchsorted(self.starts, (first, last), side="right") - 1
        if first < self.start:
            return -1, max(int(holders[1]), 0)
        own = self.starts[max(holders[0], 0)]
        begin = np.searchsorted(self.starts, own, side="left")
        return int(begin), max(int(holders[1]), 0)


@dataclass(frozen=True)
class Window:
    """A run of pieces that is scored at once."""

    ids: np.ndarray  # (n_tokens,) int32, framed
    part: Part
    first: int  # pieces of the part
    stop: int
    n_before: int  # tokens that the tokenizer puts before the pieces

    @property
    def place(self) -> tuple[int, int]:
        """RETURNS (Tuple[int, int]): Characters of the text, start and end."""
        left, right = self.part.tokens.place(self.first, self.stop)
        return self.part.place(self.part.first + left, self.part.first + right)

    def tokens_of(self, pieces: np.ndarray) -> np.ndarray:
        """pieces (ndarray): Of this window, from 0.
        RETURNS (ndarray): The tokens of `ids` after which the text up to them is
            scored: of the last piece, the last of all."""
        last = self.stop - self.first - 1
        return np.where(pieces == last, len(self.ids) - 1, self.n_before + pieces)


@dataclass(frozen=True)
class Run:
    """The windows of one part."""

    part: Part
    index: int  # of the first window
    firsts: list[int]
    stops: list[int]


@dataclass(frozen=True)
class Cut:
    """The windows of one text before they are scored."""

    windows: list[Window]  # none where the text has no pieces
    truncated: bool  # a limit of the user's left part of the text out

    @property
    def ids(self) -> list[np.ndarray]:
        """RETURNS (List[ndarray]): The token ids of each window, framed."""
        return [window.ids for window in self.windows]

    @cached_property
    def runs(self) -> list[Run]:
        """RETURNS (List[Run]): The windows, part by part."""
        runs: list[Run] = []
        for i, window in enumerate(self.windows):
            if not runs or runs[-1].part is not window.part:
                runs.append(Run(window.part, i, [], []))
            runs[-1].firsts.append(window.first)
            runs[-1].stops.append(window.stop)
        return runs


def cut_text(
    text: str,
    tokenizer: TextTokenizer,
    settings: Settings,
    *,
    max_chars: int | None = None,
    normalize: bool = False,
) -> Cut:
    """Cut a text into windows.

    text (str): Any text.
    tokenizer (TextTokenizer): The model's.
    settings (Settings): Of the windows.
    max_chars (Optional[int]): The most characters that are kept, half of them from
        each end.
    normalize (bool): Append the windows of the second view, where they read otherwise.
    RETURNS (Cut): The windows.
    RAISES (ScoringError): The text holds half of a surrogate pair.
    """
    cut = _cut_view(text, None, tokenizer, settings, max_chars)
    if not normalize or (view := normalize_text(text)).text == text:
        return cut
    # Windows that read the same have their scores already. At another place they have
    # not: spans and the curve there would miss what the view reads.
    known = {(own.ids.tobytes(), own.place) for own in cut.windows}
    second = _cut_view(view.text, view, tokenizer, settings, max_chars)
    others = [
        own for own in second.windows if (own.ids.tobytes(), own.place) not in known
    ]
    return Cut(cut.windows + others, cut.truncated or second.truncated)


def _cut_view(
    text: str,
    view: Normalized | None,
    tokenizer: TextTokenizer,
    settings: Settings,
    max_chars: int | None,
) -> Cut:
    window = settings.window - tokenizer.n_special
    windows = []
    stretches = _stretches(len(text), max_chars)
    for start, end in stretches:
        part = Part(start, tokenizer.encode(text[start:end]), view)
        ids = part.tokens.ids
        for first, stop in split_windows(
            len(ids), window=window, stride=settings.stride
        ):
            framed = tokenizer.frame(ids[first:stop])
            windows.append(Window(framed, part, first, stop, len(tokenizer.prefix)))
    kept = keep_ends(windows, settings.max_windows)
    return Cut(kept, len(stretches) > 1 or len(kept) < len(windows))


def _stretches(n_chars: int, max_chars: int | None) -> list[tuple[int, int]]:
    """The stretches of a text that a limit leaves: all, or its two ends."""
    if max_chars is None or n_chars <= max_chars:
        return [(0, n_chars)]
    last = max_chars // 2
    return [(0, max_chars - last), (n_chars - last, n_chars)]


def split_windows(n_tokens: int, *, window: int, stride: int) -> list[tuple[int, int]]:
    """Cut a text into windows.

    n_tokens (int): Pieces of the text.
    window (int): Pieces of a window.
    stride (int): Pieces from the start of one window to that of the next.
    RETURNS (List[Tuple[int, int]]): Start and stop of each window, none for a text
        without pieces.
    """
    windows: list[tuple[int, int]] = []
    start = 0
    while n_tokens and (not windows or windows[-1][1] < n_tokens):
        windows.append((start, min(start + window, n_tokens)))
        start += stride
    return windows


def keep_ends(windows: list[T], max_windows: int | None) -> list[T]:
    """Of too many windows, keep the first and the last halves: payloads hide at
    either end.

    windows (List[T]): All windows of a text.
    max_windows (Optional[int]): How many to keep, None for all.
    RETURNS (List[T]): The windows kept, in order.
    """
    if max_windows is None or len(windows) <= max_windows:
        return windows
    last = max_windows // 2
    return windows[: max_windows - last] + windows[len(windows) - last :]
