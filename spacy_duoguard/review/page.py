"""Documents → one HTML file that asks nothing of anybody: styles, scripts and data lie
in it, and its policy forbids everything else."""

import base64
import hashlib
import heapq
import html
import json
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any

from ..engine.checkpoint.files import write_aside
from ..errors import Errors, ResultsError
from ..taxonomy import CATEGORIES, COLORS, OTHER_COLOR
from .documents import Document, read_documents

# In this order: each knows what stands before it.
_SCRIPTS: tuple[str, ...] = (
    "records.js",
    "filters.js",
    "list.js",
    "curve.js",
    "document.js",
    "tip.js",
    "main.js",
)

# Within a script element, what could end it or begin a comment must not appear; the
# line separators and lone surrogates are no valid text everywhere.
_ESCAPED = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def write_page(
    results: Path, page: Path, *, text_key: str = "text", top: int | None = None
) -> tuple[int, int]:
    """Make the review page of a results file.

    results (Path): What `score` wrote: a JSON lines file, or a folder of parts.
    page (Path): The HTML file, replaced if it is there.
    text_key (str): The field that holds the text.
    top (Optional[int]): Show only so many documents, the riskiest.
    RETURNS (Tuple[int, int]): How many documents the results have, and how many of
        them are not scored.
    RAISES (ResultsError): Results that cannot be read, or would be replaced.
    """
    results, page = Path(results), Path(page)
    if (
        page.resolve() == results.resolve()
        or results.resolve() in page.resolve().parents
    ):
        raise ResultsError(Errors.E153.format(page=page, results=results))
    documents = list(read_documents(results, text_key=text_key))
    if not documents:
        raise ResultsError(Errors.E150.format(path=results))
    content = build_page(documents, title=results.name, top=top)
    with write_aside(page) as aside:
        aside.write_text(content, encoding="utf8")
    failed = sum(document.status == "error" for document in documents)
    return len(documents), failed


def build_page(
    documents: Sequence[Document], *, title: str, top: int | None = None
) -> str:
    """documents (Sequence[Document]): At least one.
    title (str): What the page is called.
    top (Optional[int]): Show only so many, the riskiest.
    RETURNS (str): The page."""
    shown = list(documents)
    if top is not None and top < len(shown):
        order = count()
        shown = [
            document
            for *_, document in heapq.nlargest(
                top, ((document.risk, -next(order), document) for document in shown)
            )
        ]
        shown.sort(key=lambda document: document.record)
    folder = files(__package__)
    style = folder.joinpath("page.css").read_text(encoding="utf8")
    scripts = [folder.joinpath(name).read_text(encoding="utf8") for name in _SCRIPTS]
    script = '(() => {\n"use strict";\n' + "".join(scripts) + "})();\n"
    parts = {
        "policy": _policy(style, script),
        "title": html.escape(title),
        "style": style,
        "script": script,
        "data": to_script_json(_data(shown, total=len(documents))),
    }
    template = folder.joinpath("page.html").read_text(encoding="utf8")
    # One pass: what is put in is not looked through for further places.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy by which only this style and this script count, nothing
    is fetched, and no string becomes markup."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_sha256(style)}'",
            f"script-src '{_sha256(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _sha256(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def to_script_json(data: Any) -> str:
    """data (Any): Plain data.
    RETURNS (str): JSON that may stand in a script element, whatever it holds."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _data(documents: Sequence[Document], *, total: int) -> dict[str, Any]:
    labels = _labels(documents)
    places = {label: i for i, label in enumerate(labels)}
    return {
        "labels": labels,
        "colors": [COLORS.get(label, OTHER_COLOR) for label in labels],
        "total": total,
        "left_out": total - len(documents),
        "docs": [_row(document, places) for document in documents],
    }


def _labels(documents: Iterable[Document]) -> list[str]:
    """Those of DuoGuard in their order, then those that users added."""
    found = dict.fromkeys(label for document in documents for label in document.cats)
    if not found:
        return list(CATEGORIES)
    own = [label for label in CATEGORIES if label in found]
    return own + [label for label in found if label not in own]


def _row(document: Document, places: dict[str, int]) -> dict[str, Any]:
    missing = 1.0 if document.status == "error" else 0.0
    curve = None
    if document.curve:
        ends, scores = zip(*document.curve, strict=True)
        curve = {"end": ends, "unsafe": scores}
    return {
        "record": document.record,
        "text": document.text,
        "status": document.status,
        "probs": [document.cats.get(label, missing) for label in places],
        "flags": [places[label] for label in document.flags],
        "sentences": [
            {
                "start": sentence.start,
                "end": sentence.end,
                "cats": [[places[k], v] for k, v in sentence.cats.items()],
            }
            for sentence in document.sentences
        ],
        "curve": curve,
        "first_unsafe": document.first_unsafe,
        "fields": document.fields,
        "note": document.note,
    }
