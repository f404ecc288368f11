"""No text ends with less than its true score, unless it is marked as not scored:
random pipelines, settings, handlers, faults and interrupts.

Run `pytest -m slow tests/trust/test_invariant.py` for many more examples.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from support.faults import FAULTS, faulty_forwards, interrupted_after
from support.guarded_runs import ENTRIES, PLANS, TEXTS, Plan, Run
from support.marker import FIRES
from support.pipelines import KINDS, Guarded

from spacy_duoguard.errors import DuoGuardError
from spacy_duoguard.taxonomy import CATEGORIES

pytestmark = pytest.mark.filterwarnings("ignore:.W00[145]")

QUICK = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=3000, derandomize=False)


@pytest.fixture(scope="module", params=list(KINDS))
def guarded(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("invariant") / request.param
    return Guarded(folder, request.param)


def check_plan(guarded, plan):
    run = Run(guarded, plan)
    try:
        run.start()
        note(repr(run.errors))
        run.check()
    finally:
        guarded.reset()


def test_no_text_ends_below_its_true_score(guarded):
    QUICK(given(plan=PLANS)(lambda plan: check_plan(guarded, plan)))()


@pytest.mark.slow  # minutes
def test_no_text_of_many_ends_below_its_true_score(guarded):
    LONG(given(plan=PLANS)(lambda plan: check_plan(guarded, plan)))()


@pytest.mark.parametrize("entry", ENTRIES)
def test_without_faults_every_text_gets_its_true_score(guarded, entry):
    """The checks above don't pass merely because everything is marked."""
    plan = Plan(TEXTS, entry, "raise", 3, [], [], [])
    run = Run(guarded, plan)
    run.start()
    run.check()
    assert not run.errors
    for doc in run.returned:
        assert doc._.duoguard_status != "error"
        fires = run.truths(doc.text)[0][FIRES] > 0.9
        assert (doc.cats[FIRES] > 0.9) == fires
    assert any(doc.cats[FIRES] > 0.9 for doc in run.returned)


WIDER = [*TEXTS, "\ud800 7", 7, None]


def score(classifier, texts, *, normalize):
    if not normalize:
        return classifier.score(texts)
    scores = classifier.analyze(texts, normalize=True)
    return np.array([text.probabilities for text in scores]).reshape(len(texts), -1)


@given(
    texts=st.lists(st.sampled_from(WIDER), min_size=1, max_size=7),
    script=st.lists(st.sampled_from(FAULTS), max_size=4),
    n_lines=st.just(0) | st.integers(1, 1500),
)
@QUICK
def test_a_classifier_returns_true_scores_or_raises(guarded, texts, script, n_lines):
    classifier = guarded.guard.classifier
    error = None
    try:
        with faulty_forwards(script), interrupted_after(n_lines):
            scores = score(classifier, texts, normalize=guarded.reference.normalize)
    except BaseException as e:
        error = e
    if error is not None:
        is_odd = any(text not in TEXTS for text in texts)
        expected = is_odd and isinstance(error, DuoGuardError)
        assert expected or n_lines or {*script} - {"ok"}
        return
    assert scores.shape == (len(texts), len(CATEGORIES))
    for text, row in zip(texts, scores, strict=True):
        assert (row >= guarded.reference.scores(text) - 1e-5).all()
