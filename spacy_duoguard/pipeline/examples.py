"""Examples as the methods of the component get them."""

from collections.abc import Iterable
from typing import Any

from spacy.training import Example, validate_examples


def list_examples(examples: Any, method: str) -> list[Example]:
    """examples (Iterable[Example]): The examples.
    method (str): Who got them, for the message.
    RETURNS (List[Example]): The same.
    RAISES (TypeError): They aren't examples. The error is spaCy's (E978)."""
    listed = list(examples) if isinstance(examples, Iterable) else examples
    validate_examples(listed, method)
    return listed
