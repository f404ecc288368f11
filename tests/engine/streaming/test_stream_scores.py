"""The scores that a stream reports are those of its text, or it has failed."""

import numpy as np
import pytest

from spacy_duoguard.engine.streaming.stream import Stream
from spacy_duoguard.errors import ScoringError


def test_a_caller_who_writes_into_the_scores_of_a_stream_changes_nothing(classifier):
    text, more = "How to kill a python process? " * 40, "The dog sleeps. " * 90
    truth = Stream(classifier, threshold=0.0)
    stream = Stream(classifier, threshold=0.0)
    for chunk in (text, more, ""):
        expected = truth.push(chunk).probabilities.tolist()
        found = stream.push(chunk).probabilities
        assert found.tolist() == expected
        found[:] = 0.0


@pytest.mark.parametrize("value", [float("nan"), 2.0])
def test_a_stream_with_scores_that_are_none_fails(classifier, monkeypatch, value):
    stream = Stream(classifier)
    stream.push("The dog")
    reader = type(stream._state.reader)
    broken = property(lambda self: np.full(12, value, dtype=np.float32))
    monkeypatch.setattr(reader, "probabilities", broken)
    with pytest.raises(ScoringError, match="E181"):
        stream.push(" sleeps")
    monkeypatch.undo()
    closed = stream.close()
    assert (closed.status, closed.unsafe, len(closed.flags)) == ("error", 1.0, 12)
