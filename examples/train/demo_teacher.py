"""TF-IDF with logistic regression: the teacher, and the baseline to compare with."""

from collections.abc import Mapping, Sequence

import numpy as np
from demo_data import Row, View
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

N_FOLDS = 10
UNSAFE_COLUMN = 12  # after the twelve categories


class Teacher:
    """Regressions on word 1-2-grams and character 2-5-grams, one for each category that
    has a positive and one for `unsafe`."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """rows (Sequence[Row]): The training rows."""
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        characters = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), min_df=3, sublinear_tf=True
        )
        texts = [row.text for row in rows]
        self.parts = [part.fit(texts) for part in (words, characters)]
        self.whole = self._features(texts)
        self.gold = np.array([[*row.gold, row.unsafe] for row in rows])
        self.known = np.array([[row.known] * UNSAFE_COLUMN + [True] for row in rows])
        # Held-out rows are every fifth: the others are dealt out in groups of five, so
        # that a text and its translations share a fold.
        self.folds = np.array([row.index // 5 % N_FOLDS for row in rows])
        self.regressions = self._fit(np.ones(len(rows), dtype=bool))

    def label(self, texts: Sequence[str]) -> np.ndarray:
        """Label texts by regressions fitted on all training rows.

        texts (Sequence[str]): The texts.
        RETURNS (ndarray): Probabilities of the categories and of `unsafe`,
            (n_texts, 13), float32.
        """
        return _probabilities(self.regressions, self._features(texts))

    def label_unseen(self, views: Sequence[View]) -> np.ndarray:
        """Label each view by regressions that have seen neither its row nor the
        translations of it.

        views (Sequence[View]): Of the training rows.
        RETURNS (ndarray): As `label`.
        """
        features = self._features([view.text for view in views])
        fold_of_view = self.folds[[view.row for view in views]]
        labels = np.zeros((len(views), UNSAFE_COLUMN + 1), np.float32)
        for fold in range(N_FOLDS):
            own = fold_of_view == fold
            regressions = self._fit(self.folds != fold)
            labels[own] = _probabilities(regressions, features[own])
        return labels

    def _features(self, texts: Sequence[str]) -> csr_matrix:
        return hstack([part.transform(texts) for part in self.parts], format="csr")

    def _fit(self, seen: np.ndarray) -> dict[int, LogisticRegression]:
        """seen (ndarray): (n_rows,) bool, the rows to fit on.
        RETURNS (Dict[int, LogisticRegression]): By column; none where no row is
            positive."""
        regressions = {}
        for column in np.flatnonzero(self.gold.any(axis=0)):
            fitted = seen & self.known[:, column]
            balance = "balanced" if column == UNSAFE_COLUMN else None
            regression = LogisticRegression(
                C=4.0, solver="liblinear", class_weight=balance
            )
            gold = self.gold[fitted, column]
            regressions[int(column)] = regression.fit(self.whole[fitted], gold)
        return regressions


def _probabilities(
    regressions: Mapping[int, LogisticRegression], features: csr_matrix
) -> np.ndarray:
    """RETURNS (ndarray): (n_texts, 13), 0 in the columns without a regression."""
    labels = np.zeros((features.shape[0], UNSAFE_COLUMN + 1), np.float32)
    for column, regression in regressions.items():
        labels[:, column] = regression.predict_proba(features)[:, 1]
    return labels
