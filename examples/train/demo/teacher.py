"""TF-IDF with logistic regression: the teacher and the baseline."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from demo.data import Row, View

N_FOLDS = 10
UNSAFE_COLUMN = 12  # after the twelve categories


class Regressions:
    """Regressions on word 1-2-grams and character 2-5-grams, one for each category with
    positives and one for `unsafe`.

    With `log_ratio`, each feature is scaled by how much more often it occurs in
    positive texts than in negative ones (Wang and Manning 2012). This improves the
    AUROC on unseen rows by 0.02."""

    def __init__(
        self, rows: Sequence[Row], *, strength: float, log_ratio: bool
    ) -> None:
        """rows (Sequence[Row]): The training rows.
        strength (float): The inverse of the regularization.
        log_ratio (bool): Whether to scale the features."""
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        characters = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), min_df=3, sublinear_tf=True
        )
        texts = [row.text for row in rows]
        self.strength, self.log_ratio = strength, log_ratio
        self.vectorizers = [words.fit(texts), characters.fit(texts)]
        self.features = self._vectorize(texts)
        self.gold = np.array([[*row.gold, row.unsafe] for row in rows])
        self.known = np.array([[row.known] * UNSAFE_COLUMN + [True] for row in rows])
        # A text and its translations have the same index, so they share a fold.
        indices = sorted({row.index for row in rows})
        fold_of = {index: i % N_FOLDS for i, index in enumerate(indices)}
        self.folds = np.array([fold_of[row.index] for row in rows])
        self.fitted = self._fit(np.ones(len(rows), dtype=bool))

    def label(self, texts: Sequence[str]) -> np.ndarray:
        """Label texts with the regressions fitted on all training rows.

        texts (Sequence[str]): The texts.
        RETURNS (ndarray): Probabilities of the categories and of `unsafe`,
            (n_texts, 13), float32.
        """
        return _probabilities(self.fitted, self._vectorize(texts))

    def label_unseen(self, views: Sequence[View]) -> np.ndarray:
        """Label each view with regressions that have seen neither its row nor the
        translations of that row.

        views (Sequence[View]): Views of the training rows.
        RETURNS (ndarray): As in `label`.
        """
        features = self._vectorize([view.text for view in views])
        fold_of_view = self.folds[[view.row for view in views]]
        labels = np.zeros((len(views), UNSAFE_COLUMN + 1), np.float32)
        for fold in range(N_FOLDS):
            in_fold = fold_of_view == fold
            if in_fold.any():
                fitted = self._fit(self.folds != fold)
                labels[in_fold] = _probabilities(fitted, features[in_fold])
        return labels

    def _vectorize(self, texts: Sequence[str]) -> csr_matrix:
        matrices = [vectorizer.transform(texts) for vectorizer in self.vectorizers]
        return hstack(matrices, format="csr")

    def _fit(self, seen: np.ndarray) -> dict[int, tuple[np.ndarray, float]]:
        """seen (ndarray): (n_rows,) bool, the rows to fit on.
        RETURNS (Dict[int, Tuple[ndarray, float]]): The weights and the intercept by
            column, without columns that have no positive row."""
        fitted = {}
        for column in range(UNSAFE_COLUMN + 1):
            chosen = seen & self.known[:, column]
            features, gold = self.features[chosen], self.gold[chosen, column] > 0.5
            if not gold.any() or gold.all():
                continue
            scale = np.ones(features.shape[1])
            if self.log_ratio:
                scale = _log_ratio(features[gold], features[~gold])
            regression = LogisticRegression(
                C=self.strength, solver="liblinear", class_weight="balanced"
            )
            regression.fit(features @ diags(scale), gold)
            weights = regression.coef_.ravel() * scale
            fitted[column] = weights, float(regression.intercept_[0])
        return fitted


def _log_ratio(positive: csr_matrix, negative: csr_matrix) -> np.ndarray:
    """The log ratio of each feature's shares in positive and in negative texts, with
    add-one smoothing."""
    shares = []
    for texts in (positive, negative):
        counts = np.asarray((texts > 0).sum(axis=0)).ravel() + 1.0
        shares.append(np.log(counts / counts.sum()))
    return shares[0] - shares[1]


def _probabilities(
    fitted: Mapping[int, tuple[np.ndarray, float]], features: csr_matrix
) -> np.ndarray:
    """RETURNS (ndarray): (n_texts, 13), 0 in columns without a regression."""
    labels = np.zeros((features.shape[0], UNSAFE_COLUMN + 1), np.float32)
    for column, (weights, intercept) in fitted.items():
        labels[:, column] = 1 / (1 + np.exp(-(features @ weights + intercept)))
    return labels
