"""Initial embeddings, counted in the training rows."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.decomposition import TruncatedSVD

from demo.data import OPENAI, Row

_REACH = 3  # how many neighbours on each side are context


def count_embedding(
    rows: Sequence[Row],
    ids: Sequence[np.ndarray],
    *,
    n_tokens: int,
    size: int,
    scale: float,
    seed: int,
) -> np.ndarray:
    """Factorise the positive pointwise mutual information of tokens with their
    neighbours and with their text. A text and its translations count as one, so tokens
    with similar meanings get similar vectors across languages.

    rows (Sequence[Row]): The training rows.
    ids (Sequence[ndarray]): The token ids of each row's text.
    n_tokens (int): The number of vectors.
    size (int): The size of a vector.
    scale (float): The standard deviation of the result.
    seed (int): The seed of the randomised factorisation.
    RETURNS (ndarray): (n_tokens, size), float32.
    """
    counts = _count_contexts(rows, ids, n_tokens)
    svd = TruncatedSVD(size, n_iter=4, random_state=seed)
    vectors = svd.fit_transform(_positive_information(counts))
    vectors /= np.sqrt(svd.singular_values_)
    vectors -= vectors.mean(axis=0)
    return (vectors * (scale / vectors.std())).astype(np.float32)


def _count_contexts(
    rows: Sequence[Row], ids: Sequence[np.ndarray], n_tokens: int
) -> csr_matrix:
    """(n_tokens, n_tokens + n_texts): tokens by neighbouring token and by text."""
    texts: dict[tuple, int] = {}
    tokens, contexts, weights = [], [], []
    for row, row_ids in zip(rows, ids, strict=True):
        # RTP-LX rows are not aligned between languages.
        key = (row.file, row.index, "" if row.file == OPENAI else row.language)
        text = n_tokens + texts.setdefault(key, len(texts))
        tokens.append(row_ids)
        contexts.append(np.full(len(row_ids), text))
        weights.append(np.ones(len(row_ids)))
        for distance in range(1, _REACH + 1):
            left, right = row_ids[:-distance], row_ids[distance:]
            tokens += [right, left]
            contexts += [left, right]
            weights.append(np.full(2 * len(right), 1 / distance))
    cells = np.concatenate(tokens), np.concatenate(contexts)
    shape = n_tokens, n_tokens + len(texts)
    return coo_matrix((np.concatenate(weights), cells), shape).tocsr()


def _positive_information(counts: csr_matrix) -> csr_matrix:
    total = counts.sum()
    of_token = np.asarray(counts.sum(axis=1)).ravel()
    # Smoothed, so that rare contexts don't dominate (Levy, Goldberg and Dagan 2015).
    of_context = np.asarray(counts.sum(axis=0)).ravel() ** 0.75
    of_context *= total / of_context.sum()
    cells = counts.tocoo()
    expected = of_token[cells.row] * of_context[cells.col]
    cells.data = np.maximum(0.0, np.log(cells.data * total / expected))
    information = cells.tocsr()
    information.eliminate_zeros()
    return information
