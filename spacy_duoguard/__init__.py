"""Moderation for spaCy pipelines with the DuoGuard classifiers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.classifier import Classifier
    from .engine.streaming.stream import Stream, StreamBatch
    from .pipeline.conversation import make_conversation
    from .review.displacy import render

__version__ = "0.1.0"
__all__ = [
    "Classifier",
    "Stream",
    "StreamBatch",
    "__version__",
    "make_conversation",
    "render",
]

# Imported on first use, as they need torch or spaCy.
_MODULES = {
    "Classifier": ".engine.classifier",
    "Stream": ".engine.streaming.stream",
    "StreamBatch": ".engine.streaming.stream",
    "make_conversation": ".pipeline.conversation",
    "render": ".review.displacy",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
