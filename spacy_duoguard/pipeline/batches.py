"""Batches of docs whose texts are tokenized while the next docs are made."""

import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc

from ..engine import launched
from ..engine.settings import check_count
from ..engine.text.ahead import SplitAhead
from ..engine.text.split import Limits
from ..errors import Errors, ScoringError
from . import fail_closed
from .architecture import get_shim
from .conversation import is_chat


class DocBatch(list[Doc]):
    """A batch of docs for `predict`, with what is already known of them."""

    def __init__(
        self,
        docs: Iterable[Doc] = (),
        texts: Mapping[int, tuple[Doc, str]] | None = None,
        ahead: SplitAhead | None = None,
    ) -> None:
        """docs (Iterable[Doc]): The docs.
        texts (Optional[Mapping[int, Tuple[Doc, str]]]): The text of some of them, by
            their `id`.
        ahead (Optional[SplitAhead]): Where these texts were added."""
        super().__init__(docs)
        self.is_marked = False  # as failed
        self._n_chars = 0
        self._texts = dict(texts or {})
        self.ahead = ahead

    @classmethod
    def of(cls, docs: Iterable[Doc]) -> "DocBatch":
        """docs (Iterable[Doc]): The docs.
        RETURNS (DocBatch): The same, if it's a batch already.
        RAISES (ScoringError): They aren't docs."""
        if isinstance(docs, DocBatch):
            return docs
        return cls(fail_closed.check_docs(docs))

    def read_ahead(self, doc: Doc) -> None:
        """Let the text of a doc be tokenized.

        doc (Doc): One of the docs.
        """
        # A doc joins its text anew at every access.
        text = doc.text
        self._texts[id(doc)] = doc, text
        self._n_chars += len(text)
        # Turns are read from the curve, which is not computed ahead.
        if self.ahead is not None and not (self.ahead.scores and is_chat(doc)):
            self.ahead.add(text)

    @property
    def is_full(self) -> bool:
        """RETURNS (bool): Whether these are as many as the device computes at once."""
        is_apart = self.ahead is not None and self.ahead.scores
        return is_apart and self._n_chars >= launched.PART_CHARS

    @property
    def is_busy(self) -> bool:
        """RETURNS (bool): Whether a thread is at work on the texts."""
        return self.ahead is not None and self.ahead.is_busy

    def close(self) -> None:
        """Wait for the thread that tokenizes, and forget what it did."""
        if self.ahead is not None:
            self.ahead.close()
            self.ahead = None

    def read_texts(self) -> list[str]:
        """RETURNS (List[str]): The text of each doc."""
        texts = []
        for doc in self:
            known = self._texts.get(id(doc))
            # A list can be changed: this must be the text of this very doc.
            is_same = known is not None and known[0] is doc
            texts.append(known[1] if known is not None and is_same else doc.text)
        return texts

    def __getitem__(self, index: Any) -> Any:
        """index (Union[int, slice]): One doc, or some of them.
        RETURNS (Union[Doc, DocBatch]): A slice is a batch of docs too."""
        docs = super().__getitem__(index)
        if isinstance(index, slice):
            return DocBatch(docs, self._texts, self.ahead)
        return docs


def read_batches(
    component: TrainablePipe, stream: Iterable[Doc], size: int
) -> Generator[DocBatch, None, None]:
    """Read docs in batches, whose texts are tokenized before they are complete. No doc
    is read that wouldn't be read anyway.

    Where the device computes apart from the host, batches are smaller than asked for,
    and it computes some of them while the docs of the next are made.

    component (DuoGuard): The component.
    stream (Iterable[Doc]): The docs.
    size (int): Number of docs to score together, at most.
    YIELDS (DocBatch): The docs, marked as failed.
    RAISES (SettingsError): The size isn't a positive integer: spaCy would drop all
        docs, or fail.
    RAISES (ScoringError): The stream can't be iterated over.
    """
    check_count("batch_size", size)
    if not isinstance(stream, Iterable):
        raise ScoringError(Errors.E323.format(kind=type(stream).__name__))
    docs = iter(stream)
    waiting: deque[DocBatch] = deque()
    try:
        while True:
            # Not more: whoever makes the docs may wait for the results of these.
            for batch in _divide(component, islice(docs, min(size, sys.maxsize))):
                waiting.append(batch)
                if len(waiting) > launched.MOST_WAITING:
                    yield waiting.popleft()
            if not waiting:
                return
            while waiting:
                yield waiting.popleft()
    finally:
        for batch in waiting:
            batch.close()


def _divide(component: TrainablePipe, stream: Iterable[Doc]) -> Iterator[DocBatch]:
    """YIELDS (DocBatch): All docs, or as many as the device computes at once."""
    batch, complete = DocBatch(), DocBatch()
    try:
        for doc in stream:
            if not batch:
                batch.ahead = _begin(component)
            batch.append(doc)
            # Not the place to fail: the docs aren't marked as failed yet.
            with suppress(Exception):
                batch.read_ahead(doc)
            if complete and (batch.is_full or not complete.is_busy):
                yield _launch(complete)
                complete = DocBatch()
            if batch.is_full:
                complete, batch = _complete(component, batch), DocBatch()
        for part in (complete, _complete(component, batch)):
            if part:
                yield _launch(part)
    except BaseException:
        if not batch.is_marked:
            fail_closed.mark_docs(component, batch)
        for part in (complete, batch):
            part.close()
        raise


def _complete(component: TrainablePipe, batch: DocBatch) -> DocBatch:
    """Mark the docs as failed, and let their texts be tokenized."""
    fail_closed.mark_docs(component, batch)
    batch.is_marked = True
    if batch.ahead is not None and batch.ahead.scores:
        batch.ahead.begin()
    return batch


def _launch(batch: DocBatch) -> DocBatch:
    if batch.ahead is not None:
        with suppress(Exception):  # it's met again when they are scored
            batch.ahead.launch()
    return batch


def _begin(component: TrainablePipe) -> SplitAhead | None:
    """RETURNS (Optional[SplitAhead]): None before the weights are loaded, or if the
    settings can't be used."""
    try:
        shim, cfg = get_shim(component.model), component.cfg
        if not shim.is_loaded:
            return None
        limits = Limits(cfg["max_chars"], cfg["normalize"], shim.views)
        # Spans that aren't scored in context are texts of their own.
        offsets = bool(cfg["curve"] or component.in_context)
        return shim.classifier.split_ahead(limits, offsets=offsets, scores=not offsets)
    except Exception:  # met again when the docs are scored
        return None
