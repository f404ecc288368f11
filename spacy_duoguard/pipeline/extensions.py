"""The extension attributes that read what the component wrote."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from spacy.tokens import Doc, Span

from ..errors import Errors, SettingsError
from .attributes import (
    get_action,
    get_curve,
    get_first_unsafe,
    get_flags,
    get_reason,
    get_scores,
    get_span_action,
    get_span_cats,
    get_span_delta,
    get_span_reason,
    get_status,
    get_turns,
    get_windows,
)

_EXTENSIONS: tuple[tuple[type[Doc] | type[Span], str, Callable[..., Any]], ...] = (
    (Doc, "duoguard_flags", get_flags),
    (Doc, "duoguard_status", get_status),
    (Doc, "duoguard_action", get_action),
    (Doc, "duoguard_reason", get_reason),
    (Doc, "duoguard_cats", get_scores),
    (Doc, "duoguard_windows", get_windows),
    (Doc, "duoguard_curve", get_curve),
    (Doc, "duoguard_first_unsafe", get_first_unsafe),
    (Doc, "duoguard_turns", get_turns),
    (Span, "duoguard_cats", get_span_cats),
    (Span, "duoguard_delta", get_span_delta),
    (Span, "duoguard_action", get_span_action),
    (Span, "duoguard_reason", get_span_reason),
)

# For `Language.factory`.
ASSIGNS: list[str] = [
    "doc.cats",
    "doc.spans",
    *(f"{owner.__name__.lower()}._.{name}" for owner, name, _ in _EXTENSIONS),
]


def install_extensions() -> None:
    """Register the extension attributes.

    RAISES (SettingsError): Another package uses one of the names.
    """
    for owner, name, getter in _EXTENSIONS:
        if not owner.has_extension(name):
            owner.set_extension(name, getter=getter)
        elif not _is_same_function(owner.get_extension(name)[2], getter):
            message = Errors.E045.format(owner=owner.__name__.lower(), name=name)
            raise SettingsError(message)


def _is_same_function(registered: Any, getter: Callable[..., Any]) -> bool:
    """By name: a notebook that reloads this module creates the functions again."""
    names = [getattr(registered, key, None) for key in ("__module__", "__name__")]
    return names == [getter.__module__, getter.__name__]


# For docs read from disk without a pipeline. If a name is taken, creating a component
# reports it; an error here would break every pipeline.
with suppress(SettingsError):
    install_extensions()
