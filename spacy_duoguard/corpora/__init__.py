"""Corpora for `spacy train`: from labelled records and back, disguised copies, and
documents composed of labelled texts."""
