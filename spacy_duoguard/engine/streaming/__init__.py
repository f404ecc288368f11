"""Moderating text as it arrives."""
