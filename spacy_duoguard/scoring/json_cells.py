"""Values of several types in one column of strings: lists and objects as JSON, so that
they can be read again as what they were."""

import json
from typing import Any

from .results import to_plain

_FIRST = ("[", "{", '"')  # of what is read as JSON


def write_cell(value: Any) -> str | None:
    """value (Any): A value of a field.
    RETURNS (Optional[str]): The value as a string, other values as JSON. A string that
        would be read as JSON is quoted as in JSON. None if there is no value."""
    if value is None:
        return None
    if not isinstance(value, str) or read_cell(value) is not value:
        return json.dumps(to_plain(value), ensure_ascii=False)
    return value


def read_cell(cell: str | None) -> Any:
    """cell (Optional[str]): What `write_cell` wrote.
    RETURNS (Any): The list, object or string that it was. A number or a boolean is a
        string."""
    if cell is None or not cell.lstrip().startswith(_FIRST):
        return cell
    try:
        return json.loads(cell, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return cell


def _refuse(name: str) -> None:
    raise ValueError(name)
