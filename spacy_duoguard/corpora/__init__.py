"""Texts to train on: disguised copies, and documents composed of labelled texts."""
