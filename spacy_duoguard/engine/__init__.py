"""The classifier itself: torch and tokenizers, never spaCy."""
