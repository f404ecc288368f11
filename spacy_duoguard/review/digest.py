"""A digest of results, under which a browser keeps marks."""

import hashlib
import json
from collections.abc import Iterable, Sequence

from .documents import Document

_LENGTH = 32  # hexadecimal digits


def digest_of(documents: Iterable[Document], labels: Sequence[str]) -> str:
    """documents (Iterable[Document]): All documents of the results.
    labels (Sequence[str]): The categories of the page, in order: marks are kept by
        their positions.
    RETURNS (str): The same for the same texts, scores and flags in the same order,
        however they are stored."""
    digest = hashlib.sha256(json.dumps(labels).encode("ascii"))
    for document in documents:
        content = (
            document.record,
            document.text,
            document.status,
            document.cats,
            document.flags,
            [(s.start, s.end, s.cats, s.is_flagged) for s in document.sentences],
        )
        digest.update(json.dumps(content).encode("ascii") + b"\n")
    return digest.hexdigest()[:_LENGTH]
