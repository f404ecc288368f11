"""The reader puts labelled texts among safe ones, with the gold of their spans."""

import math
import random

import numpy as np
import pytest
import spacy
from spacy.tokens import DocBin, Span
from support.training import train

from spacy_duoguard.corpora.composed import compose, merge_cats
from spacy_duoguard.errors import SettingsError
from spacy_duoguard.pipeline.gold import read_cats, read_span_group
from spacy_duoguard.taxonomy import CATEGORIES

NAME = "spacy-duoguard.composed_docs.v1"
SAFE = ["The dog sleeps.", "See you at noon. Bring tea.", "We walked home"]
KNOWN = dict.fromkeys(CATEGORIES, 0.0)


def make_doc(nlp, text, cats):
    doc = nlp.make_doc(text)
    doc.cats = dict(cats)
    return doc


@pytest.fixture
def corpus(tmp_path):
    nlp = spacy.blank("en")
    docs = [make_doc(nlp, text, {"unsafe": 0.0}) for text in SAFE]
    docs.append(make_doc(nlp, "I will kill you. Now!", {"Hate": 1.0, "Privacy": 0.0}))
    docs.append(make_doc(nlp, "Something is wrong.", {"unsafe": 1.0}))
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "texts.spacy")

    def read(**settings):
        random.seed(settings.pop("seed", 0))
        reader = spacy.registry.readers.get(NAME)(tmp_path / "texts.spacy", **settings)
        return list(reader(nlp))

    return read


def test_each_text_comes_once_among_safe_ones(corpus):
    examples = corpus(n_safe=[2, 4])
    assert len(examples) == 5
    unsafe = 0
    for example in examples:
        gold, predicted = example.reference, example.predicted
        sentences = [sent.text for sent in gold.sents]
        assert 3 <= len(sentences) <= 5
        assert [sent.text for sent in predicted.sents] == sentences
        assert predicted.text == gold.text == " ".join(sentences)
        assert predicted.cats == {}
        assert "duoguard" not in predicted.spans
        entries = [(span.text, span.label_) for span in gold.spans["duoguard"]]
        others = [text for text in sentences if text not in SAFE]
        if others == []:
            assert gold.cats == {"unsafe": 0.0}
            assert entries == []
        elif others == ["I will kill you. Now!"]:
            assert gold.cats == {"Hate": 1.0, "Privacy": 0.0}
            # As `unsafe`, it has the categories open that its gold doesn't name.
            assert entries == [(others[0], "Hate"), (others[0], "unsafe")]
            unsafe += 1
        else:
            assert gold.cats == {"unsafe": 1.0}
            assert entries == [(others[0], "unsafe")]
            unsafe += 1
    assert unsafe == 2


def test_the_unsafe_text_can_stand_anywhere(corpus):
    places = set()
    for seed in range(20):
        for example in corpus(n_safe=[2, 2], seed=seed):
            for span in example.reference.spans["duoguard"]:
                sents = [sent.start for sent in example.reference.sents]
                places.add(sents.index(span.start))
    assert places == {0, 1, 2}


def test_the_level_is_the_share_of_composed_texts(corpus):
    alone = corpus(level=0.0, shuffle=False)
    assert [example.text for example in alone][:3] == SAFE
    assert all(len(list(example.reference.sents)) == 1 for example in alone)
    longer = [
        len(list(example.reference.sents)) > 1
        for seed in range(60)
        for example in corpus(level=0.5, n_safe=[1, 1], seed=seed)
    ]
    assert 0.4 < sum(longer) / len(longer) < 0.6


def test_composed_docs_keep_to_a_length(corpus):
    for example in corpus(n_safe=[8, 8], max_length=12):
        assert len(example.reference) <= 12


def test_the_augmenter_is_applied(corpus):
    augmenter = spacy.registry.augmenters.get("spacy-duoguard.disguise.v1")
    for example in corpus(augmenter=augmenter(level=1.0, disguises=["capitals"])):
        assert example.text.isupper()
        for span in example.reference.spans["duoguard"]:
            assert span.text in ("I WILL KILL YOU. NOW!", "SOMETHING IS WRONG.")


def test_the_gold_of_spans_and_sentences_is_kept():
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    doc = nlp("I hate you. Have tea.")
    doc.cats = {"Hate": 1.0}
    doc.spans["duoguard"] = [Span(doc, 0, 4, "Hate")]
    safe = make_doc(nlp, "The dog sleeps", {"unsafe": 0.0})
    gold = compose(nlp.vocab, [safe, doc], "duoguard").reference
    sentences = ["The dog sleeps", "I hate you.", "Have tea."]
    assert [sent.text for sent in gold.sents] == sentences
    (entry,) = gold.spans["duoguard"]
    assert (entry.text, entry.label_) == ("I hate you.", "Hate")


def test_a_text_with_partial_gold_stays_alone(tmp_path):
    """Among others, its unknown spans would count as safe, and those of a safe text as
    unknown."""
    nlp = spacy.blank("en")
    docs = [make_doc(nlp, text, {"unsafe": 0.0}) for text in SAFE]
    marked = nlp.make_doc("I hate you. Go away. Have tea.")
    marked.spans["duoguard"] = [Span(marked, 0, 4, "Hate")]
    rejected = [[21, 30, "Hate"]]
    for doc in (marked, docs[1]):
        if doc is not marked:
            doc.spans["duoguard"] = []
        doc.spans["duoguard"].attrs["rejected"] = rejected
    DocBin(docs=[*docs, marked], store_user_data=True).to_disk(tmp_path / "t.spacy")
    partial = {marked.text, docs[1].text}
    for level in (0.0, 1.0):
        reader = spacy.registry.readers.get(NAME)(tmp_path / "t.spacy", level=level)
        for example in reader(nlp):
            text, group = example.text, example.reference.spans["duoguard"]
            if text in partial:
                assert group.attrs["rejected"] == rejected
            else:
                assert not any(other in text for other in partial)
                assert "rejected" not in group.attrs


@pytest.mark.parametrize("cats", [{}, {"Hate": 0.0}, {**KNOWN, "Hate": 0.4}])
def test_a_text_that_may_be_unsafe_stays_alone(tmp_path, cats):
    """Without entries, its sentences would count as safe."""
    nlp = spacy.blank("en")
    is_known = len(cats) == len(CATEGORIES)
    docs = [make_doc(nlp, text, {"unsafe": 0.0}) for text in SAFE]
    docs.append(make_doc(nlp, "Who knows?", cats))
    DocBin(docs=docs).to_disk(tmp_path / "t.spacy")
    for level in (0.0, 1.0):
        reader = spacy.registry.readers.get(NAME)(tmp_path / "t.spacy", level=level)
        golds = [eg.reference for eg in reader(nlp) if "Who knows" in eg.text]
        for gold in golds:
            assert ("duoguard" in gold.spans) == is_known
            assert is_known or (gold.text, gold.cats) == ("Who knows?", cats)
        assert len(golds) == 1 or (is_known and level)


def test_categories_that_an_unsafe_text_may_have_are_open():
    """In the docs and in the span groups."""
    nlp = spacy.blank("en")
    safe = make_doc(nlp, "The dog sleeps", {"unsafe": 0.0})
    for cats, labels in (
        ({"Hate": 1.0}, {"Hate", "unsafe"}),
        ({**KNOWN, "Hate": 1.0}, {"Hate"}),
        ({"Hate": 1.0, "unsafe": 1.0}, {"Hate", "unsafe"}),
        ({**KNOWN, "Hate": 1.0, "unsafe": 1.0}, {"Hate"}),
    ):
        unsafe = make_doc(nlp, "I hate you", cats)
        reference = compose(nlp.vocab, [safe, unsafe], "duoguard").reference
        group = reference.spans["duoguard"]
        assert {span.label_ for span in group} == labels
        spans = list(reference.sents)
        (_, of_unsafe), _ = read_span_group(group, spans, CATEGORIES)
        of_text = read_cats(cats, CATEGORIES)
        assert of_unsafe.truths[CATEGORIES.index("Hate")] == 1
        is_open = np.isnan(of_unsafe.truths)
        assert (is_open == np.isnan(of_text.truths)).all()


def test_keys_of_other_components_say_nothing(make_nlp, tmp_path):
    """About whether a text is safe, or which spans are unsafe."""
    nlp = make_nlp()
    cats = {"SPORTS": 1.0, "unsafe": 0.0}
    docs = [make_doc(nlp, text, cats) for text in SAFE]
    docs.append(make_doc(nlp, "I hate you", {"SPORTS": 1.0, "unsafe": 1.0}))
    path = tmp_path / "texts.spacy"
    DocBin(docs=docs).to_disk(path)
    reader = spacy.registry.readers.get(NAME)(path, n_safe=[2, 2])
    examples = list(reader(nlp))
    assert len(examples) == len(docs)
    for example in examples:
        assert example.reference.cats["SPORTS"] == 1.0
        labels = {span.label_ for span in example.reference.spans["duoguard"]}
        assert labels == ({"unsafe"} if "hate" in example.text else set())
    nlp.get_pipe("duoguard").add_label("SPORTS")
    docs.append(make_doc(nlp, "Have tea", {"unsafe": 0.0}))
    DocBin(docs=docs).to_disk(path)
    spans = [s for e in reader(nlp) for s in e.reference.spans["duoguard"]]
    assert {span.label_ for span in spans} == {"SPORTS", "unsafe"}


def test_a_text_of_one_word_is_a_sentence_too():
    nlp = spacy.blank("en")
    docs = [make_doc(nlp, "Hello there", {"unsafe": 0.0})]
    cats = {**KNOWN, "Hate": 1.0}
    docs += [make_doc(nlp, word, cats) for word in ("Grrr", "Ugh")]
    gold = compose(nlp.vocab, docs, "duoguard").reference
    assert [sent.text for sent in gold.sents] == ["Hello there", "Grrr", "Ugh"]
    assert [span.text for span in gold.spans["duoguard"]] == ["Grrr", "Ugh"]


@pytest.mark.parametrize(
    ("cats", "merged"),
    [
        ([{"A": 1.0}, {"unsafe": 0.0}], {"A": 1.0}),
        ([{"A": 0.0}, {"unsafe": 0.0}], {"A": 0.0}),
        ([{"A": 0.0}, {"B": 0.0}], {}),
        ([{"A": 0.0}, {"A": 1.0, "B": 0.0}], {"A": 1.0}),
        ([{"A": 0.3}, {"A": 0.2}], {"A": 0.3}),
        ([{"unsafe": 1.0}, {"unsafe": 0.0}], {"unsafe": 1.0}),
        ([{"unsafe": 0.0}, {"unsafe": 0.0}], {"unsafe": 0.0}),
        ([KNOWN, {"unsafe": 0.0}], {**KNOWN, "unsafe": 0.0}),
        ([{**KNOWN, "Hate": 0.9}, KNOWN], {**KNOWN, "Hate": 0.9}),
        ([{}, {"unsafe": 0.0}], {}),
        ([{"A": 2.0}, {"unsafe": 0.0}], {"A": 2.0}),  # for training to refuse
        ([{"unsafe": 0.0}, {"A": -1.0}], {"A": -1.0}),
    ],
)
def test_what_is_known_of_all_texts_together(cats, merged):
    assert merge_cats(cats) == merged


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_no_number_stays_for_training_to_refuse_it(order):
    merged = merge_cats([{"A": float("nan")}, {"A": 0.0}, {"unsafe": 0.0}][::order])
    assert math.isnan(merged["A"])


@pytest.mark.parametrize("cats", [{}, {"Hate": 0.0}, {"POSITIVE": 0.0}])
def test_what_nobody_labelled_is_not_safe_in_its_sentences(tmp_path, cats):
    nlp = spacy.blank("en")
    docs = [make_doc(nlp, text, {"unsafe": 0.0}) for text in SAFE]
    docs.append(make_doc(nlp, "Nobody has read this.", cats))
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "a.spacy")
    examples = list(spacy.registry.readers.get(NAME)(tmp_path, level=1.0)(nlp))
    (alone,) = [eg.reference for eg in examples if "Nobody" in eg.reference.text]
    assert alone.text == "Nobody has read this."
    assert "duoguard" not in alone.spans
    for eg in examples:
        if eg.reference is not alone:
            assert "rejected" not in eg.reference.spans["duoguard"].attrs


def test_gold_that_contradicts_itself_is_not_hidden_by_another_text():
    nlp = spacy.blank("en")
    docs = [
        make_doc(nlp, "I hate you.", {"unsafe": 0.0, "Hate": 1.0}),
        make_doc(nlp, "I will kill you.", {"unsafe": 1.0}),
    ]
    with pytest.raises(SettingsError, match=r"E327.*Hate"):
        compose(nlp.vocab, docs, "duoguard")


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"level": 2}, "E242.*level"),
        ({"max_safe": -0.1}, "E242.*max_safe"),
        ({"n_safe": [3, 2]}, "E243"),
        ({"n_safe": [3]}, "E243"),
        ({"n_safe": [-1, 2]}, "E243"),
        ({"n_safe": (1.5, 2)}, "E243"),
        ({"n_safe": "ab"}, "E243"),
        ({"n_safe": 2}, "E243"),
        ({"level": "half"}, "E242.*level"),
        ({"level": float("nan")}, "E242.*level"),
        ({"max_length": -1}, "E004.*max_length"),
        ({"max_length": 1.5}, "E004.*max_length"),
    ],
)
def test_settings_are_checked(tmp_path, settings, code):
    with pytest.raises(SettingsError, match=code):
        spacy.registry.readers.get(NAME)(tmp_path, **settings)


def test_a_corpus_without_safe_texts_is_refused(tmp_path):
    nlp = spacy.blank("en")
    docs = [make_doc(nlp, "kill", {"unsafe": 1.0}), make_doc(nlp, "walk", {})]
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "a.spacy")
    reader = spacy.registry.readers.get(NAME)
    with pytest.raises(SettingsError, match=r"E244.*2 docs"):
        list(reader(tmp_path / "a.spacy")(nlp))
    assert len(list(reader(tmp_path / "a.spacy", level=0.0)(nlp))) == 2


def test_a_pipeline_learns_in_context_from_composed_docs(corpus, make_nlp):
    """All gold reaches the loss: the doc, and each of its texts."""
    from spacy_duoguard.pipeline.training import learn

    nlp = make_nlp(sents=True, span_context="document")
    train(nlp, steps=1)
    examples = corpus(n_safe=[2, 2])
    guard = nlp.get_pipe("duoguard")
    texts = []
    loss = guard.loss
    guard.loss = lambda logits, truths: texts.append(truths) or loss(logits, truths)
    assert learn(guard, examples) > 0
    (truths,) = texts
    assert len(truths) == 5 * (1 + 3)
    assert (truths == 1).any(axis=1).sum() >= 4  # two unsafe docs and their spans
