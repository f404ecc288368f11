"""Writing the scores of a batch. What is judged of each doc is judged of all at once,
where a doc has neither spans nor a curve."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, compress, pairwise
from typing import Any

import numpy as np
from spacy.tokens import Doc

from ..engine.decisions import Policy, decide_actions
from ..engine.flags import exceeds
from ..engine.verdict import ContradictionError, are_scored, is_score
from ..errors import Errors, ScoringError
from .annotations import annotate, to_record, to_window
from .batches import DocBatch
from .doc_record import check_offsets, text_digest, text_length
from .doc_scores import DocScores
from .record_writer import SpansGroup, write_record

_FLOAT = np.dtype(np.float32)
_STATUSES = ("ok", "truncated")

# The status, the flags and the probabilities of a doc, the windows of its record, and
# the action.
_Row = tuple[str, list[str], list[float], list[dict[str, Any]], str]


def annotate_docs(
    docs: Iterable[Doc],
    scores: Sequence[DocScores],
    policy: Policy,
    group: SpansGroup,
    patience: int,
) -> None:
    """Write scores into docs, as `annotate` writes them into one.

    docs (Iterable[Doc]): The docs.
    scores (Sequence[DocScores]): One for each doc, in order.
    policy, group, patience: As for `annotate`.
    RAISES (ScoringError): There isn't one `DocScores` for each doc, or they contradict
        themselves, or are those of another text.
        Their doc is unchanged. Another text of the same length can also be noticed when
        the scores are read.
    """
    batch = DocBatch.of(docs)
    _check_scores(scores, len(batch))
    rows = _judge_plain(scores, policy)
    texts = batch.read_texts()  # those that were scored
    for doc, text, doc_scores, row in zip(batch, texts, scores, rows, strict=True):
        _check_made_for(text, doc_scores, policy, group)
        is_same = text_length(doc) == len(text)
        if row is None or not text or not is_same or not _fits(doc_scores, text):
            annotate(doc, doc_scores, policy, group, patience, text)
            continue
        record = to_record(len(text), *row, policy=policy, group=group)
        record["digest"] = text_digest(text)
        write_record(doc, record, group)


def _check_scores(scores: Any, n_docs: int) -> None:
    """RAISES (ScoringError): They aren't what `predict` returned for so many docs."""
    if not isinstance(scores, Sequence):
        problem = f"a value of the type '{type(scores).__name__}'"
    elif len(scores) != n_docs:
        problem = f"{len(scores)} scores of {n_docs} docs"
    elif odd := [s for s in scores if not isinstance(s, DocScores)]:
        problem = f"a '{type(odd[0]).__name__}' among the scores"
    else:
        return
    raise ScoringError(Errors.E331.format(problem=problem))


def _check_made_for(
    text: str, scores: DocScores, policy: Policy, group: SpansGroup
) -> None:
    """RAISES (ScoringError): The scores say that they are those of another text, or of
    other categories."""
    # In a pipeline, both are the same object, which costs nothing to compare.
    if scores.text is not None and scores.text != text:
        raise ScoringError(Errors.E337.format(name=group.component))
    if scores.labels is not None and scores.labels != policy.labels:
        raise ScoringError(Errors.E338.format(name=group.component))


def _judge_plain(scores: Sequence[DocScores], policy: Policy) -> list[_Row | None]:
    """RETURNS (List[Optional[Tuple]]): What the record of each doc says, if `judge`
    would find no problem with it. None where `annotate` has to see."""
    labels, thresholds = list(policy.thresholds), list(policy.thresholds.values())
    rows: list[_Row | None] = [None] * len(scores)
    plain = [i for i, of_doc in enumerate(scores) if _is_plain(of_doc, len(labels))]
    if not plain or not _has_order(policy):
        return rows
    chosen = [scores[i] for i in plain]
    counts = [len(of_doc.windows) for of_doc in chosen]
    probabilities = _stack([of_doc.probabilities for of_doc in chosen])
    windows = _stack([w.probabilities for of_doc in chosen for w in of_doc.windows])
    scored = are_scored(labels, thresholds, probabilities, windows, counts)
    columns = zip(
        plain,
        chosen,
        scored.tolist(),
        _read_flags(probabilities, labels, thresholds),
        probabilities.tolist(),
        _read_windows(windows, counts),
        decide_actions([of_doc.status for of_doc in chosen], probabilities, policy),
        strict=True,
    )
    for i, of_doc, is_scored, flags, probs, of_windows, action in columns:
        if is_scored:
            rows[i] = (
                of_doc.status,
                flags,
                probs,
                [
                    to_window(window, values)
                    for window, values in zip(of_doc.windows, of_windows, strict=True)
                ],
                action,
            )
    return rows


def _has_order(policy: Policy) -> bool:
    """Whether each review threshold can be one: `annotate` says what is wrong."""
    pairs = zip(
        policy.review_thresholds.values(), policy.thresholds.values(), strict=True
    )
    return all(
        review is None or (is_score(review) and review <= threshold)
        for review, threshold in pairs
    )


def _is_plain(scores: DocScores, n_labels: int) -> bool:
    """Whether scores have the form that most have."""
    return (
        len(scores.windows) > 0
        and scores.spans is None
        and scores.curve is None
        and scores.turns is None
        and type(scores.status) is str
        and scores.status in _STATUSES
        and _is_row(scores.probabilities, n_labels)
        and all(_is_row(w.probabilities, n_labels) for w in scores.windows)
    )


def _is_row(array: np.ndarray, n_labels: int) -> bool:
    is_array = type(array) is np.ndarray and array.dtype == _FLOAT
    return is_array and array.shape == (n_labels,)


def _stack(rows: Sequence[np.ndarray]) -> np.ndarray:
    """`np.stack` takes several times as long."""
    return np.concatenate(rows).reshape(len(rows), -1)


def _fits(scores: DocScores, text: str) -> bool:
    """Whether the windows of scores can be those of a text."""
    offsets = [(window.start, window.end) for window in scores.windows]
    try:
        check_offsets(text, offsets, is_whole=scores.status == "ok")
    except (ContradictionError, TypeError):
        return False  # `annotate` says why
    return True


def _read_flags(
    probabilities: np.ndarray, labels: list[str], thresholds: list[float]
) -> Iterator[list[str]]:
    """YIELDS (List[str]): The flags of each row."""
    for row in exceeds(probabilities, thresholds).tolist():
        yield list(compress(labels, row))


def _read_windows(
    windows: np.ndarray, counts: Sequence[int]
) -> Iterator[list[list[float]]]:
    """YIELDS (List[List[float]]): The probabilities of the windows of each doc."""
    values = windows.tolist()
    for start, stop in pairwise(accumulate(counts, initial=0)):
        yield values[start:stop]
