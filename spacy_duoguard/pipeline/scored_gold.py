"""Notice scores of the component that stand where gold should be: `spacy apply` writes
them into `doc.cats` of a corpus, in which they replace the gold."""

from collections.abc import Mapping
from typing import Any

from spacy.tokens import Doc

from ..engine.user_warnings import warn_once
from ..engine.verdict import ERROR
from ..errors import Errors, SettingsError, Warnings
from ..taxonomy import UNSAFE
from .doc_record import read_record, span_id


def has_scores_as_gold(doc: Doc) -> bool:
    """doc (Doc): A doc with gold.
    RETURNS (bool): Whether a value of `doc.cats` is what the record of the doc says
        that it scores, all are those of a failure, or its gold of spans is what was
        flagged: one value that people have corrected leaves the others as they were."""
    record = read_record(doc) or {}
    labels, probs = record.get("labels"), record.get("probs")
    if not isinstance(labels, (list, tuple)) or not isinstance(probs, (list, tuple)):
        return False
    if not labels or len(labels) != len(probs):
        return False
    if not all(isinstance(label, str) for label in labels):
        return False
    if not all(isinstance(value, float) for value in probs):
        return False
    scores = dict(zip(labels, probs, strict=True))
    scores[UNSAFE] = max(probs)
    # 0 and 1 are what people write, too.
    unlikely = {label for label, value in scores.items() if 0 < value < 1}
    if any(doc.cats.get(label) == scores[label] for label in unlikely):
        return True
    is_marked = record.get("status") == ERROR and scores.items() <= doc.cats.items()
    if is_marked and len(labels) > 1:  # nobody says so of all categories
        return True
    return _has_flagged_spans(doc, record)


def _has_flagged_spans(doc: Doc, record: Mapping[str, Any]) -> bool:
    key, flags = record.get("spans_key"), record.get("span_flags")
    if not isinstance(key, str) or key not in doc.spans or not isinstance(flags, dict):
        return False
    flagged = {(of_span, label) for of_span in flags for label in flags[of_span]}
    return {(span_id(span), span.label_) for span in doc.spans[key]} == flagged


def refuse_scores(doc: Doc) -> None:
    """doc (Doc): A doc with gold.
    RAISES (SettingsError): Its gold are scores of the component."""
    if has_scores_as_gold(doc):
        raise SettingsError(Errors.E353)


def warn_of_scores(doc: Doc) -> None:
    """Warn, once in a process, if the gold of a doc are scores of the component.

    doc (Doc): A doc with gold."""
    if has_scores_as_gold(doc):
        warn_once(Warnings.W033)
