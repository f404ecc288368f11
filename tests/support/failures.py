"""Texts that fail, and what a doc that failed must look like."""

from spacy_duoguard.taxonomy import CATEGORIES

# The pipelines of the `breaking` fixture fail on texts that contain it.
BAD = "BAD"

# `doc.cats` of a doc that could not be scored.
FAILED_CATS = dict.fromkeys([*CATEGORIES, "unsafe"], 1.0)
