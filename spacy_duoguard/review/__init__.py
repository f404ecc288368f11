"""Show results to people: the review page and displaCy."""
