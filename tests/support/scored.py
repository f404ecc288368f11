"""Docs as the component leaves them, with given scores."""

import numpy as np

from spacy_duoguard.engine.decisions import Policy
from spacy_duoguard.engine.text_scores import WindowScores
from spacy_duoguard.pipeline.annotations import annotate
from spacy_duoguard.pipeline.doc_scores import DocScores, ScoredSpan
from spacy_duoguard.pipeline.record_writer import SpansGroup
from spacy_duoguard.taxonomy import CATEGORIES


def to_row(scores, labels=CATEGORIES):
    """An array with a value for each category, 0.0 where there is none."""
    return np.array([scores.get(label, 0.0) for label in labels])


def mark(
    doc,
    scores,
    *,
    labels=CATEGORIES,
    spans=None,
    key="duoguard",
    thresholds=None,
    review=None,
    status="ok",
):
    """Write scores into a doc, in one window. scores: by category; spans: likewise, by
    tokens (start, end); thresholds: 0.5 by default; review: none by default. RETURNS
    the doc."""
    limits = thresholds or dict.fromkeys(labels, 0.5)
    policy = Policy(limits, {label: (review or {}).get(label) for label in limits})
    labels = list(limits)
    row = to_row(scores, labels)
    scored = None
    if spans is not None:
        scored = tuple(
            ScoredSpan(doc[start:end], to_row(of_span, labels), None)
            for (start, end), of_span in spans.items()
        )
    windows = (WindowScores(0, len(doc.text), row),) if status != "empty" else ()
    found = DocScores(status, row, windows, scored, None)
    annotate(doc, found, policy, SpansGroup("duoguard", key), patience=2)
    return doc


def mark_failed(doc, *, labels=CATEGORIES):
    """Write into a doc that it could not be scored. RETURNS the doc."""
    failed = DocScores.failed(len(labels), None, deltas=False, curve=False)
    policy = Policy.of(labels, 0.0)
    annotate(doc, failed, policy, SpansGroup("duoguard", "duoguard"), patience=2)
    return doc
