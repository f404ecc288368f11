"""Render flagged spans with displaCy: `spacy_duoguard.render`."""

import html
import math
from collections.abc import Iterable, Mapping
from typing import Any

from spacy import displacy
from spacy.tokens import Doc, Span

from ..engine.settings import check_type
from ..errors import Errors, ResultsError
from ..pipeline.attributes import (
    get_flagged_spans,
    get_flags,
    get_scores,
    get_spans_key,
    get_status,
)
from ..pipeline.fail_closed import check_docs
from ..pipeline.settings import SPANS_KEY
from ..taxonomy import COLORS, OTHER_COLOR, UNSAFE

_FAILED = "not scored"
_FAILED_COLOR = "#fe5470"
_CAPTION = (
    '<span style="display: block; font-size: 0.9rem; font-weight: normal; '
    'line-height: 1.5">{}</span>'
)
_LABEL = '<span style="white-space: nowrap">{}</span>'
# Labels are bold, at 0.6 of the size of the text, and have a margin.
_LABEL_WIDTH = 0.7
_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def displacy_colors() -> dict[str, str]:
    """RETURNS (Dict[str, str]): A colour per category, for displaCy's registry."""
    return COLORS


def render(
    docs: Doc | Iterable[Doc],
    *,
    spans_key: str = SPANS_KEY,
    caption: bool = True,
    page: bool = False,
    minify: bool = False,
    jupyter: bool | None = None,
    options: Mapping[str, Any] | None = None,
) -> str | None:
    """Render the flagged spans of docs with displaCy's style "span", with the scores of
    the whole doc above its text.

    docs (Union[Doc, Iterable[Doc]]): Docs scored by the component.
    spans_key (str): The group in `doc.spans`, as in the component's settings.
    caption (bool): Whether to show the scores of the doc above its text.
    page (bool): Whether to render a full HTML page.
    minify (bool): Whether to minify the HTML.
    jupyter (Optional[bool]): Whether to display the result in a notebook. None to
        detect it.
    options (Optional[Mapping[str, Any]]): Options of displaCy's style "span", such as
        `colors`.
    RETURNS (Optional[str]): The HTML, with texts, labels and titles escaped; None if it
        was displayed in a notebook.
    RAISES (ResultsError): The component hasn't scored a doc.
    RAISES (ScoringError): Something among them isn't a doc.
    """
    docs = [docs] if isinstance(docs, Doc) else check_docs(docs)
    if options is not None:
        check_type("options", options, Mapping, "Pass those of displaCy by name.")
    options = dict(options or {})
    palette = {**COLORS, **options.get("colors", {}), _FAILED: _FAILED_COLOR}
    parsed, colors = [], {}
    for doc in docs:
        if get_scores(doc) is None:
            raise ResultsError(Errors.E155)
        spans = _failed_spans(doc) or _flagged_spans(doc, spans_key)
        for span in spans:
            colors[span["label"]] = palette.get(span.pop("category"), OTHER_COLOR)
        parsed.append(_to_displacy(doc, spans, caption))
    return displacy.render(
        parsed,
        style="span",
        manual=True,
        page=page,
        minify=minify,
        jupyter=jupyter,
        options={**options, "colors": colors},
    )


def _to_displacy(
    doc: Doc, spans: list[dict[str, Any]], caption: bool
) -> dict[str, Any]:
    """Make displaCy's input. It escapes tokens, but neither labels nor titles."""
    title = doc.user_data.get("title")
    lines = [] if title is None else [html.escape(str(title))]
    if caption:
        lines.append(_CAPTION.format(html.escape(_describe(doc))))
    words = _to_words(doc, spans)
    _pad_to_labels(words, spans)
    return {
        "text": doc.text,
        "tokens": words,
        "spans": spans,
        "title": "".join(lines),
        "settings": displacy.get_doc_settings(doc),
    }


def _describe(doc: Doc) -> str:
    status, flags, cats = get_status(doc), get_flags(doc) or [], get_scores(doc) or {}
    if status == "error":
        return f"{_FAILED}: every category is set to 1.0"
    scores = ", ".join(f"{label} {_format(cats[label])}" for label in flags)
    line = f"{UNSAFE} {_format(cats[UNSAFE])} · flagged: {scores or 'nothing'}"
    return line if status == "ok" else f"{line} · {status}"


def _format(score: float) -> str:
    """Truncated, not rounded: 0.4996 must not read as 0.500."""
    return f"{math.floor(score * 1000 + 1e-9) / 1000:.3f}"


def _failed_spans(doc: Doc) -> list[dict[str, Any]]:
    """If scoring failed, one span over the text instead of every span and category."""
    if get_status(doc) != "error" or not len(doc):
        return []
    return [_span_entry(doc[:], _FAILED, _FAILED)]


def _flagged_spans(doc: Doc, spans_key: str) -> list[dict[str, Any]]:
    if spans_key == get_spans_key(doc):
        return _recorded_spans(doc)
    if spans_key not in doc.spans:
        return []
    group = doc.spans[spans_key]
    labels = [span.label_ for span in group]
    scores = group.attrs.get("scores", ())
    if len(scores) == len(group):  # else another component made the group
        pairs = zip(labels, scores, strict=True)
        labels = [f"{label} {_format(score)}" for label, score in pairs]
    entries = []
    for span, label in zip(group, labels, strict=True):
        trimmed = _trim(span)
        if len(trimmed):
            entries.append(_span_entry(trimmed, label, span.label_))
    return entries


def _recorded_spans(doc: Doc) -> list[dict[str, Any]]:
    """From the record of the component, since others can change its group."""
    entries = []
    for flagged in get_flagged_spans(doc):
        start, end = flagged["start"], flagged["end"]
        span = doc.char_span(start, end, alignment_mode="expand")  # merged tokens
        trimmed = doc[:0] if span is None else _trim(span)
        if len(trimmed):
            for label, score in flagged["cats"].items():
                text = f"{label} {_format(score)}"
                entries.append(_span_entry(trimmed, text, label))
    return entries


def _span_entry(span: Span, label: str, category: str) -> dict[str, Any]:
    return {
        "start": span.start_char,
        "end": span.end_char,
        "start_token": span.start,
        "end_token": span.end,
        "label": _LABEL.format(html.escape(label)),
        "width": math.ceil(_LABEL_WIDTH * len(label)) + 1,
        "category": category,
    }


def _trim(span: Span) -> Span:
    """Trim whitespace, as displaCy draws no label on a whitespace token."""
    start, end = span.start, span.end
    while start < end and span.doc[start].is_space:
        start += 1
    while start < end and span.doc[end - 1].is_space:
        end -= 1
    return span.doc[start:end]


def _to_words(doc: Doc, spans: list[dict[str, Any]]) -> list[str]:
    """Split the text at spaces and span boundaries only, as displaCy adds a space after
    each token, and convert the spans from tokens to these words."""
    boundaries = {span[key] for span in spans for key in ("start_token", "end_token")}
    words: list[str] = []
    word_of_token = []
    for token in doc:
        previous = doc[token.i - 1] if token.i else None
        if not previous or previous.whitespace_ or token.i in boundaries:
            words.append("")
        word_of_token.append(len(words) - 1)
        words[-1] += token.text
    word_of_token.append(len(words))
    for span in spans:
        span["start_token"] = word_of_token[span["start_token"]]
        span["end_token"] = word_of_token[span["end_token"]]
    return words


def _pad_to_labels(words: list[str], spans: list[dict[str, Any]]) -> None:
    """Pad spans shorter than their label, so that labels don't overlap."""
    padding: dict[int, int] = {}
    for span in spans:
        last = span["end_token"] - 1
        missing = span["width"] - (span["end"] - span["start"])
        padding[last] = max(padding.get(last, 0), missing)
    for last, count in padding.items():
        words[last] += _NO_BREAK_SPACE * 2 * count  # half as wide as a letter
