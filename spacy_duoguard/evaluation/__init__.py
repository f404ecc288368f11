"""The paper's benchmark, and parity with transformers."""
