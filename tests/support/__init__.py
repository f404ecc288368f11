"""Shared by the tests: checkpoints, failures, texts, a fake hub, training data."""
