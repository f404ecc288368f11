"""Many results are judged at once as each of them is alone."""

import numpy as np
import pytest

from spacy_duoguard.engine.verdict import are_scored
from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

ROW = [i / 16 for i in range(12)]  # exact in float32
NAN = float("nan")


def judged_at_once(*rows, windows=None, counts=None, labels=CATEGORIES, limits=None):
    rows = np.array(rows, dtype=np.float32)
    windows = rows if windows is None else np.array(windows, dtype=np.float32)
    limits = [0.5] * len(labels) if limits is None else limits
    scored = are_scored(labels, limits, rows, windows, counts or [1] * len(rows))
    assert scored.dtype == bool
    return scored.tolist()


@pytest.mark.parametrize("i", [0, 11])
@pytest.mark.parametrize("value", [NAN, 1.25, -0.25, float("inf"), -float("inf")])
def test_a_score_out_of_range_fails_alone_in_a_batch(i, value):
    bad = list(ROW)
    bad[i] = value
    assert judged_at_once(ROW, bad, ROW) == [True, False, True]


def test_scores_on_the_limits_pass_in_a_batch():
    assert judged_at_once([0.0] * 12, [1.0] * 12, ROW) == [True] * 3
    halves = [[*ROW[:6], *[0.0] * 6], [*[0.0] * 6, *ROW[6:]], ROW]
    assert judged_at_once(ROW, ROW, windows=halves, counts=[2, 1]) == [True, True]
    assert judged_at_once(ROW, ROW, windows=halves, counts=[1, 2]) == [False, True]
    assert judged_at_once(ROW, limits=[0, 1, *[0.5] * 10]) == [True]


@pytest.mark.parametrize("value", [NAN, 1.5, -0.5, True, None])
def test_without_thresholds_no_result_passes_in_a_batch(value):
    assert judged_at_once(ROW, ROW, limits=[*[0.5] * 11, value]) == [False, False]


@pytest.mark.parametrize("label", [None, 7, UNSAFE, "Hate"])
def test_with_an_odd_category_beside_the_twelve_none_passes_in_a_batch(label):
    row, labels = [*ROW, 0.5], (*CATEGORIES, label)
    assert judged_at_once(row, row, labels=labels) == [False, False]
    assert judged_at_once(row, labels=(*CATEGORIES, "Spam")) == [True]
