"""`spacy_duoguard.render`: what was flagged, drawn by displaCy."""

import html
import math
from collections.abc import Iterable, Mapping
from typing import Any

from spacy import displacy
from spacy.tokens import Doc, Span

from ..errors import Errors, ResultsError
from ..pipeline.annotations import get_flags, get_status
from ..pipeline.settings import SPANS_KEY
from ..taxonomy import COLORS, OTHER_COLOR, UNSAFE

_FAILED = "not scored"
_FAILED_COLOR = "#fe5470"
_CAPTION = (
    '<span style="display: block; font-size: 0.9rem; font-weight: normal; '
    'line-height: 1.5">{}</span>'
)
_LABEL = '<span style="white-space: nowrap">{}</span>'
# A label's letters are 0.6 of the size of the text's, and bold; it has a margin.
_LABEL_WIDTH = 0.7
_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def displacy_colors() -> dict[str, str]:
    """RETURNS (Dict[str, str]): For displaCy's registry: a colour of each category."""
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
    """Draw the flagged spans of docs with displaCy's style "span", each category in its
    colour, over a line with the scores of the whole doc.

    docs (Union[Doc, Iterable[Doc]]): Docs that the component has scored.
    spans_key (str): The group of `doc.spans`, as in the component's settings.
    caption (bool): Whether to put the scores of the doc above its text.
    page (bool): Whether to make a whole HTML page.
    minify (bool): Whether to take white space out of the HTML.
    jupyter (Optional[bool]): Whether to show it in a notebook; None finds out.
    options (Optional[Mapping[str, Any]]): Of displaCy's style "span", as `colors`.
    RETURNS (Optional[str]): HTML in which the texts, labels and titles are text and
        never markup; None where a notebook shows it.
    RAISES (ResultsError): A doc that the component has not scored.
    """
    docs = [docs] if isinstance(docs, Doc) else list(docs)
    options = dict(options or {})
    chosen = {**COLORS, **options.get("colors", {}), _FAILED: _FAILED_COLOR}
    drawn, colors = [], {}
    for doc in docs:
        if get_status(doc) is None:
            raise ResultsError(Errors.E155)
        spans = _failed_spans(doc) or _flagged_spans(doc, spans_key)
        for span in spans:
            colors[span["label"]] = chosen.get(span.pop("category"), OTHER_COLOR)
        drawn.append(_parsed(doc, spans, caption))
    return displacy.render(
        drawn,
        style="span",
        manual=True,
        page=page,
        minify=minify,
        jupyter=jupyter,
        options={**options, "colors": colors},
    )


def _parsed(doc: Doc, spans: list[dict[str, Any]], caption: bool) -> dict[str, Any]:
    """In the form of displaCy, which escapes the tokens, and no label and no title."""
    title = doc.user_data.get("title")
    lines = [] if title is None else [html.escape(str(title))]
    if caption:
        lines.append(_CAPTION.format(html.escape(_describe(doc))))
    pieces = _pieces(doc, spans)
    _make_room(pieces, spans)
    return {
        "text": doc.text,
        "tokens": pieces,
        "spans": spans,
        "title": "".join(lines),
        "settings": displacy.get_doc_settings(doc),
    }


def _describe(doc: Doc) -> str:
    status, flags = get_status(doc), get_flags(doc) or []
    if status == "error":
        return f"{_FAILED}: every category reads 1.0"
    scores = ", ".join(f"{label} {_cut(doc.cats[label])}" for label in flags)
    line = f"{UNSAFE} {_cut(doc.cats[UNSAFE])} · flagged: {scores or 'nothing'}"
    return line if status == "ok" else f"{line} · {status}"


def _cut(score: float) -> str:
    """Cut, not rounded: 0.4996 must not read as 0.500."""
    return f"{math.floor(score * 1000 + 1e-9) / 1000:.3f}"


def _failed_spans(doc: Doc) -> list[dict[str, Any]]:
    """Of a doc that failed: one over the text instead of each category of each span."""
    if get_status(doc) != "error" or not len(doc):
        return []
    return [_entry(doc[:], _FAILED, _FAILED)]


def _flagged_spans(doc: Doc, spans_key: str) -> list[dict[str, Any]]:
    if spans_key not in doc.spans:
        return []
    group = doc.spans[spans_key]
    labels = [span.label_ for span in group]
    scores = group.attrs.get("scores", ())
    if len(scores) == len(group):  # else somebody else made the group
        pairs = zip(labels, scores, strict=True)
        labels = [f"{label} {_cut(score)}" for label, score in pairs]
    entries = []
    for span, label in zip(group, labels, strict=True):
        trimmed = _trim(span)
        if len(trimmed):
            entries.append(_entry(trimmed, label, span.label_))
    return entries


def _entry(span: Span, label: str, category: str) -> dict[str, Any]:
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
    """Without white space at its ends, at which displaCy draws no label."""
    start, end = span.start, span.end
    while start < end and span.doc[start].is_space:
        start += 1
    while start < end and span.doc[end - 1].is_space:
        end -= 1
    return span.doc[start:end]


def _pieces(doc: Doc, spans: list[dict[str, Any]]) -> list[str]:
    """The text in pieces between spaces and ends of spans, where displaCy would put a
    space behind each token. Spans count in pieces from here on."""
    borders = {span[key] for span in spans for key in ("start_token", "end_token")}
    pieces: list[str] = []
    places = []
    for token in doc:
        before = doc[token.i - 1] if token.i else None
        if not before or before.whitespace_ or token.i in borders:
            pieces.append("")
        places.append(len(pieces) - 1)
        pieces[-1] += token.text
    places.append(len(pieces))
    for span in spans:
        span["start_token"] = places[span["start_token"]]
        span["end_token"] = places[span["end_token"]]
    return pieces


def _make_room(pieces: list[str], spans: list[dict[str, Any]]) -> None:
    """Widen what is shorter than its label, which would lie under the next one's."""
    missing: dict[int, int] = {}
    for span in spans:
        last = span["end_token"] - 1
        short = span["width"] - (span["end"] - span["start"])
        missing[last] = max(missing.get(last, 0), short)
    for last, count in missing.items():
        pieces[last] += _NO_BREAK_SPACE * 2 * count  # half as wide as a letter
