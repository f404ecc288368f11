"""From text to token ids: tokenization, windows and normalization."""
