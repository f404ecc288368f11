"""Moderation for spaCy pipelines with the DuoGuard classifiers."""

__version__ = "0.1.0"
