"""Warnings that are shown at the user's call."""

import sys
import warnings
from types import FrameType

# Packages between the user's call and this one. Their lines would not tell the user
# anything.
_BETWEEN = {
    "catalogue",
    "click",
    "confection",
    "contextlib",
    "functools",
    "multiprocessing",
    "spacy",
    "spacy_duoguard",
    "thinc",
    "typer",
}

_shown: set[str] = set()


def warn_once(message: str) -> None:
    """Show a warning, unless this process or the one it was forked from has shown it.

    message (str): The warning.
    """
    if message not in _shown:
        warn(message)
        _shown.add(message)  # not if the filter made it an error


def warn(message: str) -> None:
    """Show a warning as often as the user's filters say.

    message (str): The warning.
    """
    frame = _users_frame()
    warnings.warn_explicit(
        message,
        UserWarning,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__", "__main__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _users_frame() -> FrameType:
    """RETURNS (FrameType): The innermost call that is not in one of the packages above;
    the outermost call if there is none."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] not in _BETWEEN:
            break
        frame = frame.f_back
    return frame
