"""Moderating text while it arrives."""
