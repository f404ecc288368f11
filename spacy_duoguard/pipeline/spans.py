"""Which spans of a doc are scored."""

from collections.abc import Callable, Iterable

from spacy.tokens import Doc, Span

from ..errors import Errors, ScoringError, SettingsError

# The form of the functions in spacy-transformers' registry `span_getters`.
SpanGetter = Callable[[list[Doc]], Iterable[Iterable[Span]]]


def get_sentences(docs: list[Doc]) -> list[list[Span]]:
    """The span getter of `sents = true`.

    docs (List[Doc]): Docs with sentence boundaries.
    RETURNS (List[List[Span]]): Their sentences.
    """
    return [list(doc.sents) for doc in docs]


def get_spans(
    getter: SpanGetter, docs: list[Doc], *, name: str, unset: str = Errors.E041
) -> list[list[Span]]:
    """Call a span getter and check what it returns.

    getter (SpanGetter): The getter.
    docs (List[Doc]): The docs.
    name (str): The component's name, for messages.
    unset (str): The message where sentences are wanted and not set.
    RETURNS (List[List[Span]]): The spans of each doc.
    RAISES (SettingsError): Sentences are wanted and not set.
    RAISES (ScoringError): Not one list for each doc, or not of its own spans.
    """
    try:
        spans = [list(group) for group in getter(docs)]
    except ValueError as e:
        if "[E030]" in str(e):  # spaCy's "sentence boundaries unset"
            raise SettingsError(unset.format(name=name)) from e
        raise
    if len(spans) != len(docs):
        message = Errors.E043.format(got=len(spans), expected=len(docs))
        raise ScoringError(message)
    for doc, group in zip(docs, spans, strict=True):
        if not all(isinstance(span, Span) and span.doc is doc for span in group):
            raise ScoringError(Errors.E050)
    return spans
