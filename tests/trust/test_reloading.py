"""A component is loaded anew while other threads score with it."""

import threading
from functools import partial

import pytest
import spacy

from spacy_duoguard.pipeline import serialization

TEXTS = ["How to kill a python process?", "The dog sleeps.", "a"]


@pytest.fixture
def guard(qwen2_folder):
    """A pipeline that allows everything, and its component."""
    nlp = spacy.blank("en")
    model = {"name": str(qwen2_folder), "precision": "float32", "device": "cpu"}
    component = nlp.add_pipe("duoguard", config={"model": model, "threshold": 1.0})
    return nlp, component


@pytest.fixture
def other(guard):
    """Another version: other weights, and a threshold that blocks everything. RETURNS
    the bytes of both, and what the other one makes of the texts."""
    nlp, component = guard
    first = component.to_bytes()
    decoder = component.classifier.decoder
    for parameter in decoder.parameters():
        parameter.data *= 0.5
    component.threshold = 0.0
    second, expected = component.to_bytes(), list(map(read, nlp.pipe(TEXTS)))
    component.from_bytes(first)
    assert all(read(doc) != e for doc, e in zip(nlp.pipe(TEXTS), expected, strict=True))
    return first, second, expected


def read(doc):
    return (
        doc._.duoguard_status,
        doc._.duoguard_action,
        doc._.duoguard_flags,
        {label: round(score, 5) for label, score in doc.cats.items()},
    )


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", ["bytes", "disk"])
def test_a_load_between_scores_and_annotations(
    guard, other, tmp_path, monkeypatch, kind
):
    nlp, component = guard
    first, second, expected = other
    load = partial(component.from_bytes, second)
    if kind == "disk":
        load()
        component.to_disk(tmp_path / "second")
        component.from_bytes(first)
        load = partial(component.from_disk, tmp_path / "second")
    predict, loads = component.predict, [load]

    def interrupted(docs):
        scores = predict(docs)
        if loads:
            in_thread(loads.pop()).join()
        return scores

    monkeypatch.setattr(component, "predict", interrupted)
    assert list(map(read, nlp.pipe(TEXTS))) == expected


def test_texts_wait_while_a_component_is_loaded(guard, other, monkeypatch):
    nlp, component = guard
    _, second, expected = other
    restore, done, results = serialization.restore_settings, threading.Event(), []
    threads = []

    def score():
        results.extend(map(read, nlp.pipe(TEXTS)))
        done.set()

    def slow(*args, **options):
        """The weights are the new ones, the settings still the old ones."""
        threads.append(in_thread(score))
        done.wait(0.3)
        return restore(*args, **options)

    monkeypatch.setattr(serialization, "restore_settings", slow)
    component.from_bytes(second)
    threads[0].join()
    assert results == expected


def test_loads_without_an_end_fail_closed(guard, other, monkeypatch):
    nlp, component = guard
    predict, errors = component.predict, []

    def interrupted(docs):
        scores = predict(docs)
        in_thread(partial(component.from_bytes, other[0])).join()
        return scores

    monkeypatch.setattr(component, "predict", interrupted)
    nlp.set_error_handler(lambda name, proc, docs, error: errors.append(str(error)))
    (doc,) = nlp.pipe(["a"])
    assert (doc._.duoguard_status, doc._.duoguard_action) == ("error", "block")
    assert [error.split()[0] for error in errors] == ["[E352]"]


def test_an_interruption_after_a_load_leaves_no_doc_that_looks_safe(
    guard, other, monkeypatch
):
    nlp, component = guard
    predict, calls = component.predict, []

    def interrupted(docs):
        calls.append(len(docs))
        if len(calls) > 1:
            raise KeyboardInterrupt
        scores = predict(docs)
        in_thread(partial(component.from_bytes, other[1])).join()
        return scores

    docs = [nlp.make_doc(text) for text in TEXTS]
    monkeypatch.setattr(component, "predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(nlp.pipe(docs))
    assert {doc._.duoguard_status for doc in docs} == {"error"}
    assert {doc._.duoguard_action for doc in docs} == {"block"}
