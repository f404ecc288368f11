"""The benchmark of the DuoGuard paper, and parity with `transformers`."""
