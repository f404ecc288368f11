"""Tokenizing texts in the background while the caller prepares the next ones."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from ..network.threads import leave_parents_threads
from ..settings import Settings
from .parallel import can_share
from .split import Limits, split_text, split_texts
from .tokenizer import TextTokenizer
from .windows import WindowedText

# Texts that a thread starts with. Fewer cost more threads; more leave the caller to
# wait longer for the last ones.
_LEAST = 24

Split = Callable[[Sequence[str]], list[WindowedText | Exception]]
# Starts to score texts, given their windows.
Launch = Callable[[Mapping[str, WindowedText]], Any]


class SplitAhead:
    """Splits texts into windows in a thread, as many at once as have come in meanwhile.
    Those that `launch` starts to score are split all at once, when `begin` is called.

    A thread ends with its texts: none waits for more. Which texts are split together
    depends on the time, but not what becomes of any of them.
    """

    def __init__(
        self, split: Split, made_for: Any = None, launch: Launch | None = None
    ) -> None:
        """split (Callable): Splits texts, and can be called in a thread.
        made_for (Any): What its results depend on.
        launch (Optional[Callable]): Starts to score texts."""
        self.made_for = made_for
        self.launched: list[Any] = []  # what `launch` returned; read it after `close`
        self._split = split
        self._launch = launch
        self._seen: dict[str, None] = {}  # in order
        self._waiting: list[str] = []
        self._done: dict[str, WindowedText | Exception] = {}
        self._thread: threading.Thread | None = None

    def add(self, text: str) -> None:
        """text (str): A text that `finish` will be asked for."""
        if text in self._seen:
            return
        self._seen[text] = None
        self._waiting.append(text)
        # Where the device computes meanwhile, the host is the one that is late, and
        # each start of a thread costs the caller Python's lock.
        if self._launch is None and len(self._waiting) >= _LEAST and not self.is_busy:
            self._start()

    def begin(self) -> None:
        """Split all texts at once while the caller goes on."""
        if self._waiting and not self.is_busy:
            self._start()

    @property
    def is_busy(self) -> bool:
        """RETURNS (bool): Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def launch(self) -> None:
        """Start to score the texts that were added, if the device computes apart from
        the host, once they are split. In the caller's thread: another one would have
        to wait for Python's lock at every operation.

        RAISES (Exception): Memory ran out, or what else can go wrong. They can be
            scored later.
        """
        if self._launch is None or not self._seen:
            return
        launch, results = self._launch, self.finish(self._seen)
        windows = {
            text: result
            for text in self._seen
            if isinstance(result := results[text], WindowedText)
        }
        if windows:
            self.launched.append(launch(windows))

    def finish(self, texts: Iterable[str]) -> Mapping[str, WindowedText | Exception]:
        """Wait for the thread, and split here what it left.

        texts (Iterable[str]): Texts, added before or not.
        RETURNS (Mapping[str, Union[WindowedText, Exception]]): For each text what
            `split` returned.
        """
        self.close()
        self._launch = None  # the caller scores the others, whatever it asks of them
        # In a fork there is no thread that could have split the texts.
        missing = [text for text in dict.fromkeys(texts) if text not in self._done]
        self._work(missing)
        return self._done

    @property
    def scores(self) -> bool:
        """RETURNS (bool): Whether `launch` starts to score texts."""
        return self._launch is not None

    def close(self) -> None:
        """Wait for the thread."""
        self._waiting = []
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _start(self) -> None:
        texts, self._waiting = self._waiting, []
        self._thread = threading.Thread(
            target=self._try_work, args=(texts,), name="spacy-duoguard tokenizer"
        )
        try:
            self._thread.start()
        except RuntimeError:  # no more threads, or the interpreter ends
            self._thread = None

    def _try_work(self, texts: Sequence[str]) -> None:
        try:
            self._work(texts)
        except Exception:  # `finish` meets it again, where it can be handled
            return

    def _work(self, texts: Sequence[str]) -> None:
        if texts:
            self._done.update(zip(texts, self._split(texts), strict=True))


def may_use_threads(device: torch.device) -> bool:
    """device (torch.device): The decoder's device.
    RETURNS (bool): Whether other threads than the caller's can tokenize."""
    return can_share() and (device.type != "cpu" or torch.get_num_threads() > 1)


def split_ahead(
    tokenizer: TextTokenizer,
    settings: Settings,
    limits: Limits,
    *,
    device: torch.device,
    offsets: bool = False,
    launch: Launch | None = None,
) -> SplitAhead | None:
    """tokenizer, settings, limits, offsets: As for `split_texts`.
    device (torch.device): The decoder's device.
    launch (Optional[Callable]): As for `SplitAhead`.
    RETURNS (Optional[SplitAhead]): For texts that will be scored; None if this process
        should use one thread. Whether it should never depends on load: it uses several
        for a device other than the CPU, and where torch does, but not in a fork."""
    leave_parents_threads()
    if not may_use_threads(device):
        return None

    def split(texts: Sequence[str]) -> list[WindowedText | Exception]:
        return split_texts(texts, tokenizer, settings, limits, offsets=offsets)

    return SplitAhead(split, (tokenizer, settings, limits), launch)


def split_all(
    texts: Sequence[str],
    tokenizer: TextTokenizer,
    settings: Settings,
    limits: Limits,
    *,
    device: torch.device,
    offsets: bool,
    ahead: SplitAhead | None = None,
) -> dict[str, WindowedText]:
    """texts (Sequence[str]): What to split into windows.
    tokenizer, settings, limits, device, offsets: As for `split_ahead`.
    ahead (Optional[SplitAhead]): Where some of the texts were added.
    RETURNS (Dict[str, WindowedText]): The windows of each text.
    RAISES (Exception): What `split_text` raises for the first text that can't be
        tokenized."""
    texts = list(dict.fromkeys(texts))
    if ahead is None or ahead.made_for != (tokenizer, settings, limits):
        ahead = None
        if len(texts) > 1:  # for one, several threads gain nothing
            ahead = split_ahead(
                tokenizer, settings, limits, device=device, offsets=offsets
            )
    if ahead is None:
        return {text: split_text(text, tokenizer, settings, limits) for text in texts}
    results = ahead.finish(texts)
    windows: dict[str, WindowedText] = {}
    for text in texts:
        result = results[text]
        if isinstance(result, Exception):
            raise result
        windows[text] = result
    return windows
