"""Tokenizing texts in the background while the caller prepares the next ones."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import torch

from ..network.threads import leave_parents_threads
from ..settings import Settings
from .batches import BegunBatch
from .parallel import can_share
from .split import Limits, begin_texts, split_text, split_texts
from .tokenizer import TextTokenizer
from .windows import WindowedText

# Texts that the thread is given at once, at least. Fewer cost the caller Python's lock
# more often; more leave it to wait longer for the last ones.
_LEAST = 32

# Characters that it's given at once, unless they are one text: what is left when the
# texts are asked for is tokenized by the caller.
_MOST_CHARS = 2**15

Begin = Callable[[Sequence[str]], list[BegunBatch]]
Split = Callable[[Sequence[str], Iterable[BegunBatch]], list[WindowedText | Exception]]
# Starts to score texts, given their windows.
Launch = Callable[[Mapping[str, WindowedText]], Any]


class SplitAhead:
    """Tokenizes texts in a thread, as many at once as have come in meanwhile, and
    splits them into windows when they are asked for. Those that `launch` starts to
    score are tokenized all at once, when `begin` is called.

    The thread does nothing that needs Python's lock for long, and ends with `close`, or
    when nobody refers to its texts any more. Which texts are tokenized together depends
    on the time, but not what becomes of any of them.
    """

    def __init__(
        self,
        begin: Begin,
        split: Split,
        made_for: Any = None,
        launch: Launch | None = None,
    ) -> None:
        """begin (Callable): Tokenizes texts, and can be called in a thread.
        split (Callable): Splits texts, given what `begin` returned for some of them.
        made_for (Any): What the results depend on.
        launch (Optional[Callable]): Starts to score texts."""
        self.made_for = made_for
        self.launched: list[Any] = []  # what `launch` returned; read it after `close`
        self._begin = begin
        self._split = split
        self._launch = launch
        self._seen: dict[str, None] = {}  # in order
        self._waiting: deque[str] = deque()
        self._begun: list[BegunBatch] = []
        # A future would have a lock, which a fork could inherit while it's held.
        self._is_busy = False
        self._done: dict[str, WindowedText | Exception] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def add(self, text: str) -> None:
        """text (str): A text that `finish` will be asked for."""
        if text in self._seen:
            return
        self._seen[text] = None
        self._waiting.append(text)
        # Where the device computes meanwhile, the host is the one that is late, and
        # each text that comes back costs the caller Python's lock.
        if self._launch is None and len(self._waiting) >= _LEAST and not self.is_busy:
            self._submit(_MOST_CHARS)

    def begin(self) -> None:
        """Tokenize all texts at once while the caller goes on."""
        if self._waiting and not self.is_busy:
            self._submit(sum(map(len, self._waiting)))

    @property
    def is_busy(self) -> bool:
        """RETURNS (bool): Whether the thread is at work."""
        return self._is_busy

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
        """Wait for the thread, and tokenize here what it left.

        texts (Iterable[str]): Texts, added before or not.
        RETURNS (Mapping[str, Union[WindowedText, Exception]]): For each text what
            `split` returned.
        """
        self.close()
        self._launch = None  # the caller scores the others, whatever it asks of them
        missing = [text for text in dict.fromkeys(texts) if text not in self._done]
        if missing:
            begun, self._begun = self._begun, []
            self._done.update(zip(missing, self._split(missing, begun), strict=True))
        return self._done

    @property
    def scores(self) -> bool:
        """RETURNS (bool): Whether `launch` starts to score texts."""
        return self._launch is not None

    def close(self) -> None:
        """Wait for the thread."""
        self._waiting.clear()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _submit(self, most_chars: int) -> None:
        """Let the thread tokenize the texts that wait, up to a number of characters."""
        # In a fork, nobody may release the locks.
        if os.getpid() != self._process or not can_share():
            return
        texts: list[str] = []
        while self._waiting and most_chars > 0:
            texts.append(self._waiting.popleft())
            most_chars -= len(texts[-1])
        if self._executor is None:
            self._executor = ThreadPoolExecutor(
                1, thread_name_prefix="spacy-duoguard tokenizer"
            )
        try:
            self._is_busy = True
            self._executor.submit(self._work, texts)
        except RuntimeError:  # there can be no more threads, or the interpreter ends
            self._is_busy = False

    def _work(self, texts: Sequence[str]) -> None:
        with suppress(Exception):  # `finish` meets it again, where it can be handled
            self._begun += self._begin(texts)
        self._is_busy = False


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

    of_texts = (tokenizer, settings, limits)

    def begin(texts: Sequence[str]) -> list[BegunBatch]:
        return begin_texts(texts, *of_texts, offsets=offsets)

    def split(
        texts: Sequence[str], begun: Iterable[BegunBatch]
    ) -> list[WindowedText | Exception]:
        return split_texts(texts, *of_texts, offsets=offsets, begun=begun)

    return SplitAhead(begin, split, of_texts, launch)


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
    texts, of_texts = list(dict.fromkeys(texts)), (tokenizer, settings, limits)
    if len(texts) < 2 and ahead is None:  # nothing to gain
        return {text: split_text(text, *of_texts) for text in texts}
    results: Mapping[str, WindowedText | Exception]
    if ahead is not None and ahead.made_for == of_texts:
        results = ahead.finish(texts)
    else:
        leave_parents_threads()
        in_threads = may_use_threads(device)
        split = split_texts(texts, *of_texts, offsets=offsets, in_threads=in_threads)
        results = dict(zip(texts, split, strict=True))
    windows: dict[str, WindowedText] = {}
    for text in texts:
        result = results[text]
        if isinstance(result, Exception):
            raise result
        windows[text] = result
    return windows
