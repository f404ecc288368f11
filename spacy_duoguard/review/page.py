"""Build the review page: one HTML file with its own styles, scripts and data. Its
Content-Security-Policy forbids everything else."""

import base64
import hashlib
import html
import json
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..engine.checkpoint.files import write_aside
from ..engine.checkpoint.output_paths import check_output
from ..engine.decisions import Decision
from ..errors import Errors, ResultsError, Warnings
from ..scoring.run_state import Output
from ..taxonomy import CATEGORIES, COLORS, OTHER_COLOR
from .completeness import check_text_key, why_incomplete
from .digest import digest_of
from .documents import Document, check_labels, list_inputs, read_documents

# In this order: each uses those before it.
_SCRIPTS: tuple[str, ...] = (
    "records.js",
    "sentences.js",
    "marks.js",
    "store.js",
    "tabs.js",
    "steps.js",
    "filters.js",
    "orders.js",
    "list.js",
    "curve.js",
    "text.js",
    "notes.js",
    "questions.js",
    "document.js",
    "progress.js",
    "exchange.js",
    "tip.js",
    "controls.js",
    "keys.js",
    "main.js",
)

_STYLES: tuple[str, ...] = ("page.css", "marks.css")

# Inside a script element, nothing may end it or begin a comment. Line separators and
# unpaired surrogates aren't valid everywhere.
_ESCAPED = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def write_page(
    results: Path, page: Path, *, text_key: str = "text", top: int | None = None
) -> tuple[int, int]:
    """Make the review page of a results file.

    results (Path): The output of `score`: a JSON lines file, or a folder of parts.
    page (Path): The HTML file. An existing one is replaced, and keeps its permissions.
        A new one is as private as the results.
    text_key (str): The field that holds the text.
    top (Optional[int]): Show only this many documents, the riskiest ones.
    RETURNS (Tuple[int, int]): The number of documents in the results, and how many of
        them were not scored.
    RAISES (ResultsError): The results can't be read.
    RAISES (SettingsError): The page would replace them, or something that isn't a file,
        or the texts of another field were scored.
    """
    results, page = Path(results), Path(page)
    inputs = list_inputs(results)
    check_output(page, [*inputs, *Output(results, results.is_dir()).locks])
    check_text_key(results, text_key)
    if reason := why_incomplete(results):
        warnings.warn(Warnings.W019.format(path=results, reason=reason), stacklevel=2)
    documents = check_labels(list(read_documents(results, text_key=text_key)))
    if not documents:
        raise ResultsError(Errors.E150.format(path=results))
    content = build_page(
        documents, title=_title_of(results), top=top, incomplete=reason
    )
    with write_aside(page, mode=_mode_for(inputs)) as aside:
        aside.write_text(content, encoding="utf8")
    failed = sum(document.status == "error" for document in documents)
    return len(documents), failed


def _title_of(path: Path) -> str:
    """The name of a file, which can hold bytes that aren't UTF-8."""
    return os.fsencode(path.name).decode("utf8", "replace")


def _mode_for(inputs: Iterable[Path]) -> int:
    """Permissions that let nobody read the page who can't read all of the results."""
    mode = 0o666
    for path in inputs:
        if path.exists():
            mode &= path.stat().st_mode
    return mode | 0o600


def build_page(
    documents: Sequence[Document],
    *,
    title: str,
    top: int | None = None,
    incomplete: str | None = None,
) -> str:
    """documents (Sequence[Document]): At least one document.
    title (str): The title of the page.
    top (Optional[int]): Show only this many documents, the riskiest ones.
    incomplete (Optional[str]): Why results may be missing.
    RETURNS (str): The HTML of the page."""
    checked = check_labels(documents)
    shown = list(checked)
    if top is not None and top < len(shown):
        shown.sort(key=lambda document: document.risk, reverse=True)
        shown = sorted(shown[:top], key=lambda document: document.record)
    folder = files(__package__)
    styles = [folder.joinpath(name).read_text(encoding="utf8") for name in _STYLES]
    style = "".join(styles)
    scripts = [folder.joinpath(name).read_text(encoding="utf8") for name in _SCRIPTS]
    script = '(() => {\n"use strict";\n' + "".join(scripts) + "})();\n"
    values = {
        "policy": _policy(style, script),
        "title": html.escape(title),
        "incomplete": _warning(incomplete),
        "style": style,
        "script": script,
        "data": to_script_json(_data(shown, checked, title)),
    }
    template = folder.joinpath("page.html").read_text(encoding="utf8")
    # In one pass, so that a placeholder in the data is not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def _warning(incomplete: str | None) -> str:
    if incomplete is None:
        return ""
    text = f"These results are incomplete: {incomplete}. Records may be missing."
    return f'<p class="notice failed" role="alert">{html.escape(text)}</p>'


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy that allows this style and this script only, fetches
    nothing, and turns no string into markup."""
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
    RETURNS (str): JSON that is safe inside a script element, whatever the data."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _data(
    shown: Sequence[Document], documents: Sequence[Document], source: str
) -> dict[str, Any]:
    # Of all documents: marks in the browser belong to a page with `top`, too.
    labels = _labels(documents)
    columns = {label: i for i, label in enumerate(labels)}
    return {
        "source": source,
        "digest": digest_of(documents, labels),
        "labels": labels,
        "colors": [COLORS.get(label, OTHER_COLOR) for label in labels],
        "total": len(documents),
        "left_out": len(documents) - len(shown),
        "docs": [_to_dict(document, columns) for document in shown],
    }


def _labels(documents: Iterable[Document]) -> list[str]:
    """DuoGuard's categories in their order, then those that users added."""
    present = dict.fromkeys(label for document in documents for label in document.cats)
    if not present:
        return list(CATEGORIES)
    known = [label for label in CATEGORIES if label in present]
    return known + [label for label in present if label not in known]


def _to_dict(document: Document, columns: dict[str, int]) -> dict[str, Any]:
    return {
        "record": document.record,
        "text": document.text,
        "status": document.status,
        "probs": [document.cats.get(label, 1.0) for label in columns],
        "flags": [columns[label] for label in document.flags],
        "sentences": [
            {
                "start": sentence.start,
                "end": sentence.end,
                "cats": [[columns[k], v] for k, v in sentence.cats.items()],
                **({} if sentence.is_flagged else {"review": True}),
            }
            for sentence in document.sentences
        ],
        "curve": document.curve,
        "first_unsafe": document.first_unsafe,
        **_decision(document.decision, columns),
        "readings": [
            [reading.view, reading.unsafe, reading.text]
            for reading in document.readings
        ],
        "fields": document.fields,
        "note": document.note,
    }


def _decision(decision: Decision | None, columns: dict[str, int]) -> dict[str, Any]:
    if decision is None:
        return {}
    if decision.category is None:
        return {"action": decision.action}
    reason = [columns[decision.category], decision.margin]
    return {"action": decision.action, "reason": reason}
