"""Views of the user's own: functions from a text to how else it reads."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np

from ....errors import Errors, ScoringError, SettingsError
from .readings import READINGS, all_readings, readings
from .view import TEXT, View

# From a text to another reading, and for each of its characters the offset in the text
# that it comes from. None where the text has no other reading.
ViewFunction = Callable[[str], tuple[str, Sequence[int] | np.ndarray] | None]

ViewFunctions = tuple[tuple[str, ViewFunction], ...]  # with the name of each view

# As users give them: with their names, or with those of the functions.
Views = Mapping[str, ViewFunction] | Sequence[ViewFunction] | None


def check_views(views: Views) -> ViewFunctions:
    """Check views of the user's own.

    views (Optional[Union[Mapping[str, Callable], Sequence[Callable]]]): The function of
        each view. Without a mapping, its view has the name of the function.
    RETURNS (Tuple[Tuple[str, Callable], ...]): The name and function of each view.
    RAISES (SettingsError): A view isn't a function, or two have the same name.
    """
    if views is None:
        return ()
    if isinstance(views, Mapping):
        named = tuple(views.items())
    elif isinstance(views, (list, tuple)):
        named = tuple((getattr(view, "__name__", ""), view) for view in views)
    else:
        raise SettingsError(Errors.E210.format(problem=type(views).__name__))
    names = [name for name, _ in named]
    for name, view in named:
        problem = ""
        if not callable(view):
            problem = f"{name!r} is a {type(view).__name__}"
        elif not isinstance(name, str) or not name or name == TEXT:
            problem = f"the name {name!r}"
        elif names.count(name) > 1:
            problem = f"{name!r} twice"
        if problem:
            raise SettingsError(Errors.E210.format(problem=problem))
    return named


def read_views(text: str, views: ViewFunctions = ()) -> list[View]:
    """Read a text in other ways.

    text (str): Any text.
    views (Tuple[Tuple[str, Callable], ...]): From `check_views`. They are added to the
        views "folded" and "decoded", or replace the one with the same name.
    RETURNS (List[View]): The views that differ from the text and from each other.
    RAISES (ScoringError): A function returned something else than a view.
    """
    if not views:
        return readings(text)
    found = read_all_views(text, views)
    distinct = {view.text: view for view in reversed(found)}
    return [
        view
        for view in found
        if view.text not in ("", text) and distinct[view.text] is view
    ]


def read_all_views(text: str, views: ViewFunctions = ()) -> list[View]:
    """text (str), views (Tuple[Tuple[str, Callable], ...]): As for `read_views`.
    RETURNS (List[View]): As `read_views`, also those that read like the text or like
        another one, or like nothing.
    RAISES (ScoringError): As `read_views`."""
    names = {name for name, _ in views}
    found = all_readings(text) if not names.issuperset(READINGS) else []
    found = [view for view in found if view.name not in names]
    for name, function in views:
        result = function(text)
        if result is not None:
            found.append(_make_view(name, text, result))
    return found


def _make_view(name: str, text: str, result: Any) -> View:
    reading, starts = "", None
    # The error would quote what can't be read, which may be the text.
    with suppress(TypeError, ValueError, OverflowError):
        reading, sources = result
        starts = _read_offsets(sources, len(reading))
    if (
        not isinstance(reading, str)
        or starts is None
        or starts.shape != (len(reading),)
        or not ((starts >= 0) & (starts < len(text))).all()
    ):
        raise ScoringError(Errors.E211.format(name=name))
    ends = np.append(starts.astype(np.int64), len(text))
    return View(name, reading, ends).whole(name)


def _read_offsets(sources: Any, size: int) -> np.ndarray | None:
    """RETURNS (Optional[ndarray]): The offsets, a few of them if there are more than
    the size. None if they aren't integers."""
    if not isinstance(sources, np.ndarray):  # not all of what may never end
        sources = list(islice(sources, size + 1))
        if any(isinstance(offset, (bool, np.bool_)) for offset in sources):
            return None
    offsets = np.asarray(sources)
    is_integer = np.issubdtype(offsets.dtype, np.integer)
    return offsets if is_integer or not offsets.size else None
