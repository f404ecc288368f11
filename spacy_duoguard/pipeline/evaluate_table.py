"""The scores under the keys that `spacy evaluate` prints.

It prints those of spaCy's components only: `cats_…` for a text classifier, and
`spans_{key}_…` with `--spans-key`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spacy.training import Example

from ..taxonomy import UNSAFE

_PRF = ("p", "r", "f")


def printed_scores(
    examples: Iterable[Example],
    labels: Sequence[str],
    scores: Mapping[str, Mapping[str, float | None]],
    spans: Mapping[str, Any],
    spans_key: str,
) -> dict[str, Any]:
    """Scores that are undefined are left out, and so are all `cats_…` if a text
    classifier writes or learns other keys of `doc.cats`: they are its own.

    examples (Iterable[Example]): Predicted and reference docs.
    labels (Sequence[str]): The categories.
    scores (Mapping[str, Mapping[str, Optional[float]]]): The scores of each category
        and of `unsafe`.
    spans (Mapping[str, Any]): The scores of the spans.
    spans_key (str): Their group in `doc.spans`.
    RETURNS (Dict[str, Any]): The scores by the keys of spaCy.
    """
    printed: dict[str, Any] = {}
    if spans["f"] is not None:
        for key in (*_PRF, "per_type"):
            printed[f"spans_{spans_key}_{key}"] = spans[key]
    known = {*labels, UNSAFE}
    keys = (doc.cats.keys() for eg in examples for doc in (eg.predicted, eg.reference))
    if scores[UNSAFE]["f"] is None or any(found - known for found in keys):
        return printed
    printed["cats_score"] = scores[UNSAFE]["f"]
    printed["cats_score_desc"] = "unsafe F"
    rows = {label: scores[label] for label in (UNSAFE, *labels)}
    printed["cats_f_per_type"] = {
        label: {key: row[key] for key in _PRF}
        for label, row in rows.items()
        if row["f"] is not None
    }
    printed["cats_auc_per_type"] = {
        label: row["auc"] for label, row in rows.items() if row["auc"] is not None
    }
    return printed
