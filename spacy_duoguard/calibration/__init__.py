"""Choose thresholds on labelled texts."""
