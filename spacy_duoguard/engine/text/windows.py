"""Windows, and how to map their tokens to the characters they stand for.

A text that is longer than one window is cut into overlapping ones:

    tokens   0 . . . . . . . . . . . . . . . . . . n
    window 1 [-----------]
    window 2         [-----------]
    window 3                 [----------]
             |stride|
                     |--| overlap = window - stride

They start at 0, stride, 2 · stride, …; the first one to reach the end is the last.
Every run of tokens up to the overlap is complete in some window.

All ranges are half-open, in one of these coordinate systems:

    characters   offsets into the text that was given
    view         offsets into one of its views, where there is one
    tokens       indices into the tokens of a segment, which is tokenized as a whole
    positions    indices into the ids of a window, special tokens included
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np

from .tokens import Tokens
from .views.view import TEXT, View

T = TypeVar("T")


@dataclass(frozen=True)
class Segment:
    """A part that is tokenized as a whole: a text, a view of it, or the start or the
    end of one of them, if `max_chars` leaves out the middle."""

    offset: int  # where it begins: characters, of the view if there is one
    tokens: Tokens
    view: View | None  # None for the text itself

    @cached_property
    def start(self) -> int:
        """RETURNS (int): Its first character."""
        return self._char_span(0, self.tokens.n_chars)[0]

    @cached_property
    def end(self) -> int:
        """RETURNS (int): One after its last character."""
        return self._char_span(0, self.tokens.n_chars)[1]

    @property
    def name(self) -> str:
        """RETURNS (str): The name of the view, or "text"."""
        return TEXT if self.view is None else self.view.name

    @cached_property
    def token_starts(self) -> np.ndarray:
        """RETURNS (ndarray): (n_tokens,), the character at which each token begins,
        ascending: in a view that reads in another order, the first character of it and
        all tokens after it."""
        starts = self.offset + np.maximum.accumulate(self.tokens.offsets[:, 0])
        if self.view is not None:
            starts = np.minimum.accumulate(self.view.starts[starts][::-1])[::-1]
        return starts

    @cached_property
    def token_ends(self) -> np.ndarray:
        """RETURNS (ndarray): (n_tokens,), one after the last character of each token,
        ascending: in a view that reads in another order, one after the last character
        of it and all tokens before it. Characters in which no token begins belong to
        the token before."""
        ends = self.offset + np.maximum.accumulate(self.tokens.offsets[:, 1])
        if self.view is not None:
            ends = self.view.ends[np.maximum(ends - 1, 0)]
        ends = np.maximum(ends, np.append(self.token_starts[1:], self.end))
        return np.maximum.accumulate(ends)

    def char_span(self, start: int, stop: int) -> tuple[int, int]:
        """start (int), stop (int): Tokens.
        RETURNS (Tuple[int, int]): The characters that they cover."""
        return self._char_span(*self.tokens.char_span(start, stop))

    def read(self, start: int, stop: int) -> str | None:
        """start (int), stop (int): Tokens.
        RETURNS (Optional[str]): How the view reads there; None for the text itself."""
        if self.view is None:
            return None
        first, last = self.tokens.char_span(start, stop)
        return self.view.text[self.offset + first : self.offset + last]

    def token_span(self, start: int, end: int) -> tuple[int, int] | None:
        """start (int), end (int): Characters, at least one.
        RETURNS (Optional[Tuple[int, int]]): The tokens that hold them: from the one in
            which the first character begins to the one that completes the last. None
            for characters outside of this segment."""
        if end <= self.start or start >= self.end:
            return None
        # A character in which no token begins belongs to the token before it.
        holders = np.searchsorted(self.token_starts, (start, end - 1), side="right") - 1
        first, last = np.maximum(holders, 0)
        if start < self.start:
            return 0, int(last) + 1
        begin = np.searchsorted(self.token_starts, self.token_starts[first])
        return int(begin), int(last) + 1

    def _char_span(self, start: int, end: int) -> tuple[int, int]:
        """From offsets into the segment to characters."""
        start, end = self.offset + start, self.offset + end
        if self.view is None or start == end:
            return start, end
        return self.view.char_span(start, end)


class Window(NamedTuple):
    """A run of tokens that is scored at once."""

    ids: np.ndarray  # (n_positions,) int32, special tokens included
    segment: Segment
    start: int  # tokens of the segment
    stop: int
    n_prefix: int  # special tokens before them

    @property
    def n_tokens(self) -> int:
        """RETURNS (int): Its tokens, without special ones."""
        return self.stop - self.start

    @property
    def char_span(self) -> tuple[int, int]:
        """RETURNS (Tuple[int, int]): The characters that it covers."""
        return self.segment.char_span(self.start, self.stop)

    @property
    def read_as(self) -> str | None:
        """RETURNS (Optional[str]): How a view reads here; None for the text itself."""
        return self.segment.read(self.start, self.stop)

    def positions(self, tokens: np.ndarray) -> np.ndarray:
        """tokens (ndarray): Tokens of the segment that lie in this window.
        RETURNS (ndarray): The positions that score the text up to and including each
            token: for the window's last one, after the special tokens that follow."""
        is_last = tokens == self.stop - 1
        return np.where(is_last, len(self.ids) - 1, self.n_prefix + tokens - self.start)


@dataclass(frozen=True)
class SegmentWindows:
    """The windows of one segment, in order."""

    segment: Segment
    first: int  # index of the first window among all windows of the text
    starts: list[int]  # tokens
    stops: list[int]


@dataclass(frozen=True)
class WindowedText:
    """The windows of one text, before they are scored."""

    windows: list[Window]  # empty for a text without tokens
    truncated: bool  # `max_chars` or `max_windows` left out a part of the text
    truncated_view: bool = False  # or of a view

    @property
    def ids(self) -> list[np.ndarray]:
        """RETURNS (List[ndarray]): The ids of each window, special ones included."""
        return [window.ids for window in self.windows]

    @cached_property
    def segments(self) -> list[SegmentWindows]:
        """RETURNS (List[SegmentWindows]): The windows, segment by segment."""
        segments: list[SegmentWindows] = []
        for i, window in enumerate(self.windows):
            if not segments or segments[-1].segment is not window.segment:
                segments.append(SegmentWindows(window.segment, i, [], []))
            segments[-1].starts.append(window.start)
            segments[-1].stops.append(window.stop)
        return segments


def split_windows(n_tokens: int, *, window: int, stride: int) -> list[tuple[int, int]]:
    """Cut a run of tokens into windows.

    n_tokens (int): Its tokens.
    window (int): Tokens of a window.
    stride (int): Tokens from the start of one window to the start of the next.
    RETURNS (List[Tuple[int, int]]): Start and stop of each window; an empty list
        without tokens.
    """
    if 0 < n_tokens <= window:
        return [(0, n_tokens)]
    windows: list[tuple[int, int]] = []
    start = 0
    while n_tokens and (not windows or windows[-1][1] < n_tokens):
        windows.append((start, min(start + window, n_tokens)))
        start += stride
    return windows


def keep_ends(windows: list[T], max_windows: int | None) -> list[T]:
    """Keep the first and the last half of a text's windows if there are too many:
    payloads hide at either end.

    windows (List[T]): All windows of a text.
    max_windows (Optional[int]): How many to keep; None keeps all.
    RETURNS (List[T]): The windows kept, in order.
    """
    if max_windows is None or len(windows) <= max_windows:
        return windows
    last = max_windows // 2
    return windows[: max_windows - last] + windows[len(windows) - last :]
