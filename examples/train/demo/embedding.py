"""Initial embeddings from counts, as no text beyond the training rows is read."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.decomposition import TruncatedSVD

from demo.data import OPENAI, Row

_REACH = 3  # neighbours on each side that count as context


def count_embedding(
    rows: Sequence[Row],
    ids: Sequence[np.ndarray],
    *,
    n_pieces: int,
    size: int,
    scale: float,
    seed: int,
) -> np.ndarray:
    """Factorise the positive pointwise mutual information of pieces with their
    neighbours and with the text they are in. A text and its translations count as one,
    so pieces of like meaning get like vectors across the languages.

    rows (Sequence[Row]): The training rows.
    ids (Sequence[ndarray]): The piece ids of each row's text.
    n_pieces (int): Rows of the result.
    size (int): Columns of the result.
    scale (float): Its standard deviation.
    seed (int): Of the randomised factorisation.
    RETURNS (ndarray): (n_pieces, size), float32.
    """
    counts = _count_contexts(rows, ids, n_pieces)
    svd = TruncatedSVD(size, n_iter=4, random_state=seed)
    vectors = svd.fit_transform(_positive_information(counts))
    vectors /= np.sqrt(svd.singular_values_)
    vectors -= vectors.mean(axis=0)
    return (vectors * (scale / vectors.std())).astype(np.float32)


def _count_contexts(
    rows: Sequence[Row], ids: Sequence[np.ndarray], n_pieces: int
) -> csr_matrix:
    """(n_pieces, n_pieces + n_texts): pieces by neighbouring piece and by text."""
    texts: dict[tuple, int] = {}
    pieces, contexts, weights = [], [], []
    for row, own in zip(rows, ids, strict=True):
        # RTP-LX rows are not aligned between languages.
        key = (row.file, row.index, "" if row.file == OPENAI else row.language)
        text = n_pieces + texts.setdefault(key, len(texts))
        pieces.append(own)
        contexts.append(np.full(len(own), text))
        weights.append(np.ones(len(own)))
        for reach in range(1, _REACH + 1):
            pieces += [own[reach:], own[:-reach]]
            contexts += [own[:-reach], own[reach:]]
            weights.append(np.full(2 * len(own[reach:]), 1 / reach))
    places = np.concatenate(pieces), np.concatenate(contexts)
    shape = n_pieces, n_pieces + len(texts)
    return coo_matrix((np.concatenate(weights), places), shape).tocsr()


def _positive_information(counts: csr_matrix) -> csr_matrix:
    total = counts.sum()
    of_piece = np.asarray(counts.sum(axis=1)).ravel()
    # Flattened, else rare contexts dominate (Levy, Goldberg and Dagan 2015).
    of_context = np.asarray(counts.sum(axis=0)).ravel() ** 0.75
    of_context *= total / of_context.sum()
    cells = counts.tocoo()
    expected = of_piece[cells.row] * of_context[cells.col]
    cells.data = np.maximum(0.0, np.log(cells.data * total / expected))
    information = cells.tocsr()
    information.eliminate_zeros()
    return information
