"""JSON objects whose keys are unique."""

from collections import Counter
from typing import Any

_KEY_LIMIT = 80  # characters of a key in a message


class DuplicateKeyError(ValueError):
    """A JSON object has a key twice. Readers differ in which of the two they take."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads(..., object_pairs_hook=unique_keys)`.

    pairs (List[Tuple[str, Any]]): The keys and values of an object.
    RETURNS (Dict[str, Any]): The object.
    RAISES (DuplicateKeyError): It has a key twice.
    """
    unique = dict(pairs)
    if len(unique) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        key = next(key for key in unique if counts[key] > 1)
        raise DuplicateKeyError(f"it has the key {key[:_KEY_LIMIT]!r} twice")
    return unique
