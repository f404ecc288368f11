"""An augmenter that disguises texts and keeps their gold."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..disguises.disguise import Disguise, Rewrite
from ..disguises.suite import TO_LEARN, select
from ..errors import Errors, SettingsError
from ..pipeline.gold import REJECTED
from ..pipeline.scored_gold import warn_of_scores
from .segments import (
    Parts,
    has_sentences,
    rejected_spans,
    sentence_starts,
    split_at_gold,
)

_WORD = re.compile(r"\S+")

Augmenter = Callable[[Language, Example], Iterator[Example]]


def create_disguise_augmenter(
    level: float,
    disguises: list[str] | None = None,
    words: float = 1.0,
) -> Augmenter:
    """Create an augmenter that disguises texts. Their gold stays: the categories,
    entities, span groups and sentences. Annotations of tokens, such as tags, don't, as
    the tokens are others.

    level (float): The share of texts to disguise.
    disguises (Optional[List[str]]): The names of the disguises to draw from. By
        default, those that `normalize` doesn't undo.
    words (float): The share of words of such a text to disguise, drawn at random. With
        1.0, the text is disguised as a whole.
    RETURNS (Callable[[Language, Example], Iterator[Example]]): The augmenter.
    RAISES (SettingsError): A share isn't in [0, 1], or a name isn't in the suite.
    """
    for name, value in (("level", level), ("words", words)):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= 1:
            raise SettingsError(Errors.E242.format(name=name, value=value))
    chosen = select(TO_LEARN if disguises is None else disguises)
    return partial(disguise_example, level=level, disguises=chosen, words=words)


def disguise_example(
    nlp: Language,
    example: Example,
    *,
    level: float,
    disguises: Sequence[Disguise],
    words: float = 1.0,
) -> Iterator[Example]:
    """nlp (Language): Makes the new docs.
    example (Example): The example. It isn't changed.
    level (float), words (float): As for `create_disguise_augmenter`.
    disguises (Sequence[Disguise]): The disguises to draw from.
    YIELDS (Example): The example or its disguised copy."""
    if random.random() < level:
        rewrite = random.choice(disguises).apply
        if words < 1:
            rewrite = partial(_rewrite_words, rewrite, words)
        example = _rewrite_example(nlp, example, rewrite)
    yield example


def _rewrite_words(rewrite: Rewrite, share: float, text: str) -> str:
    return _WORD.sub(
        lambda word: rewrite(word[0]) if random.random() < share else word[0], text
    )


def _rewrite_example(nlp: Language, example: Example, rewrite: Rewrite) -> Example:
    reference = example.reference
    parts = Parts(nlp.vocab)
    starts = {0: 0}  # from the old tokens to the new ones, where gold begins or ends
    is_start = sentence_starts(reference)
    for start, end in split_at_gold(reference):
        span = reference[start:end]
        tokens = nlp.make_doc(rewrite(span.text))
        begins = [is_start[start] and i == 0 for i in range(len(tokens))]
        space = bool(reference[end - 1].whitespace_)
        parts.add(tokens, space=space, sent_starts=begins)
        starts[end] = len(parts)
    disguised = parts.make(sentences=has_sentences(reference))
    _copy_gold(reference, disguised, starts)
    predicted = parts.make(sentences=has_sentences(example.predicted))
    return Example(predicted, disguised)


def _copy_gold(source: Doc, target: Doc, starts: dict[int, int]) -> None:
    def moved(span: Span) -> Span:
        start, end = starts[span.start], starts[span.end]
        return Span(target, start, end, span.label, span_id=span.id, kb_id=span.kb_id)

    warn_of_scores(source)
    target.cats = dict(source.cats)
    if source.has_annotation("ENT_IOB"):
        ents = [span for span in map(moved, source.ents) if len(span)]
        target.set_ents(ents)
    for key, group in source.spans.items():
        attrs: dict[str, Any] = dict(group.attrs)
        if REJECTED in attrs:
            rejected = map(moved, rejected_spans(group))
            attrs[REJECTED] = [[s.start_char, s.end_char, s.label_] for s in rejected]
        target.spans[key] = [moved(span) for span in group]
        target.spans[key].attrs.update(attrs)
