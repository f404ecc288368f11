"""The classifier itself, on torch and tokenizers alone: text in, probabilities out."""
