"""Choosing thresholds on labelled texts."""
