"""Moderation for spaCy pipelines with the DuoGuard classifiers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .review.displacy import render

__version__ = "0.1.0"
__all__ = ["__version__", "render"]


def __getattr__(name: str) -> Any:
    """`render`, which needs spaCy, is imported when it is asked for."""
    if name == "render":
        from .review.displacy import render

        return render
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
