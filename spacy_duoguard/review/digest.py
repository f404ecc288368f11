"""A digest of results, under which a browser keeps marks."""

import hashlib
import json
from collections.abc import Iterable

from .documents import Document

_LENGTH = 32  # hexadecimal digits


def digest_of(documents: Iterable[Document]) -> str:
    """documents (Iterable[Document]): All documents of the results.
    RETURNS (str): The same for the same texts, scores and flags in the same order,
        however they are stored."""
    digest = hashlib.sha256()
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
