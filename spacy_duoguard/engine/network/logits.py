"""Which logits are the result of a computation that went well."""

import numpy as np


def are_computed(logits: np.ndarray) -> np.ndarray:
    """Rows of zeros aren't: where the squares of activations overflow, the last norm
    makes zeros of them, and a sigmoid would make scores of 0.5. The head has no bias.

    logits (ndarray): (n_rows, n_labels).
    RETURNS (ndarray): (n_rows,) bool. Whether each row is finite, and not all zeros.
    """
    return np.asarray(np.isfinite(logits).all(axis=1) & logits.any(axis=1))
