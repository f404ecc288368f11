"""Scores of the component aren't taken for gold without a word."""

from contextlib import suppress

import pytest
import spacy
from spacy.tokens import DocBin, Span
from spacy.training import Example

from spacy_duoguard.calibration.run import score_corpus
from spacy_duoguard.corpora.composed import _read_docs
from spacy_duoguard.corpora.disguise import _copy_gold
from spacy_duoguard.corpora.export import export
from spacy_duoguard.engine import user_warnings
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.pipeline.fail_closed import mark_docs
from spacy_duoguard.pipeline.scored_gold import has_scores_as_gold

TEXTS = ["How to kill a python process?", "The dog sleeps.", "été"]


@pytest.fixture
def nlp(make_nlp, monkeypatch):
    monkeypatch.setattr(user_warnings, "_shown", set())
    return make_nlp()


def save(path, docs):
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


def label(doc, cats):
    doc.cats = cats
    return doc


def test_a_scored_corpus_is_refused(nlp, tmp_path):
    """As `spacy apply` writes it: with the record, and scores in place of the gold."""
    scored = save(tmp_path / "scored.spacy", list(nlp.pipe(TEXTS)))
    nlp.to_disk(tmp_path / "pipeline")
    with pytest.raises(SettingsError, match="E353"):
        score_corpus(tmp_path / "pipeline", "duoguard", scored)
    for gold in (False, True):
        with pytest.raises(SettingsError, match="E353"):
            export(scored, str(tmp_path / "out.jsonl"), gold=gold)
    with pytest.raises(SettingsError, match="E353"):
        list(_read_docs(spacy.blank("en").vocab, scored))


def test_marks_of_failed_docs_are_no_gold(make_nlp):
    nlp = make_nlp()
    guard = nlp.get_pipe("duoguard")
    docs = [nlp.make_doc(text) for text in TEXTS]
    mark_docs(guard, docs)
    assert all(doc._.duoguard_status == "error" for doc in docs)
    assert all(map(has_scores_as_gold, docs))
    labelled = label(docs[0], {"Hate": 1.0, "unsafe": 1.0})
    assert not has_scores_as_gold(labelled)


def test_labels_beside_a_record_are_gold(nlp, tmp_path):
    docs = [label(doc, {"Hate": 1.0, "unsafe": 1.0}) for doc in nlp.pipe(TEXTS)]
    assert not any(map(has_scores_as_gold, docs))
    path = save(tmp_path / "labelled.spacy", docs)
    nlp.to_disk(tmp_path / "pipeline")
    _, texts = score_corpus(tmp_path / "pipeline", "duoguard", path)
    assert len(texts.scores) == len(TEXTS)
    assert export(path, str(tmp_path / "out.jsonl")).n_lines == len(TEXTS)


def test_what_was_not_corrected_is_still_a_score(nlp):
    doc = nlp(TEXTS[0])
    scores = dict(doc.cats)
    assert has_scores_as_gold(label(doc, {**scores, "Hate": 1.0}))
    assert has_scores_as_gold(label(doc, {"unsafe": scores["unsafe"]}))
    assert not has_scores_as_gold(label(doc, {"unsafe": 1.0}))


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_flagged_spans_are_no_gold(make_nlp, threshold):
    """Not even if none is flagged: an empty group says that no span is unsafe."""
    nlp = make_nlp(sents=True, threshold=threshold)
    doc = label(nlp("The dog sleeps. A cat."), {"unsafe": 1.0})
    assert bool(doc.spans["duoguard"]) is (threshold == 0.0)
    assert has_scores_as_gold(doc)
    doc.spans["duoguard"] = [Span(doc, 0, 3, "Hate")]
    assert not has_scores_as_gold(doc)
    del doc.spans["duoguard"]
    assert not has_scores_as_gold(doc)


@pytest.mark.parametrize(
    "record",
    [
        *(None, 1, {}, {"labels": ["a"]}, {"labels": ["a"], "probs": [1.0, 0.5]}),
        {"labels": [["a"]], "probs": [0.5]},
        {"labels": ["a"], "probs": [[0.5]]},
        {"labels": ["a"], "probs": [None]},
        {"labels": ["a"], "probs": [1.0], "spans_key": "duoguard", "span_flags": 1},
    ],
)
def test_a_damaged_record_is_no_reason(nlp, record):
    doc = label(nlp("a"), {"a": 1.0, "unsafe": 1.0})
    doc.user_data["duoguard"] = record
    assert not has_scores_as_gold(doc)


def test_training_and_figures_warn_once(nlp):
    docs = list(nlp.pipe(TEXTS))
    assert all(map(has_scores_as_gold, docs))
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    with pytest.warns(UserWarning, match="W033"):
        nlp.evaluate(examples)
    nlp.evaluate([Example(nlp.make_doc(doc.text), doc) for doc in docs])
    for use in (
        lambda: nlp.initialize(lambda: examples),
        lambda: nlp.update(examples),
        lambda: _copy_gold(docs[0], nlp.make_doc("a"), {}),
    ):
        user_warnings._shown.clear()
        # The default loss then refuses probabilities (E064).
        with pytest.warns(UserWarning, match="W033"), suppress(SettingsError):
            use()
