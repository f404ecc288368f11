"""Batches of docs whose texts are tokenized while the next docs are made."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from spacy import util
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc

from ..engine.settings import check_count
from ..engine.text.ahead import SplitAhead
from ..engine.text.split import Limits
from .architecture import get_shim
from .conversation import is_chat


class DocBatch(list[Doc]):
    """A batch of docs for `predict`, with what is already known of them."""

    def __init__(
        self,
        docs: Iterable[Doc],
        texts: Mapping[int, tuple[Doc, str]],
        ahead: SplitAhead | None,
    ) -> None:
        """docs (Iterable[Doc]): The docs.
        texts (Mapping[int, Tuple[Doc, str]]): The text of some of them, by their `id`.
        ahead (Optional[SplitAhead]): Where these texts were added."""
        super().__init__(docs)
        self._texts = texts
        self.ahead = ahead

    @classmethod
    def of(cls, docs: Iterable[Doc]) -> "DocBatch":
        """docs (Iterable[Doc]): The docs.
        RETURNS (DocBatch): The same, if it's a batch already."""
        return docs if isinstance(docs, DocBatch) else cls(docs, {}, None)

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


class ReadAhead:
    """Watches the docs on their way to a component, and lets their texts be tokenized
    before their batch is complete. No doc is read that wouldn't be read anyway."""

    def __init__(self, component: TrainablePipe) -> None:
        """component (DuoGuard): The component."""
        self._component = component
        self._texts: dict[int, tuple[Doc, str]] = {}
        self._ahead: SplitAhead | None = None

    def watch(self, stream: Iterable[Doc]) -> Iterator[Doc]:
        """stream (Iterable[Doc]): The docs.
        YIELDS (Doc): The same."""
        for doc in stream:
            # Not the place to fail: the docs aren't marked as failed yet.
            with suppress(Exception):
                self._add(doc)
            yield doc

    def read_batches(self, stream: Iterable[Doc], size: int) -> Iterator[list[Doc]]:
        """stream (Iterable[Doc]): The docs.
        size (int): Number of docs in a batch.
        RETURNS (Iterator[List[Doc]]): The same, in batches.
        RAISES (SettingsError): The size isn't a positive integer: spaCy would drop all
            docs, or fail."""
        check_count("batch_size", size)
        return util.minibatch(self.watch(stream), size=min(size, sys.maxsize))

    def take(self, docs: Iterable[Doc]) -> DocBatch:
        """docs (Iterable[Doc]): All docs since the last batch.
        RETURNS (DocBatch): The same, with their texts."""
        texts, self._texts = self._texts, {}
        return DocBatch(docs, texts, self._ahead)

    def close(self) -> None:
        """Wait for the thread, if there is one, and forget what it did."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def _add(self, doc: Doc) -> None:
        if not self._texts:
            self.close()
            self._ahead = _begin(self._component)
        # A doc joins its text anew at every access.
        text = doc.text
        self._texts[id(doc)] = doc, text
        # Turns are read from the curve, which is not computed ahead.
        if self._ahead is not None and not (self._ahead.scores and is_chat(doc)):
            self._ahead.add(text)


def _begin(component: TrainablePipe) -> SplitAhead | None:
    """RETURNS (Optional[SplitAhead]): None before the weights are loaded.
    RAISES (Exception): The settings can't be used."""
    shim = get_shim(component.model)
    if not shim.is_loaded:
        return None
    cfg = component.cfg
    limits = Limits(cfg["max_chars"], cfg["normalize"], shim.views)
    # Spans that aren't scored in context are texts of their own.
    offsets = bool(cfg["curve"] or component.in_context)
    return shim.classifier.split_ahead(limits, offsets=offsets, scores=not offsets)
