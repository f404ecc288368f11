"""Docs joined from parts, so that their gold stays where it is."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from spacy.tokens import Doc, Span, SpanGroup
from spacy.vocab import Vocab

from ..pipeline.gold import read_listed


class Parts:
    """The words of a doc, added part by part. Each part has its own tokens."""

    def __init__(self, vocab: Vocab) -> None:
        """vocab (Vocab): The vocabulary of the docs."""
        self.vocab = vocab
        self.words: list[str] = []
        self.spaces: list[bool] = []
        self.sent_starts: list[bool | int | None] = []

    def __len__(self) -> int:
        return len(self.words)

    def add(self, doc: Doc, *, space: bool, sent_starts: Sequence[bool]) -> None:
        """doc (Doc): The tokens of the part.
        space (bool): Whether a space follows.
        sent_starts (Sequence[bool]): Whether each token begins a sentence."""
        self.words += [token.text for token in doc]
        self.spaces += [bool(token.whitespace_) for token in doc]
        self.sent_starts += sent_starts
        if space and len(doc):
            if self.spaces[-1]:
                self.words.append(" ")
                self.spaces.append(False)
                self.sent_starts.append(False)
            else:
                self.spaces[-1] = True

    def make(self, *, sentences: bool) -> Doc:
        """sentences (bool): Whether to set the sentences.
        RETURNS (Doc): The doc."""
        sent_starts = [*self.sent_starts] if sentences else None
        return Doc(
            self.vocab, words=self.words, spaces=self.spaces, sent_starts=sent_starts
        )


def has_sentences(doc: Doc) -> bool:
    """doc (Doc): A doc.
    RETURNS (bool): Whether its sentences are set."""
    return bool(doc.has_annotation("SENT_START"))


def sentence_starts(doc: Doc) -> list[bool]:
    """doc (Doc): A doc.
    RETURNS (List[bool]): Whether each token begins a sentence; the whole doc is one
        where none are set."""
    is_set = has_sentences(doc)
    return [token.i == 0 or (is_set and bool(token.is_sent_start)) for token in doc]


def split_at_gold(doc: Doc) -> list[tuple[int, int]]:
    """doc (Doc): A reference doc.
    RETURNS (List[Tuple[int, int]]): Token offsets that divide the doc so that each
        entity, span and sentence begins and ends at one."""
    bounds = {0, len(doc)}
    rejected = (s for group in doc.spans.values() for s in rejected_spans(group))
    for span in (*doc.ents, *_grouped(doc), *rejected):
        bounds |= {span.start, span.end}
    if has_sentences(doc):
        bounds |= {sent.start for sent in doc.sents}
    return list(pairwise(sorted(bounds)))


def rejected_spans(group: SpanGroup) -> list[Span]:
    """group (SpanGroup): A group of a reference doc.
    RETURNS (List[Span]): What it says was rejected (see `REJECTED`), by whole tokens.
    RAISES (SettingsError): The list is damaged."""
    listed = read_listed(group) or ()
    spans = [
        group.doc.char_span(start, end, label, alignment_mode="expand")
        for start, end, label in listed
    ]
    return [span for span in spans if span is not None]


def _grouped(doc: Doc) -> Iterable:
    return (span for group in doc.spans.values() for span in group)
