"""The classifier itself, with only torch and tokenizers: text in, probabilities out."""
