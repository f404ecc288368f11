"""Random runs of a pipeline with a guard, and what must hold for all docs afterwards:
none has less than its true score, unless it is marked as not scored."""

import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import strategies as st
from spacy.util import ignore_error, raise_error

from spacy_duoguard.taxonomy import CATEGORIES, UNSAFE

from .failures import FAILED_CATS
from .faults import FAULTS, STOPS, faulty_forwards, interrupted_after
from .marker import FIRES
from .pipelines import AFTER, BEFORE, can_fail

TEXTS = [
    "The dog sleeps.",
    "7",
    "The dog sleeps. Then 7 came. The dog ran.",
    "the dog " * 12 + "7" + " a dog" * 12,
    "a dog sleeps, " * 9 + "7",
    "x" * 60 + "7",
    "été \u0301 日本 \U0001f642 \uff17",
    "<|endoftext|>7<tool_call>",
    "",
    " ",
    "\u200b",
    "line\n\nbreaks\t. and  spaces ",
]


def failing_handler(name, component, docs, error):
    raise ZeroDivisionError("the handler") from error


def forgetful_handler(name, component, docs, error):
    for doc in docs:
        doc.tensor = np.zeros(0)


HANDLERS = {
    "raise": raise_error,
    "ignore": ignore_error,
    "fail": failing_handler,
    "forget": forgetful_handler,
}
VALID = st.fixed_dictionaries(
    {},
    optional={
        "threshold": st.sampled_from([0.0, 0.1, 0.99, 1.0]),
        "thresholds": st.sampled_from([{}, {FIRES: 1.0}, {FIRES: 0.0}]),
        "max_chars": st.sampled_from([None, 1, 7, 40]),
        "patience": st.integers(1, 3),
        "spans_key": st.sampled_from(["duoguard", "other"]),
    },
)
BROKEN = st.dictionaries(
    st.sampled_from(["threshold", "thresholds", "max_chars", "spans_key", "curve"]),
    st.sampled_from([None, -1, "x", float("nan"), {"Hate": "x"}, {5: 0.5}, object()]),
    min_size=1,
    max_size=2,
)
ENTRIES = ["call", "pipe", "tuples", "component", "closed", "threads"]


@dataclass
class Plan:
    """What happens in an example."""

    texts: list[str]
    entry: str
    handler: str
    batch_size: int
    script: list[str]
    before: list[str]
    after: list[str]
    changes: list[dict] = field(default_factory=list)  # at the start, and in between
    n_lines: int = 0  # until an interrupt
    scored_before: bool = False

    @property
    def is_calm(self):
        """Nothing goes wrong."""
        faults = {*self.script} - {"ok"}
        return not (faults or self.n_lines or self.changes)

    def expects(self, error):
        if isinstance(error, Exception):
            return self.handler in ("raise", "fail")
        stops = {*self.script} & {*STOPS}
        return stops or (self.n_lines and isinstance(error, KeyboardInterrupt))


PLANS = st.builds(
    Plan,
    texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=7),
    entry=st.sampled_from(ENTRIES),
    handler=st.sampled_from(list(HANDLERS)) | st.just("ignore"),
    batch_size=st.integers(1, 5),
    script=st.lists(st.sampled_from(FAULTS) | st.just("ok"), max_size=8),
    before=st.lists(st.sampled_from(list(BEFORE)), max_size=2),
    after=st.lists(st.sampled_from(list(AFTER)), max_size=2),
    changes=st.lists(VALID | BROKEN, max_size=2),
    n_lines=st.just(0) | st.integers(1, 4000),
    scored_before=st.booleans(),
).filter(lambda plan: not can_fail(plan.after))


class Run:
    """An example: the docs that went in, those that came back, and the error."""

    def __init__(self, guarded, plan):
        self.guarded, self.plan = guarded, plan
        nlp, self.guard = guarded.nlp, guarded.guard
        guarded.reset()
        self.docs = [nlp.make_doc(text) for text in plan.texts]
        self.applied = [dict(self.guard.cfg)]
        if plan.scored_before:
            self.docs = list(nlp.pipe(self.docs))
        guarded.before.steps = [BEFORE[name] for name in plan.before]
        guarded.after.steps = [AFTER[name] for name in plan.after]
        nlp.set_error_handler(HANDLERS[plan.handler])
        self.waiting = list(plan.changes)
        self.returned, self.errors = [], []

    def change(self):
        """Change settings at run time, as a user would: without a check."""
        if self.waiting:
            self.guard.cfg.update(self.waiting.pop(0))
            self.applied.append(dict(self.guard.cfg))

    def feed(self, items):
        for i, item in enumerate(items):
            if i == 2:
                self.change()
            yield item

    def start(self):
        self.change()
        with (
            faulty_forwards(self.plan.script),
            interrupted_after(0 if self.plan.entry == "threads" else self.plan.n_lines),
        ):
            try:
                getattr(self, self.plan.entry)()
            except BaseException as e:
                self.errors.append(e)

    def call(self):
        for doc in self.feed(self.docs):
            self.returned.append(self.guarded.nlp(doc))

    def pipe(self):
        docs = self.feed(self.docs)
        for doc in self.guarded.nlp.pipe(docs, batch_size=self.plan.batch_size):
            self.returned.append(doc)

    def tuples(self):
        pairs = self.feed([(doc, i) for i, doc in enumerate(self.docs)])
        size = self.plan.batch_size
        stream = self.guarded.nlp.pipe(pairs, as_tuples=True, batch_size=size)
        for doc, i in stream:
            assert i == len(self.returned)
            self.returned.append(doc)

    def component(self):
        sentencizer = self.guarded.nlp.get_pipe("sentencizer")
        before, after = self.guarded.before, self.guarded.after
        self.docs = [sentencizer(before(doc)) for doc in self.docs]
        docs = self.guard.pipe(self.feed(self.docs), batch_size=self.plan.batch_size)
        self.returned.extend(map(after, docs))

    def closed(self):
        docs = self.feed(self.docs)
        stream = self.guarded.nlp.pipe(docs, batch_size=self.plan.batch_size)
        for doc in stream:
            self.returned.append(doc)
            if len(self.returned) == 2:
                stream.close()

    def threads(self):
        half, results = len(self.docs) // 2, [[], []]

        def work(docs, out):
            try:
                out.extend(self.guarded.nlp.pipe(docs, batch_size=2))
            except BaseException as e:
                self.errors.append(e)

        parts = (self.docs[:half], self.docs[half:])
        pairs = zip(parts, results, strict=True)
        threads = [threading.Thread(target=work, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        self.change()
        for thread in threads:
            thread.join()
        if not self.errors:
            self.returned = results[0] + results[1]

    def truths(self, text):
        """The true scores under each of the settings that were in force."""
        limits = {cfg.get("max_chars") for cfg in self.applied if is_limit(cfg)}
        return [
            self.guarded.reference.cats(text, max_chars=limit)
            for limit in sorted(limits, key=str)
        ]

    def check(self):
        texts = [doc.text for doc in self.returned]
        assert texts == self.plan.texts[: len(texts)]
        for error in self.errors:
            assert self.plan.expects(error), error
        is_closed = self.plan.entry == "closed"
        if not (self.errors or is_closed):
            assert len(texts) == len(self.plan.texts)
        for doc in self.returned:
            self.check_doc(doc, is_returned=True)
        if not {"forge", "break_data"} & {*self.plan.before}:
            for doc in self.docs:  # also those that an error kept
                self.check_doc(doc, is_returned=False)

    def check_doc(self, doc, *, is_returned):
        status, cats = doc._.duoguard_status, doc._.duoguard_cats
        truths = self.truths(doc.text)
        if not {"lower_cats", "replace_cats", "forge", "break_data"} & {
            *self.plan.after,
            *self.plan.before,
        } and UNSAFE in (doc.cats or ()):
            assert_not_below(doc.cats, truths)
        if status is None:
            lost = {"make_again", "clear_data"} & {*self.plan.after}
            lost |= {"make_again", "break_data"} & {*self.plan.before}
            assert lost or not is_returned
            assert cats is None
            assert doc._.duoguard_flags is None
        elif status == "error":
            assert not (self.plan.is_calm and doc.text.strip("\u200b"))
            assert cats == FAILED_CATS
            assert doc._.duoguard_flags == list(CATEGORIES)
            assert doc._.duoguard_windows == []
        else:
            assert_not_below(cats, truths)
            self.check_flags(doc, truths)
            assert any(cats == pytest.approx(true, abs=1e-5) for true in truths)
        self.check_spans(doc, status, is_returned=is_returned)

    def check_flags(self, doc, truths):
        limits = [
            {label: cfg["thresholds"].get(label, cfg["threshold"])}
            for cfg in self.applied
            if is_flagging(cfg)
            for label in CATEGORIES
        ]
        for label in CATEGORIES:
            most = max(limit[label] for limit in limits if label in limit)
            if min(true[label] for true in truths) > most + 1e-5:
                assert label in doc._.duoguard_flags

    def check_spans(self, doc, status, *, is_returned):
        if self.guard.span_getter is None or not is_returned:
            return
        if status is None or {*self.plan.after} - {"lower_cats", "replace_cats"}:
            return
        for sentence in doc.sents:
            cats = sentence._.duoguard_cats
            if status == "error":
                assert cats == FAILED_CATS
            elif not self.guard.in_context:
                assert_not_below(cats, self.truths(sentence.text))


def is_limit(cfg):
    value = cfg["max_chars"]
    return value is None or (isinstance(value, int) and value > 0)


def is_flagging(cfg):
    values = [cfg["threshold"]]
    if not isinstance(cfg["thresholds"], dict):
        return False
    values += cfg["thresholds"].values()
    return all(isinstance(v, float) and 0.0 <= v <= 1.0 for v in values)


def assert_not_below(cats, truths):
    for key, value in cats.items():
        if key in truths[0]:
            assert value >= min(true[key] for true in truths) - 1e-5, key
