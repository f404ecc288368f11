"""What the end of a `with` block does to a stream: no flag is lost."""

import threading

import pytest

from spacy_duoguard import Stream, StreamBatch
from spacy_duoguard.engine.streaming.shared_pass import SharedPass
from spacy_duoguard.errors import SettingsError

BAND = {"threshold": 0.3, "review_threshold": 0.2, "patience": 50}
TEXT = "I will kill you"


def closed(classifier, chunks, **settings):
    """The scores of a stream that is closed without a block."""
    stream = Stream(classifier, **settings)
    for chunk in chunks:
        stream.push(chunk)
    return stream.close()


def assert_same(scores, expected):
    assert scores.flags == expected.flags
    assert scores.reviews == expected.reviews
    assert scores.decision == expected.decision
    assert scores.status == expected.status
    assert scores.probabilities.tolist() == expected.probabilities.tolist()


def assert_failed(stream):
    scores = stream.close()
    assert (scores.status, scores.action, scores.unsafe) == ("error", "block", 1.0)
    assert {f.category for f in scores.flags} == set(stream.batch.classifier.labels)
    assert stream.batch.n_open == 0
    with pytest.raises(SettingsError, match="E092"):
        stream.push("more")


@pytest.mark.parametrize("chunks", [[TEXT], [TEXT.encode(), b" \xf0\x9f"], []])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_end_of_the_block_loses_no_flags(classifier, chunks, threshold):
    settings = {**BAND, "threshold": threshold, "review_threshold": 0.0}
    expected = closed(classifier, chunks, **settings)
    assert bool(expected.flags) == (threshold == 0.0 and bool(chunks))
    with Stream(classifier, **settings) as stream:
        for chunk in chunks:
            assert stream.push(chunk).flags == ()
    assert stream.batch.n_open == 0
    assert_same(stream.close(), expected)
    again = stream.close()  # they were returned
    assert (again.flags, again.reviews) == ((), ())
    assert again.decision == expected.decision


def test_the_streams_of_a_batch_lose_no_flags(classifier):
    batch = StreamBatch(classifier, threshold=0.0, patience=50)
    texts = [TEXT, "See you"]
    with batch.open() as first, batch.open() as second:
        batch.push([first, second], texts)
    for stream, text in zip([first, second], texts, strict=True):
        scores = stream.close()
        assert {flag.category for flag in scores.flags} == set(classifier.labels)
        assert {flag.offset for flag in scores.flags} == {len(text)}
        assert scores.action == "block"


def test_what_close_returned_in_the_block_is_not_returned_again(classifier):
    with Stream(classifier, threshold=0.0, patience=50) as stream:
        stream.push(TEXT)
        assert len(stream.close().flags) == len(classifier.labels)
    assert stream.close().flags == ()
    assert stream.close().action == "block"


def interrupt(stream, error, *, closes=False):
    with stream:
        stream.push("The dog")
        if closes:
            stream.close()
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_block_that_an_exception_ends(classifier, error):
    stream = Stream(classifier, threshold=1.0)
    with pytest.raises(error):
        interrupt(stream, error)
    assert_failed(stream)


def test_an_exception_after_the_text_was_closed_changes_nothing(classifier):
    stream = Stream(classifier, threshold=1.0)
    with pytest.raises(RuntimeError):
        interrupt(stream, RuntimeError, closes=True)
    assert (stream.close().status, stream.close().action) == ("ok", "allow")


def test_a_generator_that_is_closed_before_its_text_ends(classifier):
    streams = []

    def moderate(chunks):
        with Stream(classifier, threshold=1.0) as stream:
            streams.append(stream)
            for chunk in chunks:
                stream.push(chunk)
                yield chunk

    answer = moderate(["The dog", " sleeps"])
    assert next(answer) == "The dog"
    answer.close()
    assert_failed(streams[0])


def test_a_failure_at_the_end_of_the_block_is_raised(classifier, monkeypatch):
    stream = Stream(classifier, threshold=0.0, patience=50)

    def fail():
        raise MemoryError

    monkeypatch.setattr(stream._state.reader, "close", fail)
    with pytest.raises(MemoryError), stream:
        stream.push(TEXT)
    assert_failed(stream)


def test_a_block_that_ends_during_a_push_of_its_thread(classifier, monkeypatch):
    """As if the garbage collector ended a generator there, which must not wait."""
    batch, streams = StreamBatch(classifier), []

    def moderate():
        with batch.open() as stream:
            streams.append(stream)
            stream.push("one dog")
            yield

    abandoned = moderate()
    next(abandoned)
    read = SharedPass.read

    def reading(self, streams):
        abandoned.close()
        read(self, streams)

    other, reports = batch.open(), []
    monkeypatch.setattr(SharedPass, "read", reading)
    thread = threading.Thread(
        target=lambda: reports.append(other.push("two")), daemon=True
    )
    thread.start()
    thread.join(30)
    assert [report.status for report in reports] == ["ok"]
    scores = streams[0].close()
    assert (scores.status, scores.action) == ("error", "block")
    other.close()
    assert batch.n_open == 0
