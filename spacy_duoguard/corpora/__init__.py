"""From labelled records to corpora for `spacy train`, and back."""
