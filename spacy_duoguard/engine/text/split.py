"""From texts to windows of token ids, one at a time or several at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..settings import Settings
from .batches import BegunBatch
from .tokenizer import TextTokenizer
from .tokens import Tokens
from .views.functions import ViewFunctions, read_views
from .views.view import View
from .windows import Segment, Window, WindowedText, keep_ends, split_windows

# Fewer than most texts have: nearly all texts of several windows are then known as such
# before they are tokenized.
_CHARS_PER_TOKEN = 3

# What is tokenized: the text itself (with None), and how it reads.
_Views = list[tuple[str, View | None]]


@dataclass(frozen=True)
class Limits:
    """How much of a text is read, and in which views."""

    max_chars: int | None = None  # keep at most as many, half from each end
    normalize: bool = False  # append the windows of the views that read differently
    views: ViewFunctions = ()  # as for `read_views`


def split_text(
    text: str, tokenizer: TextTokenizer, settings: Settings, limits: Limits = Limits()
) -> WindowedText:
    """Tokenize a text and cut it into windows.

    text (str): Any text.
    tokenizer (TextTokenizer): The model's tokenizer.
    settings (Settings): The size, the stride and the number of windows.
    limits (Limits): What to read of the text.
    RETURNS (WindowedText): The windows.
    RAISES (ScoringError): As `TextTokenizer.encode`.
    """
    splitter = _Splitter(tokenizer, settings, limits)
    return splitter.split(splitter.views(text), tokenizer.encode)


def begin_texts(
    texts: Sequence[str],
    tokenizer: TextTokenizer,
    settings: Settings,
    limits: Limits = Limits(),
    *,
    offsets: bool = False,
) -> list[BegunBatch]:
    """Tokenize texts for `split_texts`, while other Python threads go on.

    texts (Sequence[str]), tokenizer, settings, limits, offsets: As for `split_texts`.
    RETURNS (List[BegunBatch]): The tokens of the texts, without their views. Some of
        the texts can be missing.
    """
    splitter = _Splitter(tokenizer, settings, limits)
    whole = [text for text in texts if len(splitter.kept(text)) == 1]
    needs = splitter.needs(offsets=offsets)
    return tokenizer.batches.begin(whole, **needs)


def split_texts(
    texts: Sequence[str],
    tokenizer: TextTokenizer,
    settings: Settings,
    limits: Limits = Limits(),
    *,
    offsets: bool = False,
    begun: Iterable[BegunBatch] = (),
    in_threads: bool = True,
) -> list[WindowedText | Exception]:
    """Tokenize texts and cut them into windows.

    texts (Sequence[str]), tokenizer, settings, limits: As for `split_text`.
    offsets (bool): Whether the offsets of tokens will be read, to score spans or
        prefixes of the texts.
    begun (Iterable[BegunBatch]): From `begin_texts`, for some of the texts.
    in_threads (bool): As for `TextTokenizer.encode_batch`.
    RETURNS (List[Union[WindowedText, Exception]]): For each text what `split_text`
        returns or raises.
    """
    splitter = _Splitter(tokenizer, settings, limits)
    views = [splitter.try_views(text) for text in texts]
    encoded = tokenizer.batches.finish(begun)
    strings = list(
        dict.fromkeys(
            string[start:end]
            for of_text in views
            if not isinstance(of_text, Exception)
            for string, _ in of_text
            for start, end in splitter.kept(string)
            if string[start:end] not in encoded
        )
    )
    needs = splitter.needs(offsets=offsets)
    tokens = tokenizer.encode_batch(strings, **needs, in_threads=in_threads)
    encoded.update(zip(strings, tokens, strict=True))

    def encode(string: str) -> Tokens:
        tokens = encoded[string]
        if isinstance(tokens, Exception):
            raise tokens.with_traceback(None)
        return tokens

    return [splitter.attempt(of_text, encode) for of_text in views]


@dataclass(frozen=True)
class _Splitter:
    tokenizer: TextTokenizer
    settings: Settings
    limits: Limits

    @cached_property
    def size(self) -> int:
        """The tokens of a window, without special ones."""
        return self.settings.window - self.tokenizer.n_special

    @cached_property
    def n_prefix(self) -> int:
        """The special tokens before them."""
        return len(self.tokenizer.prefix)

    def needs(self, *, offsets: bool) -> dict[str, Any]:
        """Which offsets to read, for `encode_batch`: the ends of windows are found by
        them, if a text has several."""
        longest = 0 if offsets else _CHARS_PER_TOKEN * self.settings.window
        return {
            "offsets": lambda string: len(string) > longest,
            "least": 0 if offsets else self.size + 1,
        }

    def views(self, text: str) -> _Views:
        if not self.limits.normalize:
            return [(text, None)]
        read = read_views(text, self.limits.views)
        return [(text, None), *((view.text, view) for view in read)]

    def try_views(self, text: str) -> _Views | Exception:
        """The views of users can fail, as any code."""
        try:
            return self.views(text)
        except Exception as e:
            return e

    def kept(self, text: str) -> list[tuple[int, int]]:
        """The characters that a limit leaves: all of them, or the two ends."""
        n_chars, max_chars = len(text), self.limits.max_chars
        if max_chars is None or n_chars <= max_chars:
            return [(0, n_chars)]
        last = max_chars // 2
        return [(0, max_chars - last), (n_chars - last, n_chars)]

    def attempt(
        self, views: _Views | Exception, encode: Callable[[str], Tokens]
    ) -> WindowedText | Exception:
        if isinstance(views, Exception):
            return views
        try:
            return self.split(views, encode)
        except Exception as e:
            return e

    def split(self, views: _Views, encode: Callable[[str], Tokens]) -> WindowedText:
        plain, *others = [self._split_view(*view, encode) for view in views]
        if not others:
            return plain
        # A window with the same ids at the same place is already scored. At another
        # place it isn't: spans and the curve there would miss what the view reads.
        windows = list(plain.windows)
        known = {(window.ids.tobytes(), window.char_span) for window in windows}
        for other in others:
            for window in other.windows:
                key = window.ids.tobytes(), window.char_span
                if key not in known:
                    known.add(key)
                    windows.append(window)
        truncated_view = any(other.truncated for other in others)
        return WindowedText(windows, plain.truncated or truncated_view, truncated_view)

    def _split_view(
        self, text: str, view: View | None, encode: Callable[[str], Tokens]
    ) -> WindowedText:
        add_special_tokens = self.tokenizer.add_special_tokens
        settings, windows = self.settings, []
        kept_spans = self.kept(text)
        for start, end in kept_spans:
            segment = Segment(start, encode(text[start:end]), view)
            ids = segment.tokens.ids
            spans = split_windows(len(ids), window=self.size, stride=settings.stride)
            windows += [
                Window(
                    add_special_tokens(ids[first:stop]),
                    *(segment, first, stop, self.n_prefix),
                )
                for first, stop in spans
            ]
        kept = keep_ends(windows, settings.max_windows)
        return WindowedText(kept, len(kept_spans) > 1 or len(kept) < len(windows))
