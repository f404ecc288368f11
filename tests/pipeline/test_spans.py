"""Scores of sentences and of other spans."""

import importlib.util

import pytest
import spacy
from spacy import displacy
from spacy.tokens import Span
from spacy.util import ignore_error
from support.checkpoints import TEXTS

from spacy_duoguard.errors import ScoringError, SettingsError
from spacy_duoguard.taxonomy import CATEGORIES

TEXT = "The quick brown fox jumps. How to kill a python process? The dog sleeps on."

needs_getters = pytest.mark.skipif(
    importlib.util.find_spec("spacy_transformers") is None,
    reason="the span getters of spacy-transformers are not installed",
)


def test_sentences_are_scored_as_texts_of_their_own(make_nlp):
    nlp = make_nlp(sents=True)
    doc = nlp(TEXT)
    sentences = list(doc.sents)
    assert len(sentences) == 3
    for sentence in sentences:
        assert sentence._.duoguard_cats == pytest.approx(
            nlp(sentence.text).cats, abs=1e-5
        )
        assert list(sentence._.duoguard_cats) == [*CATEGORIES, "unsafe"]
    assert doc.cats == pytest.approx(make_nlp()(TEXT).cats, abs=1e-5)


def test_other_spans_have_no_scores(make_nlp):
    doc = make_nlp(sents=True)(TEXT)
    assert doc[1:4]._.duoguard_cats is None
    assert doc[:]._.duoguard_cats is None
    assert make_nlp()(TEXT)[:]._.duoguard_cats is None


def test_the_span_group_has_an_entry_for_each_flagged_category(make_nlp):
    threshold = 0.7
    doc = make_nlp(sents=True, threshold=threshold, spans_key="risky")(TEXT)
    group = doc.spans["risky"]
    expected = [
        (sent.start, sent.end, label, value)
        for sent in doc.sents
        for label, value in sent._.duoguard_cats.items()
        if label != "unsafe" and value > threshold
    ]
    entries = [
        (span.start, span.end, span.label_, score)
        for span, score in zip(group, group.attrs["scores"], strict=True)
    ]
    assert entries == expected
    assert entries
    html = displacy.render(doc, style="span", options={"spans_key": "risky"})
    assert entries[0][2] in html


def test_a_second_run_replaces_the_first(make_nlp):
    doc = make_nlp(sents=True, threshold=0.0)(TEXT)
    assert len(doc.spans["duoguard"]) == 3 * 12
    strict = make_nlp(sents=True, threshold=1.0)
    doc = strict.get_pipe("duoguard")(doc)
    assert len(doc.spans["duoguard"]) == 0
    assert doc._.duoguard_flags == []


@pytest.mark.parametrize("text", ["", "One", " "])
def test_sentences_of_tiny_texts(make_nlp, text):
    doc = make_nlp(sents=True)(text)
    assert doc._.duoguard_status == ("ok" if text else "empty")
    for sentence in doc.sents:
        assert sentence._.duoguard_cats == pytest.approx(doc.cats, abs=1e-6)


def test_a_truncated_span_marks_its_doc(make_nlp):
    nlp = make_nlp(sents=True, max_chars=30)
    doc = nlp(TEXT)
    assert doc._.duoguard_status == "truncated"


def test_sentences_wanted_and_none_set(make_nlp, monkeypatch):
    nlp = make_nlp(sents=True)
    nlp.remove_pipe("sentencizer")
    component = nlp.get_pipe("duoguard")
    monkeypatch.setattr(component.classifier, "answer", None)  # nothing is scored
    with pytest.raises(SettingsError, match=r"E041.*'sentencizer'"):
        nlp(TEXT)
    with pytest.raises(SettingsError, match=r"E041.*'sentencizer'"):
        list(nlp.pipe([TEXT, TEXT]))


def test_sents_and_span_getter_together_are_refused(make_nlp):
    nlp = make_nlp()
    component = nlp.get_pipe("duoguard")
    with pytest.raises(SettingsError, match="E042"):
        type(component)(
            nlp.vocab, component.model, sents=True, span_getter=lambda docs: []
        )


def test_a_span_getter_that_returns_too_few_lists(make_nlp):
    nlp = make_nlp()
    nlp.get_pipe("duoguard").span_getter = lambda docs: []
    with pytest.raises(ScoringError, match="E043"):
        nlp(TEXT)


@pytest.mark.parametrize("kind", ["foreign", "number"])
def test_a_span_getter_that_returns_no_spans_of_the_doc(make_nlp, kind):
    nlp = make_nlp()
    foreign = nlp(TEXT)
    returned = {"foreign": foreign[0:1], "number": 5}[kind]
    nlp.get_pipe("duoguard").span_getter = lambda docs: [[returned] for _ in docs]
    with pytest.raises(ScoringError, match="E050"):
        nlp(TEXT)
    nlp.set_error_handler(ignore_error)
    docs = list(nlp.pipe([TEXT, "short"]))
    assert [doc.cats["unsafe"] for doc in docs] == [1.0, 1.0]
    assert [len(doc.spans["duoguard"]) for doc in docs] == [0, 0]


def test_spans_of_an_earlier_run_go(make_nlp):
    doc = make_nlp(sents=True, threshold=0.0)(TEXT)
    assert doc.spans["duoguard"]
    doc = make_nlp().get_pipe("duoguard")(doc)
    assert "duoguard" not in doc.spans
    assert next(iter(doc.sents))._.duoguard_cats is None


@pytest.mark.parametrize("getter", [lambda docs: None, lambda docs: [None]])
def test_a_span_getter_that_returns_no_list(make_nlp, getter):
    nlp = make_nlp()
    nlp.get_pipe("duoguard").span_getter = getter
    with pytest.raises(ScoringError, match=r"E320.*NoneType"):
        nlp("The dog sleeps.")


def test_spans_that_no_longer_fit_the_doc_cost_that_doc_alone(make_nlp):
    nlp, handled = make_nlp(), []
    nlp.set_error_handler(lambda name, proc, docs, error: handled.append(docs))

    made = {}

    def getter(docs):
        for doc in docs:
            if doc.text not in made:
                made[doc.text] = [doc[:2], doc[2:]]
                if doc.text.startswith("Bad"):
                    with doc.retokenize() as retokenizer:
                        retokenizer.merge(doc[:3])
        return [made[doc.text] for doc in docs]

    nlp.get_pipe("duoguard").span_getter = getter
    texts = ["The dog sleeps.", "Bad dogs sleep too.", "A fox jumps."]
    docs = list(nlp.pipe(texts))
    assert [doc.text for doc in docs] == texts
    assert [doc._.duoguard_status for doc in docs] == ["ok", "error", "ok"]
    assert set(docs[1].cats.values()) == {1.0}
    assert [[doc.text for doc in group] for group in handled] == [[texts[1]]]


def test_a_custom_span_getter(make_nlp):
    nlp = make_nlp()
    nlp.get_pipe("duoguard").span_getter = lambda docs: [
        (Span(doc, 1, 4), doc[2:6]) for doc in docs
    ]
    doc = nlp.make_doc(TEXT)
    nlp.get_pipe("duoguard")(doc)
    for span in (doc[1:4], doc[2:6]):
        expected = make_nlp()(span.text).cats
        assert span._.duoguard_cats == pytest.approx(expected, abs=1e-5)


@needs_getters
@pytest.mark.parametrize(
    ("getter", "spans"),
    [
        ({"@span_getters": "spacy-transformers.doc_spans.v1"}, [(0, 18)]),
        (
            {
                "@span_getters": "spacy-transformers.strided_spans.v1",
                "window": 8,
                "stride": 6,
            },
            [(0, 8), (6, 14), (12, 18)],
        ),
        (
            {"@span_getters": "spacy-transformers.sent_spans.v1"},
            [(0, 6), (6, 13), (13, 18)],
        ),
    ],
)
def test_span_getters_of_spacy_transformers(make_nlp, getter, spans):
    nlp = make_nlp(span_getter=getter)
    nlp.add_pipe("sentencizer", first=True)
    docs = list(nlp.pipe([TEXT, *TEXTS]))
    assert len(docs[0]) == 18
    for start, end in spans:
        span = docs[0][start:end]
        assert span._.duoguard_cats == pytest.approx(
            make_nlp()(span.text).cats, abs=1e-5
        )
    assert len(docs[0].user_data["duoguard"]["spans"]) == len(spans)


@needs_getters
def test_a_sentence_getter_without_sentences(make_nlp):
    nlp = make_nlp(span_getter={"@span_getters": "spacy-transformers.sent_spans.v1"})
    with pytest.raises(SettingsError, match=r"E041.*'sentencizer'"):
        nlp(TEXT)


@needs_getters
def test_a_span_getter_is_saved_in_the_config(make_nlp, tmp_path):
    nlp = make_nlp(span_getter={"@span_getters": "spacy-transformers.doc_spans.v1"})
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path)(TEXT)[:]._.duoguard_cats == nlp(TEXT)[:]._.duoguard_cats


@pytest.mark.parametrize("name", ["duoguard", "other"])
def test_spans_of_an_earlier_pipeline_are_removed(make_nlp, name):
    doc = make_nlp(sents=True, threshold=0.0)("The dog sleeps. So do I.")
    assert doc.spans["duoguard"]
    doc.user_data["duoguard"]["component"] = name
    make_nlp().get_pipe("duoguard")(doc)
    assert "duoguard" not in doc.spans
