"""The invariant of `test_invariant.py` after every step of a long session: docs that
are scored again and again under other settings, and streams.

Run `pytest -m slow tests/trust/test_invariant_steps.py` for many more examples.
"""

from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from spacy.util import ignore_error, raise_error
from support.failures import FAILED_CATS
from support.faults import FAULTS, STOPS, faulty_forwards, interrupted_after
from support.pipelines import Guarded, clear_spans, lower_cats, replace_cats

from spacy_duoguard import StreamBatch
from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

pytestmark = pytest.mark.filterwarnings("ignore:.W00[145]")

QUICK = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=2000, stateful_step_count=40, derandomize=False)

PIECES = ["the dog ", "7", " sleeps", ". ", "x" * 20, "é", "", "kill a ", "\n\n", "!"]
TEXTS = ["The dog sleeps.", "a 7 b. The dog.", "x" * 50 + "7", "7" + " dog" * 40, " "]
VALUES = {
    "threshold": st.sampled_from([0.0, 0.3, 1.0, None, float("nan")]),
    "thresholds": st.sampled_from([{}, {"Hate": 1.0}, {"Hate": "x"}, None]),
    "max_chars": st.sampled_from([None, 1, 9, 0, "x"]),
    "curve": st.sampled_from([True, False, None]),
    "spans_key": st.sampled_from(["duoguard", "other", None]),
}
SETTINGS = st.sampled_from(list(VALUES)).flatmap(
    lambda key: st.tuples(st.just(key), VALUES[key])
)


class Session(RuleBasedStateMachine):
    """Faults are armed, and go off in one of the later steps."""

    guarded: Guarded
    docs = Bundle("docs")
    streams = Bundle("streams")

    @initialize()
    def begin(self):
        self.guarded.reset()
        self.guard = self.guarded.guard
        self.guard.set_error_handler(ignore_error)
        self.script, self.n_lines = [], 0
        self.known = {}  # for each doc: the doc, and the limits it was scored under
        self.batch = StreamBatch(self.guard.classifier, threshold=0.4)
        self.texts = {}  # for each stream: the stream, its text, and its flags

    @contextmanager
    def trouble(self, *, swallows):
        """Run a step with the faults that are armed."""
        script, n_lines = self.script, self.n_lines
        self.script, self.n_lines = [], 0
        error = None
        try:
            with faulty_forwards(script), interrupted_after(n_lines):
                yield
        except AssertionError:
            raise
        except BaseException as e:
            error = e
        is_stopped = n_lines or {*script} & {*STOPS}
        is_raised = isinstance(error, Exception) and not swallows
        assert error is None or is_stopped or is_raised

    @rule(script=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=5))
    def arm(self, script):
        self.script = script

    @rule(n_lines=st.integers(1, 2500))
    def arm_an_interrupt(self, n_lines):
        self.n_lines = n_lines

    @rule(setting=SETTINGS)
    def change_a_setting(self, setting):
        self.guard.cfg[setting[0]] = setting[1]

    @rule()
    def repair_settings(self):
        self.guard.cfg = {**self.guard.configured, "thresholds": {}}

    @rule(handler=st.sampled_from([ignore_error, raise_error]))
    def set_handler(self, handler):
        self.guard.set_error_handler(handler)

    @rule(target=docs, text=st.sampled_from(TEXTS))
    def make_doc(self, text):
        nlp = self.guarded.nlp
        doc = nlp.get_pipe("sentencizer")(nlp.make_doc(text))
        self.known[id(doc)] = doc, []
        return doc

    @rule(doc=docs, step=st.sampled_from([lower_cats, replace_cats, clear_spans]))
    def interfere(self, doc, step):
        if isinstance(doc.cats, dict):
            step(doc)

    @rule(some=st.lists(docs, min_size=1, max_size=5, unique_by=id))
    def score_docs(self, some):
        limit = self.guard.cfg["max_chars"]
        for doc in some:
            self.known[id(doc)][1].append(limit)
        swallows = self.guard.get_error_handler() is ignore_error
        done = []
        with self.trouble(swallows=swallows):
            done.extend(self.guard.pipe(iter(some), batch_size=3))
            assert done == some
        for doc in done:
            assert doc._.duoguard_status is not None
            self.known[id(doc)][1][:] = [limit]
            check_cats(doc.cats, doc._.duoguard_status, self.truths(doc))

    @rule(some=st.lists(docs, min_size=1, max_size=3, unique_by=id))
    def predict_and_annotate(self, some):
        limit = self.guard.cfg["max_chars"]
        for doc in some:
            self.known[id(doc)][1].append(limit)
        with self.trouble(swallows=False):
            self.guard.set_annotations(some, self.guard.predict(some))

    def truths(self, doc):
        limits = self.known[id(doc)][1]
        valid = {n for n in limits if n is None or (isinstance(n, int) and n > 0)}
        score = self.guarded.reference.cats
        return [score(doc.text, max_chars=limit) for limit in valid]

    @invariant()
    def no_doc_is_below_its_true_score(self):
        for doc, _ in getattr(self, "known", {}).values():
            status = doc._.duoguard_status
            if status is None:
                assert doc._.duoguard_cats is None
                continue
            check_cats(doc._.duoguard_cats, status, self.truths(doc))
            if status == "error":
                assert doc._.duoguard_flags == list(CATEGORIES)

    @rule(target=streams)
    def open_stream(self):
        stream = self.batch.open()
        self.texts[id(stream)] = [stream, "", set()]
        return stream

    @rule(
        some=st.lists(streams, min_size=1, max_size=3, unique_by=id),
        chunks=st.lists(st.sampled_from(PIECES), min_size=3, max_size=3),
    )
    def push(self, some, chunks):
        chunks, results = chunks[: len(some)], []
        is_open = all(not s.closed and s.error is None for s in some)
        with self.trouble(swallows=False):
            results.extend(self.batch.push(some, chunks))
        pairs = zip(some, chunks, results, strict=False)
        for stream, chunk, scores in pairs:
            known = self.texts[id(stream)]
            known[1] += chunk
            self.check_stream(stream, scores)
        for stream in some[len(results) :]:
            # A chunk that was read without a report would take its flags with it.
            unread = stream._state.reader.text.n_chars == len(self.texts[id(stream)][1])
            assert stream.error is not None or unread or not is_open

    @rule(stream=consumes(streams))
    def close_stream(self, stream):
        for _ in range(2):  # the first time may fail
            results = []
            with self.trouble(swallows=False):
                results.append(stream.close())
            for scores in results:
                self.check_stream(stream, scores)
        if scores.status == "error" or not stream.closed:
            return
        _, text, flags = self.texts.pop(id(stream))
        true = self.guarded.reference.cats(text)
        assert {label for label in CATEGORIES if true[label] > 0.4 + 1e-5} <= flags

    def check_stream(self, stream, scores):
        _, text, flags = self.texts[id(stream)]
        flags |= {flag.category for flag in scores.flags}
        true = self.guarded.reference.cats(text)
        rows = [*scores.probabilities.tolist(), scores.unsafe]
        cats = dict(zip((*CATEGORIES, UNSAFE), rows, strict=True))
        check_cats(cats, scores.status, [true])
        if scores.status == "error":
            assert {flag.category for flag in scores.flags} == {*CATEGORIES}


def check_cats(cats, status, truths):
    cats = {key: cats[key] for key in FAILED_CATS}  # without those of others
    if status == "error":
        assert cats == FAILED_CATS
        return
    for key, value in cats.items():
        assert value >= min(true[key] for true in truths) - 1e-5
    assert any(cats == pytest.approx(true, abs=1e-5) for true in truths)


@pytest.fixture(scope="module", params=["plain", "sentences", "bos"])
def session(request, tmp_path_factory):
    kind = request.param
    guarded = Guarded(tmp_path_factory.mktemp("steps") / kind, kind)
    return type("SessionOfKind", (Session,), {"guarded": guarded})


def test_no_step_leaves_a_text_below_its_true_score(session):
    run_state_machine_as_test(session, settings=QUICK)


@pytest.mark.slow  # minutes
def test_no_step_of_many_leaves_a_text_below_its_true_score(session):
    run_state_machine_as_test(session, settings=LONG)
