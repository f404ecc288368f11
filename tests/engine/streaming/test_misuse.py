"""Arguments of streams that are something else, and streams that are copied."""

import copy
import pickle

import numpy as np
import pytest

from spacy_duoguard.engine.streaming.stream import Stream, StreamBatch
from spacy_duoguard.errors import SettingsError


@pytest.mark.parametrize("make", [Stream, StreamBatch])
@pytest.mark.parametrize("value", ["demo", None, 5])
def test_a_classifier_is_needed(make, value):
    kind = type(value).__name__
    with pytest.raises(SettingsError, match=rf"E329.*'{kind}'.*get_pipe"):
        make(value)


def test_a_component_is_no_classifier(make_nlp):
    guard = make_nlp().get_pipe("duoguard")
    with pytest.raises(SettingsError, match=r"E329.*'DuoGuard'"):
        Stream(guard)
    assert Stream(guard.classifier).push("The dog").status == "ok"


def test_streams_are_opened_in_a_batch_and_pushed_in_a_list(classifier):
    with pytest.raises(SettingsError, match=r"E329 *.*batch.*'int'"):
        Stream(classifier, batch=1)
    batch = StreamBatch(classifier)
    assert batch.n_open == 0
    stream = batch.open()
    for streams in ((s for s in [stream]), None, 5):
        with pytest.raises(SettingsError, match=r"E329.*streams"):
            batch.push(streams, ["The dog"])
    with pytest.raises(SettingsError, match="E091"):
        batch.push(["The dog"], ["The dog"])
    (scores,) = batch.push([stream], ["The dog"])
    assert scores.unsafe == classifier.score(["The dog"]).max()


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deep", "pickle"]
)
def test_a_stream_is_not_copied(classifier, clone):
    stream = Stream(classifier)
    stream.push("The dog")
    for value in (stream, stream.batch):
        with pytest.raises(SettingsError, match=f"E330.*{type(value).__name__}"):
            clone(value)
    expected = classifier.score(["The dog sleeps."])[0]
    assert np.allclose(stream.push(" sleeps.").probabilities, expected, atol=1e-6)


def test_what_streams_report_shares_no_memory(classifier):
    stream = Stream(classifier)
    reports = [stream.push("The dog"), stream.push(""), stream.close(), stream.close()]
    for i, scores in enumerate(reports):
        before = [other.probabilities.tolist() for other in reports[i + 1 :]]
        scores.probabilities[:] = 0.0
        assert [other.probabilities.tolist() for other in reports[i + 1 :]] == before
    assert stream.close().unsafe == classifier.score(["The dog"]).max()
