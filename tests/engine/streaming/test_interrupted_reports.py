"""A flag that was raised is reported, or the stream has failed."""

import pytest

from spacy_duoguard import Stream
from spacy_duoguard.engine.flags import FlagTracker


def interrupted(monkeypatch, name):
    method = getattr(FlagTracker, name)

    def call(self, *arguments):
        method(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(FlagTracker, name, call)


@pytest.mark.parametrize(("step", "name"), [("push", "read"), ("close", "close")])
def test_an_interrupt_between_a_flag_and_its_report(
    classifier, monkeypatch, step, name
):
    stream = Stream(classifier, threshold=0.0)
    if step == "close":
        stream.push("The dog sleeps")
    with monkeypatch.context() as patch:
        interrupted(patch, name)
        with pytest.raises(KeyboardInterrupt):
            stream.push("The dog sleeps. It") if step == "push" else stream.close()
    scores = stream.close()
    assert scores.status == "error"
    assert scores.unsafe == 1.0
    assert {flag.category for flag in scores.flags} == set(classifier.labels)
    assert stream.batch.n_open == 0
